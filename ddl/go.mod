module ingestion.internal/ddl

go 1.26.0

require (
	github.com/cloudspannerecosystem/memefish v0.8.1
	github.com/google/go-cmp v0.7.0
)

require (
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
