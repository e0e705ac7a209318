// Package salesforce is a small Salesforce org: the OAuth token endpoint with
// the client credentials and JWT bearer flows, and the upsert of Leads by
// external id, alone and in collections.
//
// Served paths:
//
//	POST /services/oauth2/token
//	PATCH /services/data/{version}/sobjects/Lead/{field}/{value}
//	PATCH /services/data/{version}/composite/sobjects/Lead/{field}
//	GET /_admin/leads                 what was received, a list of Lead
//	POST /_admin/expire-tokens        no token is good any more
//	GET, PUT, DELETE /faults          see package fault
package salesforce

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ingestion.internal/local/standin/fault"
)

const (
	maxBody  = 8 << 20
	maxBatch = 200
	audience = "https://login.salesforce.com"
	jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// Client is an app that may get tokens.
type Client struct {
	Secret   string         // for client credentials; empty = that flow is off
	Key      *rsa.PublicKey // of the certificate for JWT bearer; nil = that flow is off
	Username string         // the only subject that the app is approved for
}

// Config is what a Server needs.
type Config struct {
	// Client returns the app with the client id.
	Client func(id string) (Client, bool)
	// ExternalIDFields are Lead's custom fields that are external ids.
	ExternalIDFields []string
}

// Lead is one record.
type Lead struct {
	ID     string         `json:"id"`
	Client string         `json:"client"` // the app that made it; every app has an org of its own
	Fields map[string]any `json:"fields"`
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	cfg     Config
	handler http.Handler

	mu     sync.Mutex
	tokens map[string]string // to client id
	leads  []*Lead
}

// New returns an org without leads.
func New(cfg Config) *Server {
	s := &Server{
		Faults: fault.New(fault.Shape{Error: func(w http.ResponseWriter, status int, message string) {
			code := "UNKNOWN_EXCEPTION"
			if status == http.StatusTooManyRequests {
				// Salesforce refuses by rate with a 403.
				status, code = http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED"
			}
			refuse(w, status, code, message)
		}, NoRetryAfter: true}),
		cfg:    cfg,
		tokens: map[string]string{},
	}
	api := http.NewServeMux()
	api.HandleFunc("POST /services/oauth2/token", s.token)
	api.HandleFunc("PATCH /services/data/{version}/sobjects/Lead/{field}/{value}", s.authorized(s.upsert))
	api.HandleFunc("PATCH /services/data/{version}/composite/sobjects/Lead/{field}", s.authorized(s.collection))
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(api))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("GET /_admin/leads", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, s.Leads()) })
	mux.HandleFunc("POST /_admin/expire-tokens", func(w http.ResponseWriter, _ *http.Request) {
		s.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	s.handler = mux
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Leads returns the records in the order they came.
func (s *Server) Leads() []Lead {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Lead, len(s.leads))
	for i, l := range s.leads {
		out[i] = Lead{ID: l.ID, Client: l.Client, Fields: maps.Clone(l.Fields)}
	}
	return out
}

// Add puts a lead into the org as a person there could, also one with an
// external id that another has.
func (s *Server) Add(client string, fields map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(client, maps.Clone(fields))
}

func (s *Server) add(client string, fields map[string]any) *Lead {
	l := &Lead{ID: fmt.Sprintf("00Q%015d", len(s.leads)+1), Client: client, Fields: fields}
	s.leads = append(s.leads, l)
	return l
}

// ExpireTokens ends every session.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	oauthError := func(code, description string) {
		write(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
	}
	client := r.PostFormValue("client_id")
	switch r.PostFormValue("grant_type") {
	case "client_credentials":
		c, ok := s.cfg.Client(client)
		if !ok || c.Secret == "" || c.Secret != r.PostFormValue("client_secret") {
			oauthError("invalid_client", "invalid client credentials")
			return
		}
	case jwtGrant:
		var err error
		if client, err = s.checkAssertion(r.PostFormValue("assertion")); err != nil {
			oauthError("invalid_grant", err.Error())
			return
		}
	default:
		oauthError("unsupported_grant_type", "grant type not supported")
		return
	}
	token := rand.Text()
	s.mu.Lock()
	s.tokens[token] = client
	s.mu.Unlock()
	write(w, http.StatusOK, map[string]string{
		"access_token": token, "instance_url": "http://" + r.Host, "token_type": "Bearer", "scope": "api",
		"id": audience + "/id/00D/005", "issued_at": fmt.Sprint(time.Now().UnixMilli()),
	})
}

