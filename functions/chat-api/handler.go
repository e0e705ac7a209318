package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"ingestion.internal/shared/assistant"
	"ingestion.internal/shared/chat"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/publicapi"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
)

// acceptTimeout bounds everything between a request's last byte and the moment
// from which on nothing of it can be lost.
const acceptTimeout = 8 * time.Second

// tokenHeader has what proves that a visitor is the one who began the
// conversation: its tenant, a full stop and a random word. It is never part of
// an address, which logs and histories keep.
const tokenHeader = "Chat-Token"

type handler struct {
	db       *store.DB
	enqueuer *pipeline.Enqueuer
	guard    *publicapi.Guard
	running  *hub
	answers  *allowance

	assistant speaker
}

// speaker answers the last turn of a conversation from the facts, sentence by
// sentence. An error says why there are not more of them.
type speaker interface {
	Answer(ctx context.Context, facts []string, conversation []assistant.Turn, say func(string)) error
}

func (h *handler) mount(r chi.Router) {
	const base = "/api/v1/chat/sessions"
	for path, routes := range map[string]map[string]service.Handler{
		base:                    {http.MethodPost: h.open},
		base + "/{id}/messages": {http.MethodPost: h.say, http.MethodGet: h.conversation},
		base + "/{id}/close":    {http.MethodPost: h.close},
	} {
		r.Options(path, publicapi.Preflight)
		for method, handle := range routes {
			var next http.Handler = handle
			if method == http.MethodPost {
				next = service.RequireJSON(handle)
			}
			r.Method(method, path, next)
		}
	}
}

// unauthorized is one and the same answer to everything that names no
// conversation of an active tenant with a chat, so that nobody learns which
// there are.
func unauthorized(why error) error { return problem.Wrap(problem.Unauthorized, "", why) }

// lets returns what the tenant's chat lets in, with the limits of the chat.
func (h *handler) lets(ctx context.Context, tenantID string) (intake.Config, error) {
	if !tenant.ValidID(tenantID) {
		return intake.Config{}, unauthorized(fmt.Errorf("%q cannot be a tenant", tenantID))
	}
	lets, err := h.db.Directory().Intake(ctx, tenantID)
	if errors.Is(err, store.ErrNotFound) {
		return intake.Config{}, unauthorized(err)
	}
	if err != nil {
		return intake.Config{}, err
	}
	if !lets.Chat.Enabled {
		return intake.Config{}, unauthorized(fmt.Errorf("tenant %s has no chat", tenantID))
	}
	lets.PerMinute, lets.PerAddress = lets.Chat.PerMinute, lets.Chat.PerAddress
	return lets, nil
}

// opened is the answer to a new conversation.
type opened struct {
	SessionID string `json:"session_id"`
	Token     string `json:"token"`
	terms
}

// terms are what a page has to know of a conversation.
type terms struct {
	Streams         bool   `json:"streams"`
	Assistant       bool   `json:"assistant"`
	Greeting        string `json:"greeting"`
	MaxMessageChars int    `json:"max_message_chars"`
	ExpectedNumber  int64  `json:"expected_number"`
}

func termsOf(lets intake.Chat, last int64) terms {
	return terms{Streams: lets.Streams, Assistant: lets.Assistant, Greeting: lets.Greeting, MaxMessageChars: maxMessageChars, ExpectedNumber: last + 1}
}

// open handles POST /api/v1/chat/sessions: 201 with the conversation's id and
// the token that its other routes want.
func (h *handler) open(w http.ResponseWriter, r *http.Request) error {
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	in, err := parseSession(body)
	if err != nil {
		return err
	}
	lets, err := h.lets(ctx, in.TenantID)
	if err != nil {
		return err
	}
	if err := h.guard.Admit(w, r, in.TenantID, lets); err != nil {
		return err
	}
	ctx = logging.WithTenant(ctx, in.TenantID)
	if err := h.office(ctx, in.TenantID, in.OfficeID); err != nil {
		return err
	}
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails: crypto/rand
	token := in.TenantID + "." + base64.RawURLEncoding.EncodeToString(secret)
	session := store.ChatSession{
		SessionID: uuid.NewString(), TokenSHA256: digest(token),
		OfficeID: in.OfficeID, Page: in.Page, Visitor: in.visitor(),
	}
	switch err := h.db.Tenant(in.TenantID).OpenChat(ctx, session); {
	case errors.Is(err, store.ErrNotFound): // it became inactive since
		return unauthorized(err)
	case err != nil:
		return err
	}
	service.WriteJSON(w, http.StatusCreated, opened{session.SessionID, token, termsOf(lets.Chat, 0)})
	return nil
}

