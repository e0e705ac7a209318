package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/civil"
	"cloud.google.com/go/spanner"
)

// Errors of a conversation. Nothing was written.
var (
	// ErrOtherMessage: the number is another message's.
	ErrOtherMessage = errors.New("a message of this number is known, and says something else")
	// ErrChatFull: the conversation takes no more.
	ErrChatFull = errors.New("the conversation is full")
)

// GapError says that messages before this one are missing. Nothing was written.
type GapError struct{ Expected int64 }

// Error names the number that is expected.
func (e *GapError) Error() string { return fmt.Sprintf("message %d is expected first", e.Expected) }

// chatKept is how long a conversation stays in its own tables once everything
// that was said is part of its request, or nothing was said at all.
const chatKept = 30 * 24 * time.Hour

// States of chat_sessions.
const (
	chatOpen   = "open"
	chatClosed = "closed"
)

// Visitor is what the page knows of who is writing.
type Visitor struct {
	Name  string `json:"name,omitempty"`
	Phone string `json:"phone,omitempty"`
	Email string `json:"email,omitempty"`
	Zip   string `json:"zip,omitempty"`
}

// ChatSession is a row of chat_sessions: one conversation.
type ChatSession struct {
	SessionID   string // UUID
	TokenSHA256 string // hex, of the token that its visitor has
	OfficeID    string // "" = the tenant's first
	Page        string // where it began
	Visitor     Visitor
	Closed      bool
	Last        int64 // number of the last message, 0 = none
	Recorded    int64 // number of the last message that the request knows
	Chars       int64 // of all its messages
	// RecordedAt is when the request last heard of it, zero = never. DueAt is
	// from when on what the request does not know is to reach it, zero = there
	// is nothing.
	RecordedAt, DueAt time.Time
}

// Due tells whether a closed conversation is to reach its request now.
func (s *ChatSession) Due(now time.Time) bool {
	return s.Closed && !s.DueAt.IsZero() && !s.DueAt.After(now)
}

// ChatBounds are those of a conversation.
type ChatBounds struct {
	Quiet    time.Duration // for how long nothing more may come before it counts as quiet
	Messages int64
	Chars    int64 // of all messages
}

// ChatAnswer is what the company's side said to a message.
type ChatAnswer struct {
	Text string
	By   string // assistant, or notice: a fixed sentence
	At   time.Time
}

// ChatMessage is a row of chat_messages: what a visitor said.
type ChatMessage struct {
	Number  int64 // from 1
	Text    string
	Visitor Visitor
	At      time.Time
	Answer  *ChatAnswer // nil = none yet
	// AnsweringUntil is how long the answer is somebody's business already.
	AnsweringUntil time.Time
}

// ChatSaid is what became of a message.
type ChatSaid struct {
	Message   ChatMessage
	Session   ChatSession // after it
	Duplicate bool        // it was known, and nothing was written but the claim
	Reopened  bool
	Claimed   bool // the caller has to answer it
}

// OpenChat makes a conversation. ErrNotFound: the tenant is unknown or inactive.
func (t *Tenant) OpenChat(ctx context.Context, s ChatSession) error {
	visitor, err := visitorJSON(s.Visitor)
	if err != nil {
		return fmt.Errorf("open chat: %w", err)
	}
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if err := t.mustBeActive(ctx, tx); err != nil {
			return err
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.InsertMap("chat_sessions", map[string]any{
			"tenant_id": t.id, "session_id": s.SessionID, "token_sha256": s.TokenSHA256,
			"office_id": nullString(s.OfficeID), "page": nullString(clip(s.Page, maxURL)), "visitor": visitor,
			"state": chatOpen, "last_number": int64(0), "recorded_number": int64(0),
			"expires_at": t.db.now().Add(chatKept), "created_at": spanner.CommitTimestamp, "updated_at": spanner.CommitTimestamp,
		})})
	})
	if err != nil {
		return fmt.Errorf("open chat: %w", err)
	}
	return nil
}

// Chat returns a conversation, or ErrNotFound.
func (t *Tenant) Chat(ctx context.Context, sessionID string) (*ChatSession, error) {
	s, err := t.chat(ctx, t.db.client.Single(), sessionID)
	if err != nil {
		return nil, fmt.Errorf("chat %s: %w", sessionID, err)
	}
	return s, nil
}