// checkAssertion returns the client id of a JWT, or what is wrong with it.
func (s *Server) checkAssertion(assertion string) (string, error) {
	parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", errors.New("invalid assertion")
	}
	var unverified jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return "", errors.New("invalid assertion")
	}
	c, ok := s.cfg.Client(unverified.Issuer)
	if !ok || c.Key == nil {
		return "", errors.New("client identifier invalid")
	}
	var claims jwt.Claims
	if err := parsed.Claims(c.Key, &claims); err != nil {
		return "", errors.New("invalid assertion")
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{audience}, Time: time.Now()}, 0); err != nil {
		return "", errors.New("expired authorization code or audience is invalid")
	}
	if claims.Expiry == nil || claims.Subject != c.Username {
		return "", errors.New("user hasn't approved this consumer")
	}
	return unverified.Issuer, nil
}

func (s *Server) authorized(next func(client string, w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		client, ok := s.tokens[token]
		s.mu.Unlock()
		switch {
		case !ok:
			refuse(w, http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
		case !slices.Contains(s.cfg.ExternalIDFields, r.PathValue("field")):
			refuse(w, http.StatusNotFound, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+r.PathValue("field"))
		default:
			next(client, w, r)
		}
	}
}

// problem is why a record is refused.
type problem struct {
	code, message string
	fields        []string
	matches       []*Lead // several leads have the external id
}

// write creates or updates the lead with the external id.
func (s *Server) write(client, field, value string, fields map[string]any) (*Lead, bool, *problem) {
	for _, name := range []string{"Id", field} {
		if _, ok := fields[name]; ok {
			return nil, false, &problem{code: "INVALID_FIELD", message: "The " + name + " field should not be specified in the sobject data.", fields: []string{name}}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var matches []*Lead
	for _, l := range s.leads {
		// Salesforce compares external ids without regard to case.
		if held, ok := l.Fields[field].(string); ok && l.Client == client && strings.EqualFold(held, value) {
			matches = append(matches, l)
		}
	}
	if len(matches) > 1 {
		return nil, false, &problem{code: "DUPLICATE_EXTERNAL_ID", message: "more than one record found for external id field", fields: []string{field}, matches: matches}
	}
	if len(matches) == 1 {
		maps.Copy(matches[0].Fields, fields)
		return matches[0], false, nil
	}
	var missing []string
	for _, name := range []string{"LastName", "Company"} {
		if text, _ := fields[name].(string); text == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, false, &problem{code: "REQUIRED_FIELD_MISSING", message: "Required fields are missing: [" + strings.Join(missing, ", ") + "]", fields: missing}
	}
	fields = maps.Clone(fields)
	fields[field] = value
	return s.add(client, fields), true, nil
}

func (s *Server) upsert(client string, w http.ResponseWriter, r *http.Request) {
	var fields map[string]any
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&fields); err != nil {
		refuse(w, http.StatusBadRequest, "JSON_PARSER_ERROR", err.Error())
		return
	}
	lead, created, p := s.write(client, r.PathValue("field"), r.PathValue("value"), fields)
	switch {
	case p != nil && p.matches != nil:
		var links []string
		for _, m := range p.matches {
			links = append(links, "/services/data/"+r.PathValue("version")+"/sobjects/Lead/"+m.ID)
		}
		write(w, http.StatusMultipleChoices, links)
	case p != nil:
		refuse(w, http.StatusBadRequest, p.code, p.message, p.fields...)
	case created:
		write(w, http.StatusCreated, map[string]any{"id": lead.ID, "success": true, "errors": []any{}, "created": true})
	default:
		write(w, http.StatusOK, map[string]any{"id": lead.ID, "success": true, "errors": []any{}, "created": false})
	}
}

func (s *Server) collection(client string, w http.ResponseWriter, r *http.Request) {
	var in struct {
		Records []map[string]any `json:"records"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "JSON_PARSER_ERROR", err.Error())
		return
	}
	if len(in.Records) > maxBatch {
		refuse(w, http.StatusBadRequest, "EXCEEDED_ID_LIMIT", fmt.Sprintf("record limit reached. cannot submit more than %d records in this request", maxBatch))
		return
	}
	field := r.PathValue("field")
	answers := make([]map[string]any, 0, len(in.Records))
	for _, fields := range in.Records {
		value, _ := fields[field].(string)
		delete(fields, field)
		delete(fields, "attributes")
		lead, created, p := s.write(client, field, value, fields)
		if p != nil {
			answers = append(answers, map[string]any{"success": false, "errors": []any{map[string]any{"statusCode": p.code, "message": p.message, "fields": p.fields}}})
			continue
		}
		answers = append(answers, map[string]any{"id": lead.ID, "success": true, "errors": []any{}, "created": created})
	}
	write(w, http.StatusOK, answers)
}

// refuse answers with an error in the shape of the REST API.
func refuse(w http.ResponseWriter, status int, code, message string, fields ...string) {
	p := map[string]any{"message": message, "errorCode": code}
	if len(fields) > 0 {
		p["fields"] = fields
	}
	write(w, status, []any{p})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
