// Package site is the website of the sample tenant boost-marketing, as the local
// cloud serves it: at an origin of its own, with the policies of a careful
// website, so that what is embedded in it meets what it meets on a real one. Its
// pages are the samples that docs/channels.md points at.
package site

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed pages
var files embed.FS

var pages = template.Must(template.ParseFS(files, "pages/*.html"))

// Platform is where the platform is, as a page needs to know it.
type Platform struct {
	Gateway string // base URL; "" before it is deployed
	Chat    string // base URL of the chat service; "" where there is none
	Site    string // base URL of the site itself
}

// New serves the site. platform is asked for each page, because the platform
// may be deployed after the site is there.
func New(platform func() Platform) http.Handler {
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			p := platform()
			if p.Gateway == "" {
				http.Error(w, "The platform is not deployed yet: go run ./local up", http.StatusServiceUnavailable)
				return
			}
			var b bytes.Buffer
			if err := pages.ExecuteTemplate(&b, name, p); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			h := w.Header()
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", policy(p))
			h.Set("Cache-Control", "no-store")
			_, _ = w.Write(b.Bytes())
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page("index.html"))
	mux.HandleFunc("GET /thanks", page("thanks.html"))
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		style, err := files.ReadFile("pages/style.css")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(style))
	})
	return mux
}

// policy allows the site itself and what docs/channels.md says that embedding
// needs, and nothing else.
func policy(p Platform) string {
	return strings.Join([]string{
		"default-src 'none'",
		"style-src 'self'",
		fmt.Sprintf("script-src %s", p.Gateway),
		strings.TrimSpace(fmt.Sprintf("connect-src %s %s", p.Gateway, p.Chat)),
		// The redirect after a form without script counts too.
		fmt.Sprintf("form-action 'self' %s", p.Gateway),
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}