// office checks that the page names an active office of its tenant, or none.
func (h *handler) office(ctx context.Context, tenantID, officeID string) error {
	if officeID == "" {
		return nil
	}
	offices, err := h.db.Directory().Offices(ctx, tenantID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !slices.ContainsFunc(offices, func(o store.Office) bool { return o.OfficeID == officeID }) {
		return unauthorized(fmt.Errorf("tenant %s has no office %q", tenantID, officeID))
	}
	return err
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// visit is a request about a conversation by whoever began it.
type visit struct {
	tenant  *store.Tenant
	lets    intake.Chat
	session *store.ChatSession
}

// enter proves the token of a conversation. Only then the request counts among
// its tenant's: a token that somebody made up must not use up everybody's limit.
func (h *handler) enter(w http.ResponseWriter, r *http.Request) (*visit, error) {
	token := r.Header.Get(tokenHeader)
	tenantID, _, _ := strings.Cut(token, ".")
	lets, err := h.lets(r.Context(), tenantID)
	if err != nil {
		return nil, err
	}
	if err := h.guard.AdmitCaller(w, r, tenantID, lets); err != nil {
		return nil, err
	}
	id := chi.URLParam(r, "id")
	if uuid.Validate(id) != nil || len(id) != 36 {
		return nil, unauthorized(fmt.Errorf("%q cannot be a conversation", id))
	}
	handle := h.db.Tenant(tenantID)
	session, err := handle.Chat(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unauthorized(err)
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(digest(token)), []byte(session.TokenSHA256)) != 1 {
		return nil, unauthorized(fmt.Errorf("tenant %s: the token is not that of conversation %s", tenantID, id))
	}
	if err := h.guard.AdmitTenant(tenantID, lets); err != nil {
		return nil, err
	}
	return &visit{tenant: handle, lets: lets.Chat, session: session}, nil
}

// key names one message's answer among all.
func (v *visit) key(number int64) string {
	return fmt.Sprintf("%s/%s/%d", v.tenant.ID(), v.session.SessionID, number)
}

// closed is the answer to a conversation's end.
type closed struct {
	SessionID string `json:"session_id"`
	State     string `json:"state"`
	RequestID string `json:"request_id,omitempty"` // none where nothing was said
	// RecordsAt is from when on the request knows what was said last, if that
	// is later.
	RecordsAt *time.Time `json:"records_at,omitempty"`
}

// close handles POST /api/v1/chat/sessions/{id}/close: 200, as often as it is
// called. What was said becomes a request, at once if it can; what is said to a
// request that was there already reaches it once in quietAfter at most, because
// each time the whole conversation is analysed.
func (h *handler) close(w http.ResponseWriter, r *http.Request) error {
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	if err := parseNothing(body); err != nil {
		return err
	}
	v, err := h.enter(w, r)
	if err != nil {
		return err
	}
	session, err := v.tenant.CloseChat(ctx, v.session.SessionID, v.lets.Quiet())
	if err != nil {
		return err
	}
	answer := closed{SessionID: session.SessionID, State: stateOf(session)}
	if session.Last > 0 {
		answer.RequestID = chat.RequestID(v.tenant.ID(), session.SessionID)
		switch now := time.Now(); {
		case session.Due(now):
			h.record(ctx, v.tenant.ID(), session.SessionID)
		case session.DueAt.After(now):
			at := session.DueAt.UTC()
			answer.RecordsAt = &at
		}
	}
	service.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// record makes a request of the conversation. What cannot be done now is in the
// table, and the sweeper does it.
func (h *handler) record(ctx context.Context, tenantID, sessionID string) {
	if _, err := pipeline.RecordChat(ctx, h.db, h.enqueuer, tenantID, sessionID); err != nil {
		slog.WarnContext(logging.WithTenant(ctx, tenantID), "a closed conversation is left to the sweeper", slog.Any("error", err))
	}
}

func stateOf(s *store.ChatSession) string {
	if s.Closed {
		return "closed"
	}
	return "open"
}