// Say keeps the visitor's message, and reserves its answer for the holder of
// the claim until lease from now.
//
// A message that is known is a duplicate, for which nothing is written. If its
// answer is nobody's business any more, the caller gets it. Errors besides
// Spanner's: ErrNotFound, ErrOtherMessage, ErrChatFull, *GapError.
func (t *Tenant) Say(ctx context.Context, sessionID string, m ChatMessage, claim string, lease time.Duration, bounds ChatBounds) (*ChatSaid, error) {
	visitor, err := visitorJSON(m.Visitor)
	if err != nil {
		return nil, fmt.Errorf("say: %w", err)
	}
	var said *ChatSaid
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		said = nil
		if err := t.mustBeActive(ctx, tx); err != nil {
			return err
		}
		s, err := t.chat(ctx, tx, sessionID)
		if err != nil {
			return err
		}
		now := t.db.now()
		if m.Number <= s.Last {
			known, err := t.chatMessages(ctx, tx, sessionID, m.Number-1, 1)
			if err != nil {
				return err
			}
			if len(known) != 1 || known[0].Text != m.Text {
				return ErrOtherMessage
			}
			said = &ChatSaid{Message: known[0], Session: *s, Duplicate: true}
			if known[0].Answer != nil || now.Before(known[0].AnsweringUntil) {
				return nil
			}
			said.Claimed = true
			return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("chat_messages", map[string]any{
				"tenant_id": t.id, "session_id": sessionID, "number": m.Number, "answer_claim": claim, "answering_until": now.Add(lease),
			})})
		}
		if m.Number != s.Last+1 {
			return &GapError{Expected: s.Last + 1}
		}
		chars := s.Chars + int64(utf8.RuneCountInString(m.Text))
		if m.Number > bounds.Messages || chars > bounds.Chars {
			return ErrChatFull
		}
		said = &ChatSaid{Message: m, Session: *s, Reopened: s.Closed, Claimed: true}
		said.Message.At, said.Message.AnsweringUntil = now, now.Add(lease)
		said.Session.Last, said.Session.Closed = m.Number, false
		said.Session.Chars, said.Session.DueAt = chars, now.Add(bounds.Quiet)
		return tx.BufferWrite([]*spanner.Mutation{
			spanner.InsertMap("chat_messages", map[string]any{
				"tenant_id": t.id, "session_id": sessionID, "number": m.Number, "message": m.Text, "visitor": visitor, "said_at": now,
				"answer_claim": claim, "answering_until": now.Add(lease),
			}),
			spanner.UpdateMap("chat_sessions", map[string]any{
				"tenant_id": t.id, "session_id": sessionID, "last_number": m.Number, "said_chars": chars, "state": chatOpen,
				"quiet_shard": sweepShard(sessionID), "quiet_at": now.Add(bounds.Quiet), "expires_at": spanner.NullTime{}, "updated_at": spanner.CommitTimestamp,
			}),
		})
	})
	if err != nil {
		return nil, fmt.Errorf("say: %w", err)
	}
	return said, nil
}

// Answer keeps the answer to a message, unless it has one: the first counts. It
// returns the answer that counts, and whether the conversation is due.
// ErrLostClaim: another has the claim. With claim "" the answer counts where
// nobody has it any more.
func (t *Tenant) Answer(ctx context.Context, sessionID string, number int64, claim string, answer ChatAnswer) (*ChatAnswer, bool, error) {
	var kept *ChatAnswer
	var due bool
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		row, err := tx.ReadRow(ctx, "chat_messages", spanner.Key{t.id, sessionID, number}, []string{"answer", "answered_by", "answered_at", "answer_claim", "answering_until"})
		if err != nil {
			return notFound(err)
		}
		var text, by, holder spanner.NullString
		var at, until spanner.NullTime
		if err := row.Columns(&text, &by, &at, &holder, &until); err != nil {
			return err
		}
		s, err := t.chat(ctx, tx, sessionID)
		if err != nil {
			return err
		}
		now := t.db.now()
		due = s.Due(now)
		switch {
		case text.Valid:
			kept = &ChatAnswer{Text: text.StringVal, By: by.StringVal, At: at.Time}
			return nil
		case claim == "" && until.Valid && now.Before(until.Time), claim != "" && claim != holder.StringVal:
			return ErrLostClaim
		}
		answer.At = now
		kept = &answer
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("chat_messages", map[string]any{
			"tenant_id": t.id, "session_id": sessionID, "number": number, "answer": answer.Text, "answered_by": answer.By, "answered_at": now,
			"answer_claim": spanner.NullString{}, "answering_until": spanner.NullTime{},
		})})
	})
	if err != nil {
		return nil, false, fmt.Errorf("answer to message %d: %w", number, err)
	}
	return kept, due, nil
}

