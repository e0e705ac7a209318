package documents

import (
	"net/http"
	"testing"

	"google.golang.org/api/option"

	"ingestion.internal/shared/wirefake"
)

// Whatever Document AI answers, there is what was read or an error. What a page
// may be is FuzzPage's.
func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"document":{"text":"Phone: 310","pages":[{"pageNumber":1,"formFields":[{"fieldName":{"textAnchor":{"content":"Phone"}},"fieldValue":{"textAnchor":{"content":"310"}}}]}]}}`)
	f.Add(200, `{"document":null,"humanReviewStatus":{}}`)
	f.Add(200, `[]`)
	f.Add(400, `{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest"}]}}`)
	f.Add(403, `{"error":"x"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		client, err := New(t.Context(), processor, option.WithEndpoint("https://documents.example"),
			option.WithHTTPClient(&http.Client{Transport: wirefake.Always{Status: status, Body: body}}))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		page, err := client.Read(t.Context(), []byte("file"), "application/pdf")
		if (err == nil) != (page != nil) || err == nil && status > 299 {
			t.Errorf("status %d: %+v, %v", status, page, err)
		}
	})
}
