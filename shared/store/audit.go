package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/google/uuid"

	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// Actions that the store itself puts into the audit trail. Stages and effects
// add their own.
const (
	ActionAccepted      = "accepted"          // the event that made the request
	ActionRevised       = "revised"           // a later event
	ActionAttemptFailed = "attempt.failed"    // another will follow
	ActionStageFailed   = "stage.failed"      // no retry can mend it
	ActionDeadLetter    = "stage.dead_letter" // the attempts ran out
	ActionTakenUp       = "stage.taken_up"    // the sweeper enqueued it again
)

// Entry is one line of a request's audit trail: what was done and why. The
// store fills in when and by whom, and the stage and its workflow's hash where
// the entry is part of a stage's outcome.
type Entry struct {
	Action        string         `json:"action"`              // what, as in crm.sent
	Reason        string         `json:"reason,omitzero"`     // why, a sentence for an operator; no secrets
	Stage         topology.Stage `json:"stage"`               // "" before the first
	ConfigHash    string         `json:"configHash,omitzero"` // of the workflow_config it was done by, see ConfigHash
	PromptVersion string         `json:"promptVersion,omitzero"`
	Model         string         `json:"model,omitzero"`
	Details       map[string]any `json:"details,omitempty"` // what else there is to know; JSON values, no secrets

	At    time.Time `json:"at,omitzero"`    // when it was committed; the store's to set
	Actor string    `json:"actor,omitzero"` // the revision of the service; the store's to set
}

// Widths of columns of request_audit, in characters.
const (
	maxAction = 50
	maxActor  = 200
	maxPrompt = 100
)

// insertEntries returns the mutations that append entries to the request's
// audit trail. They are part of the transaction that does what they say.
func (t *Tenant) insertEntries(requestID string, stage topology.Stage, configHash string, entries []Entry) ([]*spanner.Mutation, error) {
	mutations := make([]*spanner.Mutation, 0, len(entries))
	for i, e := range entries {
		if e.Stage == "" {
			e.Stage = stage
		}
		if e.ConfigHash == "" {
			e.ConfigHash = configHash
		}
		details := spanner.NullJSON{}
		if len(e.Details) > 0 {
			raw, err := json.Marshal(e.Details)
			if err != nil {
				return nil, fmt.Errorf("audit entry %s: %w", e.Action, err)
			}
			if details, err = storableJSON(raw); err != nil {
				return nil, fmt.Errorf("audit entry %s: %w", e.Action, err)
			}
		}
		mutations = append(mutations, spanner.InsertMap("request_audit", map[string]any{
			"tenant_id":      t.id,
			"request_id":     requestID,
			"entry_id":       uuid.NewString(),
			"written_at":     spanner.CommitTimestamp,
			"position":       i,
			"stage":          nullString(string(e.Stage)),
			"action":         clip(e.Action, maxAction),
			"reason":         nullString(clip(e.Reason, maxReason)),
			"actor":          nullString(clip(t.db.actor, maxActor)),
			"config_hash":    nullString(e.ConfigHash),
			"prompt_version": nullString(clip(e.PromptVersion, maxPrompt)),
			"model":          nullString(clip(e.Model, maxPrompt)),
			"details":        details,
		}))
	}
	return mutations, nil
}

// ConfigHash names a workflow by what it says: 16 hexadecimal digits, the same
// for the same configuration.
func ConfigHash(cfg workflow.Config) string {
	text, err := json.Marshal(cfg)
	if err != nil { // it has no number that JSON cannot say: Parse refuses them
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Story is all there is to know about a request at one moment.
type Story struct {
	Request    *Request      `json:"request"`
	Office     *Office       `json:"office,omitzero"` // the request's, or the tenant's first; nil where there is none
	Stages     []StageStatus `json:"stages"`
	Recordings []Recording   `json:"recordings"`
	Effects    []Effect      `json:"effects"` // in the order in which they are carried out
	Entries    []Entry       `json:"entries"` // the audit trail, the oldest first
	Links      []Link        `json:"links"`   // other requests of the same person, the latest first
}

// Story reads everything about a request in one consistent read, or
// ErrNotFound.
func (t *Tenant) Story(ctx context.Context, requestID string) (*Story, error) {
	tx := t.db.client.ReadOnlyTransaction()
	defer tx.Close()
	s, err := t.story(ctx, tx, requestID)
	if err != nil {
		return nil, fmt.Errorf("story of request %s: %w", requestID, err)
	}
	return s, nil
}

func (t *Tenant) story(ctx context.Context, tx reader, requestID string) (*Story, error) {
	request, err := t.request(ctx, tx, requestID)
	if err != nil {
		return nil, err
	}
	s := &Story{Request: request}
	if s.Office, err = t.office(ctx, tx, request.OfficeID); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if s.Stages, err = t.stages(ctx, tx, requestID); err != nil {
		return nil, err
	}
	if request.CallID != "" {
		if s.Recordings, err = t.recordings(ctx, tx, request.CallID); err != nil {
			return nil, err
		}
	}
	if s.Effects, err = t.effects(ctx, tx, requestID); err != nil {
		return nil, err
	}
	if s.Links, err = t.history(ctx, tx, request, time.Time{}); err != nil {
		return nil, err
	}
	s.Entries, err = t.entries(ctx, tx, requestID)
	return s, err
}

// entries returns the request's audit trail, the oldest first.
func (t *Tenant) entries(ctx context.Context, tx reader, requestID string) ([]Entry, error) {
	var all []Entry
	err := tx.Query(ctx, spanner.Statement{
		SQL: `SELECT written_at, IFNULL(stage, ''), action, IFNULL(reason, ''), IFNULL(actor, ''), IFNULL(config_hash, ''),
				IFNULL(prompt_version, ''), IFNULL(model, ''), IFNULL(TO_JSON_STRING(details), '')
			FROM request_audit WHERE tenant_id = @tenant AND request_id = @request ORDER BY written_at, position, entry_id`,
		Params: t.key(requestID),
	}).Do(func(row *spanner.Row) error {
		var e Entry
		var details string
		if err := row.Columns(&e.At, (*string)(&e.Stage), &e.Action, &e.Reason, &e.Actor, &e.ConfigHash,
			&e.PromptVersion, &e.Model, &details); err != nil {
			return err
		}
		if details != "" && details != "null" {
			if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
				return fmt.Errorf("details of %s: %w", e.Action, err)
			}
		}
		all = append(all, e)
		return nil
	})
	return all, err
}
