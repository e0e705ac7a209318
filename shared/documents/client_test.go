package documents

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud.google.com/go/documentai/apiv1/documentaipb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	"google.golang.org/protobuf/encoding/protojson"

	"ingestion.internal/shared/fault"
)

const processor = "projects/p/locations/us/processors/abc/processorVersions/v2"

func start(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := New(t.Context(), processor, option.WithEndpoint(server.URL), option.WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// The request is what the API describes, and names and values are found by
// their characters in the text, not by its bytes.
func TestRead(t *testing.T) {
	t.Parallel()
	client := start(t, func(w http.ResponseWriter, r *http.Request) {
		var got map[string]any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		want := map[string]any{
			"name":            processor,
			"rawDocument":     map[string]any{"content": base64.StdEncoding.EncodeToString([]byte("file")), "mimeType": "application/pdf"},
			"skipHumanReview": true,
			"fieldMask":       "text,pages.pageNumber,pages.formFields",
			"processOptions":  map[string]any{"fromStart": 15.0},
		}
		if diff := cmp.Diff(want, got); diff != "" || r.Method != http.MethodPost || r.URL.Path != "/v1/"+processor+":process" {
			t.Errorf("%s %s (-want +got)\n%s", r.Method, r.URL.Path, diff)
		}
		w.Header().Set("Content-Type", "application/json")
		// Shaped as https://cloud.google.com/document-ai/docs/handle-response
		// describes a form parser's answer (read 2026-11-25).
		io.WriteString(w, `{"document":{"mimeType":"application/pdf","text":"Büro: 9\nPhone*: 310 555\n0142\nx","pages":[
			{"pageNumber":1,"formFields":[
				{"fieldName":{"textAnchor":{"textSegments":[{"endIndex":"5"}],"content":""},"confidence":0.9},
				 "fieldValue":{"textAnchor":{"textSegments":[{"startIndex":"6","endIndex":"7"}]},"confidence":0.8}},
				{"fieldName":{"textAnchor":{"content":"Phone*:\n"},"confidence":0.95},
				 "fieldValue":{"textAnchor":{"textSegments":[{"startIndex":"16","endIndex":"24"},{"startIndex":"24","endIndex":"28"}]},"confidence":0.99}},
				{"fieldName":{"textAnchor":{"content":"Signature:"},"confidence":0.9},"fieldValue":{"textAnchor":{},"confidence":0.5}},
				{"fieldName":{"textAnchor":{"textSegments":[{"startIndex":"20","endIndex":"900"}]}},"fieldValue":{"textAnchor":{"content":"out of the text"}}}
			]},{"pageNumber":2}]}}`)
	})
	got, err := client.Read(t.Context(), []byte("file"), "application/pdf")
	if err != nil {
		t.Fatal(err)
	}
	want := &Page{Text: "Büro: 9\nPhone*: 310 555\n0142\nx", Pages: 2, Fields: []Field{{"Büro", "9", 0.8}, {"Phone", "310 555 0142", 0.95}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is wrong with the document no retry mends; everything else may pass.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	for status, permanent := range map[int]bool{
		http.StatusBadRequest: true, http.StatusForbidden: false, http.StatusNotFound: false,
		http.StatusTooManyRequests: false, http.StatusServiceUnavailable: false,
	} {
		calls := 0
		client := start(t, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": "no"}})
		})
		_, err := client.Read(t.Context(), []byte("x"), "image/png")
		if err == nil || fault.IsPermanent(err) != permanent || calls != 1 {
			t.Errorf("%d: %v after %d calls, permanent %t", status, err, calls, fault.IsPermanent(err))
		}
	}
	client := start(t, func(http.ResponseWriter, *http.Request) { t.Error("a file that is too large was sent") })
	if _, err := client.Read(t.Context(), make([]byte, MaxBytes+1), "image/png"); !fault.IsPermanent(err) {
		t.Errorf("too large: %v", err)
	}
}

// An answer without a document is not a document without text.
func TestNoDocument(t *testing.T) {
	t.Parallel()
	client := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
	})
	if got, err := client.Read(t.Context(), []byte("x"), "image/png"); err == nil || fault.IsPermanent(err) {
		t.Errorf("%+v, %v, want an error that is worth a retry", got, err)
	}
}

func TestProcessorNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		processor: true, "projects/p/locations/eu/processors/1": true, "": false, "abc": false,
		"projects/p/locations/us/processors/1/processorVersions/": false, "projects/p/locations/us.evil.example/processors/1": false,
	} {
		_, err := New(t.Context(), name, option.WithoutAuthentication())
		if ValidProcessor(name) != want || (err == nil) != want {
			t.Errorf("%q: valid %t, %v", name, ValidProcessor(name), err)
		}
	}
}

// Whatever the parser answers, what is kept of it is bounded and can be stored.
func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"text":"Phone: 310","pages":[{"formFields":[{"fieldName":{"textAnchor":{"textSegments":[{"endIndex":"6"}]},"confidence":0.5},"fieldValue":{"textAnchor":{"textSegments":[{"startIndex":"7","endIndex":"10"}]}}}]}]}`))
	f.Add([]byte(`{"text":"x","pages":[{"formFields":[{"fieldName":{"textAnchor":{"textSegments":[{"startIndex":"-3","endIndex":"9"}]}}}]}]}`))
	f.Add([]byte(`{"pages":[{"formFields":[{"fieldName":{"textAnchor":{"content":"a"},"confidence":"NaN"},"fieldValue":{"textAnchor":{"content":"b"},"confidence":-1}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var document documentaipb.Document
		if protojson.Unmarshal(data, &document) != nil {
			t.Skip("no document")
		}
		p := pageOf(&document)
		if len([]rune(p.Text)) > maxText || len(p.Fields) > maxFields {
			t.Errorf("%d characters, %d fields", len([]rune(p.Text)), len(p.Fields))
		}
		for _, field := range p.Fields {
			if field.Name == "" || field.Value == "" || !(field.Confidence >= 0 && field.Confidence <= 1) ||
				strings.ContainsAny(field.Name+field.Value, "\n\r\t") || len([]rune(field.Value)) > maxFieldValue {
				t.Errorf("%+v", field)
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Error(errors.Unwrap(err))
		}
	})
}
