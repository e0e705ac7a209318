module ingestion.internal/functions

go 1.26.0

require ingestion.internal/shared v0.0.0

replace ingestion.internal/shared => ../shared
