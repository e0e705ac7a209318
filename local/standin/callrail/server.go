// Package callrail is a small CallRail: the parts of its API v3 that the
// platform calls, on the same wire protocol, and the webhook that it sends. A
// call that was registered answers with what it was given; any other id
// answers with a sample script that is picked by the id, so that every call a
// user posts by hand works.
//
// Served paths:
//
//	GET /v3/a/{account}/calls/{id}.json            details, ?fields= as in the API
//	GET /v3/a/{account}/calls/{id}/recording.json  {"url": ...}
//	GET /calls/{id}/recording/redirect             redirects to the audio
//	GET /audio/{id}.wav                            the audio
//	GET /media/{id}.png                            a picture of a text message, drawn from its id
//	POST /_admin/calls                             registers a Call
//	GET, PUT, DELETE /faults                       see package fault
package callrail

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/fault"
)

// RecordingMode says how the recording of a call behaves.
type RecordingMode string

// The modes.
const (
	RecordingServed    RecordingMode = ""          // as it should
	RecordingMissing   RecordingMode = "missing"   // 404
	RecordingElsewhere RecordingMode = "elsewhere" // redirects to Call.RedirectTo
	RecordingHuge      RecordingMode = "huge"      // declares 3 GB and sends them until the caller leaves
	RecordingEndless   RecordingMode = "endless"   // declares no length and never ends
	RecordingNotAudio  RecordingMode = "not-audio" // an HTML page
	RecordingSlow      RecordingMode = "slow"      // stops after the first bytes until the caller leaves
)

var recordingModes = []RecordingMode{RecordingServed, RecordingMissing, RecordingElsewhere,
	RecordingHuge, RecordingEndless, RecordingNotAudio, RecordingSlow}

// hugeBytes is the declared size of a RecordingHuge.
const hugeBytes = 3 << 30

// Call is a phone call that the server knows. Only ID is required: what is
// empty comes from the script.
type Call struct {
	ID              string        `json:"id"`
	Script          string        `json:"script,omitempty"`  // a name of package audio; empty = picked by the id
	Turns           []audio.Turn  `json:"turns,omitempty"`   // what is said, instead of a script
	AccountID       string        `json:"account,omitempty"` // the only account that has the call; empty = any
	CompanyID       string        `json:"companyId,omitempty"`
	CompanyName     string        `json:"companyName,omitempty"`
	CustomerName    string        `json:"customerName,omitempty"`
	CustomerPhone   string        `json:"customerPhone,omitempty"` // E.164
	CustomerCity    string        `json:"customerCity,omitempty"`
	CustomerState   string        `json:"customerState,omitempty"`
	ZIPCode         string        `json:"zipCode,omitempty"`
	TrackingPhone   string        `json:"trackingPhone,omitempty"`   // E.164
	StartTime       time.Time     `json:"startTime,omitzero"`        // zero = when the server started
	DurationSeconds int           `json:"durationSeconds,omitempty"` // of the recording; 0 = what the turns take
	Voicemail       bool          `json:"voicemail,omitempty"`
	Unknown         bool          `json:"unknown,omitempty"` // the API answers 404 for it
	Recording       RecordingMode `json:"recording,omitempty"`
	RedirectTo      string        `json:"redirectTo,omitempty"` // of RecordingElsewhere
}

// Config is what a Server needs.
type Config struct {
	// Authorize says whether the API key belongs to the account.
	Authorize func(account, key string) bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	authorize func(account, key string) bool
	started   time.Time
	accessKey []byte // signs recording URLs
	handler   http.Handler

	mu    sync.Mutex
	calls map[string]Call
}

// New returns a server that knows no calls yet.
func New(cfg Config) *Server {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	s := &Server{
		Faults:    fault.New(fault.Shape{Error: writeError, NoRetryAfter: true}), // CallRail's 429 has no Retry-After
		authorize: cfg.Authorize,
		started:   now(),
		accessKey: []byte(rand.Text()),
		calls:     map[string]Call{},
	}
	api := http.NewServeMux()
	api.HandleFunc("GET /v3/a/{account}/calls/{file}", s.details)
	api.HandleFunc("GET /v3/a/{account}/calls/{id}/recording.json", s.recordingURL)
	api.HandleFunc("GET /calls/{id}/recording/redirect", s.redirect)
	api.HandleFunc("GET /audio/{file}", s.audio)
	api.HandleFunc("GET /media/{file}", s.media)
	api.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "not found")
	})
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(api))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("POST /_admin/calls", s.register)
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