// ChatMessage returns the message of that number, or ErrNotFound.
func (t *Tenant) ChatMessage(ctx context.Context, sessionID string, number int64) (*ChatMessage, error) {
	row, err := t.db.client.Single().ReadRow(ctx, "chat_messages", spanner.Key{t.id, sessionID, number}, chatMessageColumns)
	if err != nil {
		return nil, fmt.Errorf("message %d of chat %s: %w", number, sessionID, notFound(err))
	}
	m, err := chatMessageOf(row)
	if err != nil {
		return nil, fmt.Errorf("message %d of chat %s: %w", number, sessionID, err)
	}
	return m, nil
}

// ChatMessages returns the messages after the one of that number, in order.
func (t *Tenant) ChatMessages(ctx context.Context, sessionID string, after int64) ([]ChatMessage, error) {
	all, err := t.chatMessages(ctx, t.db.client.Single(), sessionID, after, 0)
	if err != nil {
		return nil, fmt.Errorf("messages of chat %s: %w", sessionID, err)
	}
	return all, nil
}

// CloseChat ends a conversation, until somebody says something more. What the
// request does not know is due at once, but not sooner than every after the
// request last heard of the conversation. It returns the conversation as it is
// then.
func (t *Tenant) CloseChat(ctx context.Context, sessionID string, every time.Duration) (*ChatSession, error) {
	var s *ChatSession
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		var err error
		if s, err = t.chat(ctx, tx, sessionID); err != nil || s.Closed {
			return err
		}
		s.Closed = true
		values := map[string]any{"tenant_id": t.id, "session_id": sessionID, "state": chatClosed, "updated_at": spanner.CommitTimestamp}
		if s.Last > s.Recorded {
			s.DueAt = t.db.now()
			if next := s.RecordedAt.Add(every); !s.RecordedAt.IsZero() && next.After(s.DueAt) {
				s.DueAt = next
			}
			values["quiet_at"] = s.DueAt
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("chat_sessions", values)})
	})
	if err != nil {
		return nil, fmt.Errorf("close chat %s: %w", sessionID, err)
	}
	return s, nil
}

// TakeChatAnswers takes answers of the assistant out of the tenant's most of a
// day (UTC), that of now: want, or as many as are left, which may be none. Rows
// of days past are kept for a month.
func (t *Tenant) TakeChatAnswers(ctx context.Context, now time.Time, want, most int64) (granted int64, err error) {
	date := civil.DateOf(now.UTC())
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		granted = 0
		row, err := tx.ReadRow(ctx, "chat_days", spanner.Key{t.id, date}, []string{"answers"})
		var taken int64
		switch err = notFound(err); {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return err
		default:
			if err := row.Column(0, &taken); err != nil {
				return err
			}
		}
		if granted = min(want, most-taken); granted <= 0 {
			granted = 0
			return nil
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.InsertOrUpdateMap("chat_days", map[string]any{
			"tenant_id": t.id, "day": date, "answers": taken + granted,
			"expires_at": date.In(time.UTC).Add(chatKept), "updated_at": spanner.CommitTimestamp,
		})})
	})
	if err != nil {
		return 0, fmt.Errorf("answers of the day: %w", err)
	}
	return granted, nil
}

// ChatRecorded notes that the conversation's request knows the messages through
// that number.
func (t *Tenant) ChatRecorded(ctx context.Context, sessionID string, through int64) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		s, err := t.chat(ctx, tx, sessionID)
		if err != nil || through <= s.Recorded {
			return err
		}
		values := map[string]any{"tenant_id": t.id, "session_id": sessionID, "recorded_number": through, "recorded_at": t.db.now(), "updated_at": spanner.CommitTimestamp}
		if s.Last == through {
			values["quiet_shard"], values["quiet_at"] = spanner.NullInt64{}, spanner.NullTime{}
			values["expires_at"] = t.db.now().Add(chatKept)
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("chat_sessions", values)})
	})
	if err != nil {
		return fmt.Errorf("recorded chat %s: %w", sessionID, err)
	}
	return nil
}

// PostponeChat has a conversation count as quiet only later, because it could
// not become a request now.
func (t *Tenant) PostponeChat(ctx context.Context, sessionID string, wait time.Duration) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		s, err := t.chat(ctx, tx, sessionID)
		if err != nil || s.Last == s.Recorded {
			return err
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("chat_sessions", map[string]any{
			"tenant_id": t.id, "session_id": sessionID, "quiet_at": t.db.now().Add(wait),
		})})
	})
	if err != nil {
		return fmt.Errorf("postpone chat %s: %w", sessionID, err)
	}
	return nil
}

