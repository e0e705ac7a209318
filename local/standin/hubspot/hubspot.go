// Package hubspot is a small HubSpot: batch upsert of contacts and notes and
// their association, on the wire protocol of the API's version 2026-03, with
// the refusals that matter: unknown tokens, properties that are not unique,
// values that another record has, ids twice in a batch, invalid addresses.
// Every token has an account of its own.
//
// Served paths:
//
//	POST /crm/objects/2026-03/{contacts|notes}/batch/upsert
//	POST /crm/associations/2026-03/notes/contacts/batch/associate/default
//	GET /_admin/accounts/{account}    what was received, an Account
//	GET, PUT, DELETE /faults          see package fault
package hubspot

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ingestion.internal/local/standin/fault"
)

const (
	maxBody  = 8 << 20
	maxBatch = 100
)

// Config is what a Server needs.
type Config struct {
	// Authorize returns the account that a token belongs to.
	Authorize func(token string) (account string, ok bool)
	// UniqueContactProperties and UniqueNoteProperties are the custom
	// properties with unique values; contacts also have email.
	UniqueContactProperties []string
	UniqueNoteProperties    []string
}

// Record is a contact or a note.
type Record struct {
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties"`
	CreatedAt  time.Time         `json:"createdAt"`
	UpdatedAt  time.Time         `json:"updatedAt"`
	Contacts   []string          `json:"contacts,omitempty"` // of a note: whose it is
}

// Account is what one account has, in the order it came.
type Account struct {
	Contacts []Record `json:"contacts"`
	Notes    []Record `json:"notes"`
}

// account holds the records by kind, "contacts" and "notes".
type account map[string][]*Record

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	cfg     Config
	handler http.Handler

	mu       sync.Mutex
	lastID   int
	accounts map[string]account
}

// New returns a server without records.
func New(cfg Config) *Server {
	s := &Server{
		Faults:   fault.New(fault.Shape{Error: func(w http.ResponseWriter, status int, message string) { refuse(w, status, "", message) }, NoRetryAfter: true}),
		cfg:      cfg,
		lastID:   100,
		accounts: map[string]account{},
	}
	api := http.NewServeMux()
	for kind, unique := range map[string][]string{
		"contacts": append([]string{"email"}, cfg.UniqueContactProperties...),
		"notes":    cfg.UniqueNoteProperties,
	} {
		api.HandleFunc("POST /crm/objects/2026-03/"+kind+"/batch/upsert", func(w http.ResponseWriter, r *http.Request) {
			s.upsert(w, r, kind, unique)
		})
	}
	api.HandleFunc("POST /crm/associations/2026-03/notes/contacts/batch/associate/default", s.associate)
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(api))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("GET /_admin/accounts/{account}", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusOK, s.Account(r.PathValue("account")))
	})
	s.handler = mux
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Account returns what an account has.
func (s *Server) Account(name string) Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := func(records []*Record) []Record {
		out := make([]Record, len(records))
		for i, r := range records {
			out[i] = *r
			out[i].Properties = maps.Clone(r.Properties)
			out[i].Contacts = slices.Clone(r.Contacts)
		}
		return out
	}
	a := s.accounts[name]
	return Account{Contacts: snapshot(a["contacts"]), Notes: snapshot(a["notes"])}
}

type input struct {
	ID         string            `json:"id"`
	IDProperty string            `json:"idProperty"`
	Properties map[string]string `json:"properties"`
	TraceID    string            `json:"objectWriteTraceId"`
}

type problem struct {
	Status   string              `json:"status"`
	Category string              `json:"category"`
	Message  string              `json:"message"`
	Context  map[string][]string `json:"context"`
}

