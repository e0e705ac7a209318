package site

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSite(t *testing.T) {
	t.Parallel()
	var platform Platform
	site := New(func() Platform { return platform })
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec
	}
	if rec := get("/"); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "go run ./local up") {
		t.Errorf("before the platform is deployed: %d %s", rec.Code, rec.Body)
	}
	platform = Platform{Gateway: "http://127.0.0.1:8780", Site: "http://127.0.0.1:8820"}
	for path, want := range map[string]string{
		"/":          `action="http://127.0.0.1:8780/api/v1/forms"`,
		"/thanks":    "<h1>Thank you</h1>",
		"/style.css": ":focus-visible",
	} {
		if rec := get(path); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if got := get("/").Header().Get("Content-Security-Policy"); !strings.Contains(got, "script-src http://127.0.0.1:8780;") || strings.Contains(got, "unsafe") {
		t.Errorf("policy %s", got)
	}
	platform.Chat = "http://127.0.0.1:8801"
	if rec := get("/"); !strings.Contains(rec.Body.String(), `data-chat="http://127.0.0.1:8801"`) || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "connect-src http://127.0.0.1:8780 http://127.0.0.1:8801;") {
		t.Errorf("with a chat: %s %s", rec.Header().Get("Content-Security-Policy"), rec.Body)
	}
	if rec := get("/elsewhere"); rec.Code != http.StatusNotFound {
		t.Errorf("/elsewhere: %d", rec.Code)
	}
}