// QuietChat names a conversation that is to become a request.
type QuietChat struct {
	TenantID  string
	SessionID string
}

// QuietChats returns at most limit conversations of all tenants that are closed
// or quiet, and of which something is not part of their request yet.
func (db *DB) QuietChats(ctx context.Context, limit int) ([]QuietChat, error) {
	found, err := dueOfShards(ctx, db, quietChats, limit, func(row *spanner.Row) (c QuietChat, err error) {
		return c, row.Columns(&c.TenantID, &c.SessionID)
	})
	if err != nil {
		return nil, fmt.Errorf("quiet chats: %w", err)
	}
	return found, nil
}

var quietChats = dueIndex{"chat_sessions", "chat_sessions_by_quiet_at", []string{"tenant_id", "session_id"}}

// rowReader is a transaction, or a single read.
type rowReader interface {
	ReadRow(ctx context.Context, table string, key spanner.Key, columns []string) (*spanner.Row, error)
	ReadWithOptions(ctx context.Context, table string, keys spanner.KeySet, columns []string, opts *spanner.ReadOptions) *spanner.RowIterator
}

func (t *Tenant) chat(ctx context.Context, tx rowReader, sessionID string) (*ChatSession, error) {
	row, err := tx.ReadRow(ctx, "chat_sessions", spanner.Key{t.id, sessionID},
		[]string{"token_sha256", "office_id", "page", "visitor", "state", "last_number", "recorded_number", "said_chars", "recorded_at", "quiet_at"})
	if err != nil {
		return nil, notFound(err)
	}
	s := &ChatSession{SessionID: sessionID}
	var office, page spanner.NullString
	var visitor spanner.NullJSON
	var state string
	var chars spanner.NullInt64
	var recorded, due spanner.NullTime
	if err := row.Columns(&s.TokenSHA256, &office, &page, &visitor, &state, &s.Last, &s.Recorded, &chars, &recorded, &due); err != nil {
		return nil, err
	}
	s.Chars, s.RecordedAt, s.DueAt = chars.Int64, recorded.Time, due.Time
	s.OfficeID, s.Page, s.Closed = office.StringVal, page.StringVal, state == chatClosed
	s.Visitor, err = visitorOf(visitor)
	return s, err
}

var chatMessageColumns = []string{"number", "message", "visitor", "said_at", "answer", "answered_by", "answered_at", "answering_until"}

// chatMessages reads the messages after the one of that number, in order; all
// of them if limit is 0. They are read by key, not by query: docs/load.md.
func (t *Tenant) chatMessages(ctx context.Context, tx rowReader, sessionID string, after, limit int64) ([]ChatMessage, error) {
	behind := spanner.KeyRange{Start: spanner.Key{t.id, sessionID, after}, End: spanner.Key{t.id, sessionID}, Kind: spanner.OpenClosed}
	var all []ChatMessage
	err := tx.ReadWithOptions(ctx, "chat_messages", behind, chatMessageColumns, &spanner.ReadOptions{Limit: int(limit)}).Do(func(row *spanner.Row) error {
		m, err := chatMessageOf(row)
		if err == nil {
			all = append(all, *m)
		}
		return err
	})
	return slices.Clip(all), err
}

func chatMessageOf(row *spanner.Row) (*ChatMessage, error) {
	var m ChatMessage
	var visitor spanner.NullJSON
	var answer, by spanner.NullString
	var at, until spanner.NullTime
	err := row.Columns(&m.Number, &m.Text, &visitor, &m.At, &answer, &by, &at, &until)
	if err != nil {
		return nil, err
	}
	m.AnsweringUntil = until.Time
	if answer.Valid {
		m.Answer = &ChatAnswer{Text: answer.StringVal, By: by.StringVal, At: at.Time}
	}
	m.Visitor, err = visitorOf(visitor)
	return &m, err
}

func visitorJSON(v Visitor) (spanner.NullJSON, error) {
	if v == (Visitor{}) {
		return spanner.NullJSON{}, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return spanner.NullJSON{}, err
	}
	return storableJSON(text)
}

func visitorOf(column spanner.NullJSON) (Visitor, error) {
	var v Visitor
	if !column.Valid {
		return v, nil
	}
	text, err := json.Marshal(column.Value)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(text, &v)
}
