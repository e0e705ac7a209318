package apigateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"ingestion.internal/local/cloud"
)

// newRouter serves routes. Every backend that wants one gets an ID token of
// the service account.
func newRouter(routes []route, account string, identity cloud.Identity) http.Handler {
	tokens := &tokenCache{identity: identity, account: account, byAudience: map[string]cachedToken{}}
	mux := chi.NewMux()
	for _, r := range routes {
		mux.Method(r.method, r.path, r.handler(tokens))
	}
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "The current request is not defined by this API.")
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("The current request is matched to the defined url template %q but its http method is not allowed", r.URL.Path))
	})
	return mux
}

// handler forwards to the route's backend, body and headers byte for byte but
// for what the gateway itself sets.
func (r route) handler(tokens *tokenCache) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			out := p.Out
			out.URL.Scheme, out.URL.Host, out.Host = r.backend.Scheme, r.backend.Host, r.backend.Host
			base := strings.TrimSuffix(r.backend.Path, "/")
			if r.constant {
				out.URL.Path, out.URL.RawPath = base, ""
				// Path parameters would be lost: they become query parameters.
				if query := pathQuery(p.In); query != "" {
					out.URL.RawQuery = strings.Trim(out.URL.RawQuery+"&"+query, "&")
				}
			} else {
				out.URL.Path, out.URL.RawPath = base+p.In.URL.Path, ""
			}
			if out.URL.Path == "" {
				out.URL.Path = "/"
			}
			out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			if r.audience != "" {
				if original := p.In.Header.Get("Authorization"); original != "" {
					out.Header.Set("X-Forwarded-Authorization", original)
				}
				out.Header.Set("Authorization", "Bearer "+p.In.Context().Value(tokenKey{}).(string))
			}
			if out.Header.Get("Traceparent") == "" {
				out.Header.Set("Traceparent", newTraceparent())
			}
		},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			var tooLarge *http.MaxBytesError
			switch {
			case errors.As(err, &tooLarge):
				fail(w, http.StatusRequestEntityTooLarge, "Request body is larger than 32 MiB.")
			case errors.Is(req.Context().Err(), context.DeadlineExceeded):
				fail(w, http.StatusGatewayTimeout, "upstream request timeout")
			default:
				fail(w, http.StatusServiceUnavailable, "upstream connect error")
			}
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > maxBody {
			fail(w, http.StatusRequestEntityTooLarge, "Request body is larger than 32 MiB.")
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, maxBody)
		ctx, cancel := context.WithTimeout(req.Context(), r.deadline)
		defer cancel()
		if r.audience != "" {
			token, err := tokens.get(r.audience)
			if err != nil {
				fail(w, http.StatusInternalServerError, "no ID token for the backend")
				return
			}
			ctx = context.WithValue(ctx, tokenKey{}, token)
		}
		proxy.ServeHTTP(w, req.WithContext(ctx))
	})
}

type tokenKey struct{}

func pathQuery(r *http.Request) string {
	params := chi.RouteContext(r.Context()).URLParams
	v := url.Values{}
	for i, key := range params.Keys {
		v.Add(key, params.Values[i])
	}
	return v.Encode()
}

// tokenCache keeps the ID tokens of one account, which live an hour.
type tokenCache struct {
	identity cloud.Identity
	account  string

	mu         sync.Mutex
	byAudience map[string]cachedToken
}

type cachedToken struct {
	value string
	until time.Time
}

func (c *tokenCache) get(audience string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.byAudience[audience]; time.Now().Before(t.until) {
		return t.value, nil
	}
	value, err := c.identity.IDToken(c.account, audience)
	if err != nil {
		return "", err
	}
	c.byAudience[audience] = cachedToken{value, time.Now().Add(30 * time.Minute)}
	return value, nil
}

// newTraceparent starts a trace, as the cloud's front end does for a request
// that bears none (https://www.w3.org/TR/trace-context/).
func newTraceparent() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return "00-" + hex.EncodeToString(b[:16]) + "-" + hex.EncodeToString(b[16:]) + "-01"
}

// fail answers in the gateway's own error form.
func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message})
}
