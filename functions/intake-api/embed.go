package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// scripts are what tenants' pages load: see docs/channels.md, Embedding.
//
//go:embed embed/*.js
var scripts embed.FS

// scriptAge is how long a browser uses a script without asking whether it has
// changed. A change reaches every page within that time.
const scriptAge = 10 * time.Minute

// embedded is one script, with the tag that its content has.
type embedded struct {
	content []byte
	tag     string
}

// mountScripts serves every script at /embed/NAME.
func mountScripts(r chi.Router) error {
	files, err := fs.ReadDir(scripts, "embed")
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := scripts.ReadFile("embed/" + file.Name())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		s := embedded{content, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		r.Get("/embed/"+file.Name(), s.serve)
	}
	return nil
}

// serve answers 200, or 304 to a browser that has the script as it is. Any page
// may load it, also one that isolates itself by Cross-Origin-Embedder-Policy or
// fetches it in CORS mode for an integrity check.
func (s embedded) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(scriptAge.Seconds())))
	h.Set("ETag", s.tag)
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
}
