// Package sendgrid is a small SendGrid: it takes mail over the v3 API, checks
// it as the API does, and keeps it.
//
// Served paths:
//
//	POST /v3/mail/send
//	GET /v3/messages                  of the query language only (unique_args['name']="value")
//	GET /v3/suppression/bounces/{email}, /v3/suppression/spam_reports/{email}
//	GET /v3/asm/suppressions/global/{email}
//	GET /_admin/messages              what was received, a list of Message
//	PUT, DELETE /_admin/suppressions/{list}/{email}  list: bounces, spam_reports or global
//	GET, PUT, DELETE /faults          see package fault
package sendgrid

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ingestion.internal/local/standin/fault"
)

// Limits of the API: 30 MB for a mail, 1,000 recipients.
const (
	maxBody             = 30 << 20
	maxPersonalizations = 1000
)

// Config is what a Server needs.
type Config struct {
	// Authorize returns the account that an API key belongs to.
	Authorize func(key string) (account string, ok bool)
	// Senders are the verified addresses; empty = every address is.
	Senders []string
}

// Message is a mail to one recipient.
type Message struct {
	ID         string            `json:"id"` // X-Message-Id
	Account    string            `json:"account"`
	From       string            `json:"from"`
	To         string            `json:"to"`
	Subject    string            `json:"subject"`
	Text       string            `json:"text"`
	HTML       string            `json:"html"`
	CustomArgs map[string]string `json:"customArgs,omitempty"`
	Categories []string          `json:"categories,omitempty"`
	ReceivedAt time.Time         `json:"receivedAt"`
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	cfg     Config
	handler http.Handler

	mu         sync.Mutex
	messages   []Message
	suppressed map[string]bool // "list/address"
}

// New returns a server without mail.
func New(cfg Config) *Server {
	s := &Server{Faults: fault.New(fault.Shape{Error: func(w http.ResponseWriter, status int, message string) { refuse(w, status, "", message) }}), cfg: cfg, suppressed: map[string]bool{}}
	api := http.NewServeMux()
	api.HandleFunc("POST /v3/mail/send", s.authorized(s.send))
	api.HandleFunc("GET /v3/messages", s.authorized(s.search))
	api.HandleFunc("GET /v3/suppression/{list}/{email}", s.authorized(func(_ string, w http.ResponseWriter, r *http.Request) {
		found := []any{}
		if email := r.PathValue("email"); s.Suppressed(r.PathValue("list"), email) {
			found = append(found, map[string]any{"created": time.Now().Unix(), "email": email, "reason": "550 no such mailbox"})
		}
		write(w, found)
	}))
	api.HandleFunc("GET /v3/asm/suppressions/global/{email}", s.authorized(func(_ string, w http.ResponseWriter, r *http.Request) {
		found := map[string]any{}
		if email := r.PathValue("email"); s.Suppressed("global", email) {
			found["recipient_email"] = email
		}
		write(w, found)
	}))
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(api))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("GET /_admin/messages", func(w http.ResponseWriter, _ *http.Request) {
		write(w, s.Messages())
	})
	mux.HandleFunc("PUT /_admin/suppressions/{list}/{email}", func(_ http.ResponseWriter, r *http.Request) {
		s.Suppress(r.PathValue("list"), r.PathValue("email"), true)
	})
	mux.HandleFunc("DELETE /_admin/suppressions/{list}/{email}", func(_ http.ResponseWriter, r *http.Request) {
		s.Suppress(r.PathValue("list"), r.PathValue("email"), false)
	})
	s.handler = mux
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Messages returns the mail in the order it came.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message{}, s.messages...)
}

// Suppress puts an address on a list (bounces, spam_reports, global) of those
// that mail is taken for and not delivered to, or takes it off.
func (s *Server) Suppress(list, email string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suppressed[list+"/"+strings.ToLower(email)] = on
}

// Suppressed says whether an address is on a list.
func (s *Server) Suppressed(list, email string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suppressed[list+"/"+strings.ToLower(email)]
}

// authorized lets only calls with a known key through to h.
func (s *Server) authorized(h func(account string, w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		account, ok := s.cfg.Authorize(key)
		if !ok {
			refuse(w, http.StatusUnauthorized, "", "The provided authorization grant is invalid, expired, or revoked")
			return
		}
		h(account, w, r)
	}
}

// byArgument is the one form of a query that the stand-in understands.
var byArgument = regexp.MustCompile(`^\(unique_args\['([^']+)'\]="([^"]*)"\)$`)

