package identity

import (
	"fmt"
	"net/http"
	"strings"

	"ingestion.internal/local/cloud/gapi"
)

// scopes are what the metadata server says a token is good for. The local
// cloud, like Cloud Run, decides by IAM alone.
const scopes = "https://www.googleapis.com/auth/cloud-platform"

// MetadataServer serves the metadata of one instance that runs as a service
// account in a project, with the paths, header rules and answers of the
// Compute Engine metadata server that Cloud Run documents:
// https://cloud.google.com/run/docs/container-contract#metadata-server
func (i *Identity) MetadataServer(serviceAccountEmail, project string) http.Handler {
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/text")
			// The caller may have gone; there is nobody left to tell.
			_, _ = fmt.Fprint(w, body)
		}
	}
	mux := http.NewServeMux()
	get := func(path string, h http.HandlerFunc) { mux.HandleFunc("GET /computeMetadata/v1/"+path, h) }
	get("project/project-id", text(project))
	get("project/numeric-project-id", text(i.config.ProjectNumber))
	get("universe/universe-domain", text("googleapis.com"))
	get("universe/universe_domain", text("googleapis.com"))
	get("instance/region", text("projects/"+i.config.ProjectNumber+"/regions/"+i.config.Region))
	get("instance/zone", text("projects/"+i.config.ProjectNumber+"/zones/"+i.config.Region+"-1"))
	get("instance/id", text("local-"+serviceAccountEmail))
	get("instance/service-accounts/{$}", text("default/\n"+serviceAccountEmail+"/\n"))

	account := func(leaf string, h http.HandlerFunc) {
		get("instance/service-accounts/{account}/"+leaf, func(w http.ResponseWriter, r *http.Request) {
			if a := r.PathValue("account"); a != "default" && a != serviceAccountEmail {
				http.NotFound(w, r)
				return
			}
			h(w, r)
		})
	}
	account("email", text(serviceAccountEmail))
	account("scopes", text(scopes+"\n"))
	account("aliases", text("default\n"))
	account("token", func(w http.ResponseWriter, _ *http.Request) {
		token, life := i.AccessToken(serviceAccountEmail)
		gapi.Write(w, map[string]any{"access_token": token, "expires_in": int(life.Seconds()), "token_type": "Bearer"})
	})
	account("identity", func(w http.ResponseWriter, r *http.Request) {
		audience := r.URL.Query().Get("audience")
		if audience == "" {
			http.Error(w, "non-empty audience parameter required", http.StatusBadRequest)
			return
		}
		token, err := i.IDToken(serviceAccountEmail, audience)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		text(token)(w, r)
	})
	account("{$}", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("recursive") != "true" {
			text("aliases\nemail\nidentity\nscopes\ntoken\n")(w, r)
			return
		}
		gapi.Write(w, map[string]any{"aliases": []string{"default"}, "email": serviceAccountEmail, "scopes": strings.Fields(scopes)})
	})
	// Libraries probe the root to learn whether there is a metadata server.
	mux.HandleFunc("GET /{$}", text("computeMetadata/\n"))

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("Server", "Metadata Server for Local Cloud")
		if r.URL.Path != "/" && r.Header.Get("Metadata-Flavor") != "Google" {
			// The header proves that the caller is no browser led astray.
			http.Error(w, "Missing Metadata-Flavor:Google header", http.StatusForbidden)
			return
		}
		if r.Header.Get("X-Forwarded-For") != "" {
			http.Error(w, "requests with X-Forwarded-For are refused", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