// begin checks the caller and reads the inputs; false if it has answered.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, inputs any) (account string, ok bool) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if found {
		account, ok = s.cfg.Authorize(token)
	}
	if !ok {
		refuse(w, http.StatusUnauthorized, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
		return "", false
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(inputs); err != nil {
		refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON: "+err.Error())
		return "", false
	}
	return account, true
}

func (s *Server) upsert(w http.ResponseWriter, r *http.Request, kind string, unique []string) {
	var in struct {
		Inputs []input `json:"inputs"`
	}
	name, ok := s.begin(w, r, &in)
	if !ok {
		return
	}
	if len(in.Inputs) == 0 || len(in.Inputs) > maxBatch {
		refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf("a batch has 1 to %d inputs, not %d", maxBatch, len(in.Inputs)))
		return
	}
	seen := map[string]bool{}
	for _, x := range in.Inputs {
		if !slices.Contains(unique, x.IDProperty) {
			refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf("property %q is not a unique property of %s", x.IDProperty, kind))
			return
		}
		if seen[strings.ToLower(x.ID)] {
			refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Duplicate IDs found in batch input: "+x.ID)
			return
		}
		seen[strings.ToLower(x.ID)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	results := []map[string]any{}
	var problems []problem
	for _, x := range in.Inputs {
		record, created, problem := s.write(name, kind, unique, x, now)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		results = append(results, map[string]any{
			"id": record.ID, "new": created, "archived": false, "properties": maps.Clone(record.Properties),
			"createdAt": record.CreatedAt, "updatedAt": record.UpdatedAt, "objectWriteTraceId": x.TraceID,
		})
	}
	answer := map[string]any{"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": results}
	status := http.StatusOK
	if len(problems) > 0 {
		status = http.StatusMultiStatus
		answer["numErrors"], answer["errors"] = len(problems), problems
	}
	write(w, status, answer)
}

// write creates or updates one record. Addresses are kept in lower case.
func (s *Server) write(name, kind string, unique []string, x input, now time.Time) (*Record, bool, *problem) {
	fail := func(category, message string) (*Record, bool, *problem) {
		return nil, false, &problem{"error", category, message, map[string][]string{"objectWriteTraceId": {x.TraceID}, "ids": {x.ID}}}
	}
	properties := maps.Clone(x.Properties)
	if properties == nil {
		properties = map[string]string{}
	}
	properties[x.IDProperty] = x.ID
	if address, ok := properties["email"]; ok && kind == "contacts" {
		if _, err := mail.ParseAddress(address); err != nil {
			return fail("VALIDATION_ERROR", "Email address "+address+" is invalid")
		}
		properties["email"] = strings.ToLower(address)
	}
	if kind == "notes" && properties["hs_timestamp"] == "" {
		return fail("VALIDATION_ERROR", "hs_timestamp is required")
	}
	a := s.accounts[name]
	if a == nil {
		a = account{}
		s.accounts[name] = a
	}
	holder := func(property string) *Record {
		i := slices.IndexFunc(a[kind], func(r *Record) bool { return r.Properties[property] == properties[property] })
		if properties[property] == "" || i < 0 {
			return nil
		}
		return a[kind][i]
	}
	record := holder(x.IDProperty)
	for _, property := range unique {
		if other := holder(property); other != nil && other != record {
			return fail("CONFLICT", fmt.Sprintf("%s %q already belongs to record %s", property, properties[property], other.ID))
		}
	}
	created := record == nil
	if created {
		s.lastID++
		record = &Record{ID: strconv.Itoa(s.lastID), Properties: map[string]string{}, CreatedAt: now}
		a[kind] = append(a[kind], record)
	}
	maps.Copy(record.Properties, properties)
	record.UpdatedAt = now
	return record, created, nil
}

func (s *Server) associate(w http.ResponseWriter, r *http.Request) {
	type reference struct {
		ID string `json:"id"`
	}
	var in struct {
		Inputs []struct{ From, To reference } `json:"inputs"`
	}
	name, ok := s.begin(w, r, &in)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	results := []map[string]any{}
	var problems []problem
	for _, x := range in.Inputs {
		note := slices.IndexFunc(a["notes"], func(r *Record) bool { return r.ID == x.From.ID })
		if note < 0 || !slices.ContainsFunc(a["contacts"], func(r *Record) bool { return r.ID == x.To.ID }) {
			problems = append(problems, problem{"error", "OBJECT_NOT_FOUND", fmt.Sprintf("no note %s or no contact %s", x.From.ID, x.To.ID), nil})
			continue
		}
		if n := a["notes"][note]; !slices.Contains(n.Contacts, x.To.ID) {
			n.Contacts = append(n.Contacts, x.To.ID)
		}
		results = append(results, map[string]any{"from": x.From, "to": x.To,
			"associationSpec": map[string]any{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}})
	}
	if len(problems) > 0 {
		write(w, http.StatusMultiStatus, map[string]any{"status": "COMPLETE", "results": results, "numErrors": len(problems), "errors": problems})
		return
	}
	write(w, http.StatusOK, map[string]any{"status": "COMPLETE", "results": results})
}

// refuse answers with an error in HubSpot's shape. A 429 names the policy.
func refuse(w http.ResponseWriter, status int, category, message string) {
	body := map[string]any{"status": "error", "message": message, "correlationId": "local"}
	if category != "" {
		body["category"] = category
	}
	if status == http.StatusTooManyRequests {
		body["errorType"], body["policyName"] = "RATE_LIMIT", "TEN_SECONDLY_ROLLING"
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
