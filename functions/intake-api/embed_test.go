package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
)

// A script may be loaded by any page, and is loaded again only when it changed.
func TestScripts(t *testing.T) {
	t.Parallel()
	router := chi.NewRouter()
	if err := mountScripts(router); err != nil {
		t.Fatal(err)
	}
	get := func(path, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, r)
		return rec
	}
	first := get("/embed/form.js", "")
	tag := first.Header().Get("ETag")
	got := map[string]string{}
	for name := range first.Header() {
		got[name] = first.Header().Get(name)
	}
	delete(got, "Etag")
	delete(got, "Content-Length")
	if diff := cmp.Diff(map[string]string{
		"Accept-Ranges":                "bytes",
		"Access-Control-Allow-Origin":  "*",
		"Cache-Control":                "public, max-age=600",
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Cross-Origin-Resource-Policy": "cross-origin",
		"X-Content-Type-Options":       "nosniff",
	}, got); diff != "" {
		t.Errorf("headers (-want +got)\n%s", diff)
	}
	if first.Code != http.StatusOK || len(tag) < 10 || first.Body.Len() == 0 {
		t.Errorf("status %d, tag %s, %d bytes", first.Code, tag, first.Body.Len())
	}
	if rec := get("/embed/form.js", tag); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 {
		t.Errorf("as it was: %d with %d bytes", rec.Code, rec.Body.Len())
	}
	if rec := get("/embed/form.js", `"another"`); rec.Code != http.StatusOK {
		t.Errorf("changed: %d", rec.Code)
	}
	if rec := get("/embed/chat.js", ""); rec.Code != http.StatusOK || rec.Header().Get("ETag") == tag {
		t.Errorf("the other script: %d, tag %s", rec.Code, rec.Header().Get("ETag"))
	}
	// What docs/channels.md says of their sizes.
	for path, most := range map[string]int{"/embed/chat.js": 29 << 10, "/embed/form.js": 11 << 10} {
		if got := get(path, "").Body.Len(); got > most {
			t.Errorf("%s has %d bytes, want at most %d", path, got, most)
		}
	}
	for _, path := range []string{"/embed/", "/embed/none.js", "/embed/..%2fmain.go"} {
		if rec := get(path, ""); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}