var callID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Register makes the call known, or replaces it.
func (s *Server) Register(c Call) error {
	var errs []error
	if !callID.MatchString(c.ID) {
		errs = append(errs, fmt.Errorf("id %q must be 1 to 64 letters, digits, _ or -", c.ID))
	}
	if c.Script != "" {
		if _, err := audio.Script(c.Script); err != nil {
			errs = append(errs, err)
		}
		if len(c.Turns) > 0 {
			errs = append(errs, errors.New("script and turns exclude each other"))
		}
	}
	if !slices.Contains(recordingModes, c.Recording) {
		errs = append(errs, fmt.Errorf("recording mode %q is none of %q", c.Recording, recordingModes))
	}
	if (c.RedirectTo != "") != (c.Recording == RecordingElsewhere) {
		errs = append(errs, fmt.Errorf("redirectTo goes with recording mode %q, and only with it", RecordingElsewhere))
	}
	if c.DurationSeconds < 0 || c.DurationSeconds > 4*3600 {
		errs = append(errs, fmt.Errorf("durationSeconds %d is not between 0 and 4 hours", c.DurationSeconds))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("callrail: call: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[c.ID] = c
	return nil
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var c Call
	dec := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	dec.DisallowUnknownFields()
	err := dec.Decode(&c)
	if err == nil {
		err = s.Register(c)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"recording": s.RecordingURL(baseURL(r), c.ID)})
}

// call returns the call with everything filled in, its transcript and the
// length of its recording.
func (s *Server) call(id string) (Call, audio.Transcript, time.Duration) {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	c.ID = id
	sample := audio.Pick(id)
	if c.Script != "" {
		sample, _ = audio.Script(c.Script) // Register has checked it
	}
	if len(c.Turns) == 0 {
		c.Turns = sample.Turns
		c.Voicemail = c.Voicemail || sample.Voicemail
		c.CustomerName = cmp.Or(c.CustomerName, sample.Caller.Name)
		c.CustomerPhone = cmp.Or(c.CustomerPhone, sample.Caller.Phone)
		c.CustomerCity = cmp.Or(c.CustomerCity, sample.Caller.City)
		c.CustomerState = cmp.Or(c.CustomerState, sample.Caller.State)
	}
	c.TrackingPhone = cmp.Or(c.TrackingPhone, defaultTrackingPhone)
	c.CompanyName = cmp.Or(c.CompanyName, defaultCompanyName)
	if c.StartTime.IsZero() {
		c.StartTime = s.started
	}
	transcript, length := audio.Lay(c.Turns, time.Duration(c.DurationSeconds)*time.Second)
	return c, transcript, length
}

const (
	defaultTrackingPhone = "+14045550100"
	defaultCompanyName   = "Sample Remodeling"
)

// authorized answers for the caller if the API key is not the account's.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Token token=")
	if key = strings.Trim(key, `"`); ok && key != "" && s.authorize(r.PathValue("account"), key) {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Token realm="Application"`)
	writeError(w, http.StatusUnauthorized, "HTTP Token: Access denied.")
	return false
}

// known answers for the caller if the account has no such call.
func (s *Server) known(w http.ResponseWriter, c Call, account string) bool {
	if c.Unknown || !callID.MatchString(c.ID) || c.AccountID != "" && c.AccountID != account {
		writeError(w, http.StatusNotFound, "The call could not be found.")
		return false
	}
	return true
}

// defaultFields are in every answer; the other fields only on request.
var defaultFields = []string{"answered", "business_phone_number", "customer_city", "customer_country",
	"customer_name", "customer_phone_number", "customer_state", "direction", "duration", "id", "recording",
	"recording_duration", "recording_player", "start_time", "tracking_phone_number", "voicemail"}

// details handles "GET /v3/a/{account}/calls/{id}.json".
func (s *Server) details(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	id, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	if !ok {
		writeError(w, http.StatusNotFound, "not found")
		return
	}
	c, _, length := s.call(id)
	if !s.known(w, c, r.PathValue("account")) {
		return
	}
	seconds := int(length.Seconds())
	api := fmt.Sprintf("%s/v3/a/%s/calls/%s", baseURL(r), url.PathEscape(r.PathValue("account")), id)
	all := map[string]any{
		"answered":                !c.Voicemail,
		"business_phone_number":   nil,
		"customer_city":           c.CustomerCity,
		"customer_country":        "US",
		"customer_name":           c.CustomerName,
		"customer_phone_number":   c.CustomerPhone,
		"customer_state":          c.CustomerState,
		"direction":               "inbound",
		"duration":                seconds,
		"id":                      id,
		"recording":               api + "/recording.json",
		"recording_duration":      seconds,
		"recording_player":        s.RecordingURL(baseURL(r), id),
		"start_time":              c.StartTime.Format(time.RFC3339Nano),
		"tracking_phone_number":   c.TrackingPhone,
		"voicemail":               c.Voicemail,
		"company_id":              nullable(c.CompanyID),
		"company_name":            c.CompanyName,
		"company_time_zone":       "America/Los_Angeles",
		"call_type":               callType(c),
		"created_at":              c.StartTime.Format(time.RFC3339Nano),
		"first_call":              true,
		"formatted_duration":      fmt.Sprintf("%dm %ds", seconds/60, seconds%60),
		"formatted_customer_name": c.CustomerName,
		"lead_status":             nil,
		"note":                    nil,
		"person_id":               nil,
		"sentiment":               nil,
		"source_name":             "Google Ads",
		"tags":                    []string{},
		"transcription":           nil, // only with Premium Conversation Intelligence
		"value":                   nil,
		"zip_code":                nullable(c.ZIPCode),
	}
	names := slices.Clone(defaultFields)
	if fields := r.URL.Query().Get("fields"); fields != "" {
		names = append(names, strings.Split(fields, ",")...)
	}
	out := map[string]any{}
	for _, name := range names {
		v, ok := all[strings.TrimSpace(name)]
		if !ok {
			writeError(w, http.StatusBadRequest, fmt.Sprintf("%q is not a field of a call", name))
			return
		}
		out[strings.TrimSpace(name)] = v
	}
	writeJSON(w, http.StatusOK, out)
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func callType(c Call) string {
	if c.Voicemail {
		return "voicemail"
	}
	return "voice"
}

// recordingURL handles "GET /v3/a/{account}/calls/{id}/recording.json".
func (s *Server) recordingURL(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	c, _, _ := s.call(r.PathValue("id"))
	if !s.known(w, c, r.PathValue("account")) {
		return
	}
	if c.Recording == RecordingMissing {
		writeError(w, http.StatusNotFound, "The call has no recording.")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"url": s.RecordingURL(baseURL(r), c.ID)})
}

// RecordingURL returns the address of the call's recording on the server at
// base: the value of "recording" in the webhook. Whoever has it may listen.
func (s *Server) RecordingURL(base, id string) string {
	return fmt.Sprintf("%s/calls/%s/recording/redirect?access_key=%s", base, url.PathEscape(id), s.sign(id))
}

func (s *Server) sign(id string) string {
	mac := hmac.New(sha256.New, s.accessKey)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// recordingCall returns the call that a recording URL is about; it answers
// for the caller if the URL was not made here.
func (s *Server) recordingCall(w http.ResponseWriter, r *http.Request, id string) (Call, audio.Transcript, time.Duration, bool) {
	if !hmac.Equal([]byte(r.URL.Query().Get("access_key")), []byte(s.sign(id))) {
		writeError(w, http.StatusForbidden, "The access key is not valid for this recording.")
		return Call{}, audio.Transcript{}, 0, false
	}
	c, transcript, length := s.call(id)
	if c.Unknown || c.Recording == RecordingMissing {
		writeError(w, http.StatusNotFound, "The recording could not be found.")
		return Call{}, audio.Transcript{}, 0, false
	}
	return c, transcript, length, true
}

// redirect handles "GET /calls/{id}/recording/redirect".
func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	c, _, _, ok := s.recordingCall(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	to := fmt.Sprintf("%s/audio/%s.wav?access_key=%s", baseURL(r), c.ID, s.sign(c.ID))
	if c.Recording == RecordingElsewhere {
		to = c.RedirectTo
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// audio handles "GET /audio/{id}.wav".
func (s *Server) audio(w http.ResponseWriter, r *http.Request) {
	c, transcript, length, ok := s.recordingCall(w, r, strings.TrimSuffix(r.PathValue("file"), ".wav"))
	if !ok {
		return
	}
	if c.Recording == RecordingNotAudio {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title><p>Sign in to listen to this recording.</p>")
		return
	}
	wav, err := audio.Encode(transcript, length)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "audio/wav")
	switch c.Recording {
	case RecordingHuge:
		w.Header().Set("Content-Length", fmt.Sprint(hugeBytes))
		copyUntil(w, hugeBytes)
	case RecordingEndless:
		copyUntil(w, -1)
	case RecordingSlow:
		w.Header().Set("Content-Length", fmt.Sprint(len(wav)))
		_, _ = w.Write(wav[:1024])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		w.Header().Set("Content-Length", fmt.Sprint(len(wav)))
		_, _ = w.Write(wav)
	}
}

// copyUntil sends n bytes of silence, or without end if n is negative, until
// the caller leaves.
func copyUntil(w io.Writer, n int64) {
	block := make([]byte, 64<<10)
	for sent := int64(0); n < 0 || sent < n; sent += int64(len(block)) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func baseURL(r *http.Request) string { return "http://" + r.Host }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// writeError answers as the API does: a JSON object with "error".
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}
