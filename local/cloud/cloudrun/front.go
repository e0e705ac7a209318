package cloudrun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"ingestion.internal/local/cloud"
)

// maxRequest is Cloud Run's limit of an HTTP/1 request's body in bytes.
const maxRequest = 32 << 20

// backends carries requests to instances. It adds nothing to them, so what an
// instance reads is what the caller sent.
var backends = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}

// ServeHTTP is the service's front.
func (svc *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The revision is held from here on, so that it is not stopped under the
	// request.
	svc.mu.RLock()
	rev, api := svc.current, svc.api
	if rev != nil {
		rev.inflight.Add(1)
		defer rev.inflight.Done()
	}
	svc.mu.RUnlock()
	if rev == nil {
		http.Error(w, "Service Unavailable: the service has no ready revision", http.StatusServiceUnavailable)
		return
	}
	if !api.InvokerIamDisabled {
		if code, err := svc.authorize(r, api.Name, append([]string{svc.uri}, api.CustomAudiences...)); err != nil {
			if code == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			}
			http.Error(w, fmt.Sprintf("%s: %v", http.StatusText(code), err), code)
			return
		}
	}
	if r.ContentLength > maxRequest {
		http.Error(w, "Request Entity Too Large: Cloud Run accepts 32 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	ctx, cancel := context.WithTimeout(r.Context(), rev.timeout)
	defer cancel()
	select {
	case rev.slots <- struct{}{}:
		defer func() { <-rev.slots }()
	case <-ctx.Done():
		http.Error(w, "Rate exceeded: no available instance", http.StatusTooManyRequests)
		return
	}
	backend := rev.address()
	if backend == "" {
		http.Error(w, "Service Unavailable: the instance is restarting", http.StatusServiceUnavailable)
		return
	}
	(&httputil.ReverseProxy{
		Transport: backends,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: backend})
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.Host = p.In.Host
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			hideSignature(p.Out.Header)
		},
		ErrorHandler:  proxyError,
		FlushInterval: -1, // Cloud Run streams
	}).ServeHTTP(w, r.WithContext(ctx))
}

// proxyError answers for an instance that did not.
func proxyError(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "Request Entity Too Large: Cloud Run accepts 32 MiB", http.StatusRequestEntityTooLarge)
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		http.Error(w, "upstream request timeout", http.StatusGatewayTimeout)
	default:
		http.Error(w, "Service Unavailable: the instance ended or broke the connection: "+err.Error(), http.StatusServiceUnavailable)
	}
}

// tokenHeader returns the header that carries the caller's token:
// X-Serverless-Authorization, if present, is Cloud Run's alone.
func tokenHeader(h http.Header) string {
	if h.Get("X-Serverless-Authorization") != "" {
		return "X-Serverless-Authorization"
	}
	return "Authorization"
}

// authorize checks that the caller may invoke the service.
func (svc *service) authorize(r *http.Request, name string, audiences []string) (code int, err error) {
	principal := "allUsers"
	if header := r.Header.Get(tokenHeader(r.Header)); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			// It is the service's own business, and the caller is nobody here.
			token = ""
		}
		if token != "" {
			p, err := svc.cloud.o.Identity.VerifyIDToken(strings.TrimSpace(token), audiences...)
			if err != nil {
				// A public service may be called with any header.
				if svc.check(r.Context(), principal, name) == nil {
					return http.StatusOK, nil
				}
				return http.StatusUnauthorized, fmt.Errorf("the bearer token is not an ID token for %s: %w", audiences[0], err)
			}
			principal = p
		}
	}
	err = svc.check(r.Context(), principal, name)
	if err == nil {
		return http.StatusOK, nil
	}
	if principal == "allUsers" {
		return http.StatusForbidden, fmt.Errorf("the request was not authenticated: set an ID token for %s in Authorization, or allow unauthenticated calls: %w", audiences[0], err)
	}
	return http.StatusForbidden, err
}

func (svc *service) check(ctx context.Context, principal, name string) error {
	return svc.cloud.o.IAM.Check(ctx, principal, "run.routes.invoke", cloud.Resource{
		Service: "run.googleapis.com", Type: "run.googleapis.com/Service", Name: name,
	})
}

// hideSignature keeps an instance from using its caller's token: it can read
// who called, as on Cloud Run, and no more.
func hideSignature(h http.Header) {
	name := tokenHeader(h)
	scheme, token, ok := strings.Cut(h.Get(name), " ")
	if i := strings.LastIndex(token, "."); ok && strings.EqualFold(scheme, "Bearer") && i > 0 {
		h.Set(name, scheme+" "+token[:i]+".SIGNATURE_REMOVED_BY_GOOGLE")
	}
}