// search answers as the Email Activity Feed does.
func (s *Server) search(account string, w http.ResponseWriter, r *http.Request) {
	m := byArgument.FindStringSubmatch(r.URL.Query().Get("query"))
	if m == nil {
		refuse(w, http.StatusBadRequest, "query", "invalid query")
		return
	}
	found := []any{}
	for _, message := range s.Messages() {
		if message.Account == account && message.CustomArgs[m[1]] == m[2] {
			found = append(found, map[string]any{"from_email": message.From, "msg_id": message.ID + ".filter", "subject": message.Subject, "to_email": message.To,
				"status": "delivered", "opens_count": 0, "clicks_count": 0, "last_event_time": message.ReceivedAt})
		}
	}
	write(w, map[string]any{"messages": found})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

type address struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

type request struct {
	Personalizations []struct {
		To         []address         `json:"to"`
		Subject    string            `json:"subject"`
		CustomArgs map[string]string `json:"custom_args"`
	} `json:"personalizations"`
	From    address `json:"from"`
	Subject string  `json:"subject"`
	Content []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"content"`
	Categories []string `json:"categories"`
}

// fault returns the first thing the API would refuse, with its field.
func (r *request) fault() (field, message string) {
	switch n := len(r.Personalizations); {
	case n == 0:
		return "personalizations", "The personalizations field is required and must have at least one personalization."
	case n > maxPersonalizations:
		return "personalizations", fmt.Sprintf("The personalization block is limited to %d personalizations per API request.", maxPersonalizations)
	}
	if _, err := mail.ParseAddress(r.From.Email); err != nil {
		return "from.email", "Does not contain a valid address."
	}
	for i, p := range r.Personalizations {
		if len(p.To) == 0 {
			return fmt.Sprintf("personalizations.%d.to", i), "The to array is required for all personalization objects, and must have at least one email object with a valid email address."
		}
		for j, to := range p.To {
			if _, err := mail.ParseAddress(to.Email); err != nil {
				return fmt.Sprintf("personalizations.%d.to.%d.email", i, j), "Does not contain a valid address."
			}
		}
		if p.Subject == "" && r.Subject == "" {
			return "subject", "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined."
		}
	}
	if len(r.Content) == 0 {
		return "content", "Unless a valid template_id is provided, the content parameter is required."
	}
	for i, c := range r.Content {
		if c.Value == "" {
			return fmt.Sprintf("content.%d.value", i), "The content value must be a string at least one character in length."
		}
		if c.Type == "text/plain" && i > 0 {
			return "content", "If present, text/plain and text/html may only be provided once, and text/plain must be first."
		}
	}
	return "", ""
}

func (s *Server) send(account string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return // the caller has left
	}
	var in request
	if len(body) > maxBody {
		refuse(w, http.StatusRequestEntityTooLarge, "", "The JSON payload you have included in your request is too large.")
		return
	}
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, http.StatusBadRequest, "", "Bad Request")
		return
	}
	if field, message := in.fault(); message != "" {
		refuse(w, http.StatusBadRequest, field, message)
		return
	}
	if len(s.cfg.Senders) > 0 && !slices.ContainsFunc(s.cfg.Senders, func(a string) bool { return strings.EqualFold(a, in.From.Email) }) {
		refuse(w, http.StatusForbidden, "from", "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.")
		return
	}
	id := rand.Text()
	s.keep(account, id, in)
	w.Header().Set("X-Message-Id", id)
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) keep(account, id string, in request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range in.Personalizations {
		for _, to := range p.To {
			m := Message{ID: id, Account: account, From: (&mail.Address{Name: in.From.Name, Address: in.From.Email}).String(), To: to.Email,
				Subject: in.Subject, CustomArgs: p.CustomArgs, Categories: in.Categories, ReceivedAt: time.Now().UTC()}
			if p.Subject != "" {
				m.Subject = p.Subject
			}
			for _, c := range in.Content {
				switch c.Type {
				case "text/plain":
					m.Text = c.Value
				case "text/html":
					m.HTML = c.Value
				}
			}
			s.messages = append(s.messages, m)
		}
	}
}

// refuse answers with an error in SendGrid's shape.
func refuse(w http.ResponseWriter, status int, field, message string) {
	problem := map[string]any{"message": message, "field": nil, "help": nil}
	if field != "" {
		problem["field"] = field
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{problem}})
}
