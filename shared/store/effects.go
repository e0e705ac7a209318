package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/google/uuid"

	"ingestion.internal/shared/topology"
)

// Kinds of effects, in the order in which those of one request are carried out.
const (
	EffectCRM   = "crm"
	EffectEmail = "email"
)

// States of an effect.
const (
	EffectPlanned = "planned" // due at its next attempt
	EffectSending = "sending" // being carried out, or nobody knows how that went
	EffectSent    = "sent"
	EffectSkipped = "skipped" // for a reason that the cause gives
	EffectParked  = "parked"  // until the provider's settings are mended
	EffectFailed  = "failed"  // no retry can mend it
)

// Modes of an effect.
const (
	ModeImmediate = "immediate"
	ModeBatch     = "batch"  // with others of its tenant and provider
	ModeDigest    = "digest" // with others of its tenant and recipient
)

// Widths of columns of request_effects, in characters.
const (
	maxTarget   = 320
	maxExternal = 200
	maxSecret   = 255
)

// EffectKey names one effect of one request of a tenant.
type EffectKey struct {
	RequestID string `json:"requestId"`
	Kind      string `json:"kind"`   // EffectCRM or EffectEmail
	Target    string `json:"target"` // the provider, or the recipient
}

// Effect is one row of request_effects.
type Effect struct {
	EffectKey
	State         string    `json:"state"`
	Mode          string    `json:"mode,omitzero"`
	Attempts      int       `json:"attempts"`
	NextAttempt   time.Time `json:"nextAttempt,omitzero"` // zero once it is over
	MessageID     string    `json:"messageId,omitzero"`   // of the mail that it is sent in
	ExternalID    string    `json:"externalId,omitzero"`  // the provider's id of what it made
	Cause         string    `json:"cause,omitzero"`
	SecretVersion string    `json:"secretVersion,omitzero"` // that the provider refused, while it is parked
	PlannedAt     time.Time `json:"plannedAt,omitzero"`
	SendingAt     time.Time `json:"sendingAt,omitzero"` // when it was first being sent with this message id
	FinishedAt    time.Time `json:"finishedAt,omitzero"`
	// Withdrawn: a decision since does not call for it.
	Withdrawn bool `json:"withdrawn,omitzero"`
}

// Open says whether something is left to do.
func (e *Effect) Open() bool { return open(e.State) }

func open(state string) bool {
	return state == EffectPlanned || state == EffectSending || state == EffectParked
}

// PlannedEffect is an effect that a stage's outcome calls for. What is there
// already is not planned again, with three exceptions: a record in a CRM is
// written once more, also one that is being written just now, because that
// brings it up to date, where a second mail would only be a second mail; what
// was withdrawn before anybody did it; and what was to leave with others and is
// now to leave at once. And a mail is sent again that was sent before
// AgainAfter, because it is not what the next one tells of.
type PlannedEffect struct {
	Kind       string
	Target     string
	Mode       string
	NotBefore  time.Time // zero: at once
	AgainAfter time.Time // zero: never
}

// How long after it is due an effect is taken up by the dispatcher: the
// delivery stage, which knows of it at once, comes first.
const deliveryGrace = 30 * time.Second

// CauseWithdrawn begins the cause of an effect that was skipped because a later
// decision does not call for it.
const CauseWithdrawn = "the request was decided again, and this no longer follows"

// withdraw returns the mutations that skip what was planned before and is not
// planned again. What is just being carried out is marked: it may be done by the
// end of the attempt, but nothing is tried after it.
func (t *Tenant) withdraw(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string, planned []PlannedEffect) ([]*spanner.Mutation, error) {
	rows, err := t.queryEffects(ctx, tx, `request_id = @request AND state IN ('planned', 'parked', 'sending')`, map[string]any{"request": requestID})
	if err != nil {
		return nil, err
	}
	var mutations []*spanner.Mutation
	for _, row := range rows {
		if slices.ContainsFunc(planned, func(p PlannedEffect) bool { return p.Kind == row.Kind && clip(p.Target, maxTarget) == row.Target }) {
			continue
		}
		values := t.effectKey(row.EffectKey)
		values["withdrawn_at"] = t.db.now()
		if row.State != EffectSending {
			entries, err := t.insertEntries(requestID, topology.Workflow, "", []Entry{withdrawnEntry(row.EffectKey, row.State)})
			if err != nil {
				return nil, err
			}
			mutations = append(mutations, entries...)
			values["state"] = EffectSkipped
			values["cause"] = CauseWithdrawn
			values["next_attempt_at"] = spanner.NullTime{}
			values["due_after"] = spanner.NullTime{}
			values["finished_at"] = spanner.CommitTimestamp
		}
		mutations = append(mutations, spanner.UpdateMap("request_effects", values))
	}
	return mutations, nil
}

// withdrawnEntry tells the audit trail that an effect was skipped that was in
// that state.
func withdrawnEntry(k EffectKey, was string) Entry {
	return Entry{Action: k.Kind + "." + EffectSkipped, Reason: CauseWithdrawn, Details: map[string]any{"target": k.Target, "was": was}}
}

// planEffects returns the mutations that plan effects, and why those that are
// not planned are not.
func (t *Tenant) planEffects(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string, planned []PlannedEffect) ([]*spanner.Mutation, map[EffectKey]string, error) {
	var mutations []*spanner.Mutation
	kept := map[EffectKey]string{}
	for _, p := range planned {
		key := EffectKey{requestID, p.Kind, clip(p.Target, maxTarget)}
		present, err := t.effect(ctx, tx, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, nil, err
		}
		values := t.effectKey(key)
		values["withdrawn_at"] = spanner.NullTime{}
		if present != nil {
			why := present.keeps(p)
			again := present.State == EffectSending && p.Kind == EffectCRM
			if again {
				// With the facts of before: FinishEffects sees that it was planned
				// meanwhile.
				values["planned_at"] = spanner.CommitTimestamp
			} else if why != "" {
				kept[key] = why
			}
			if again || why != "" {
				mutations = append(mutations, spanner.UpdateMap("request_effects", values))
				continue
			}
		}
		next := p.NotBefore
		if next.IsZero() {
			next = t.db.now()
		}
		values["state"] = EffectPlanned
		values["mode"] = p.Mode
		values["attempts"] = 0
		values["next_attempt_at"] = next
		values["due_after"] = next.Add(deliveryGrace)
		values["due_shard"] = sweepShard(requestID)
		values["cause"] = spanner.NullString{}
		values["finished_at"] = spanner.NullTime{}
		values["planned_at"] = spanner.CommitTimestamp
		mutations = append(mutations, spanner.InsertOrUpdateMap("request_effects", values))
	}
	return mutations, kept, nil
}

// keeps tells why an effect that is there is not planned again, "" if it is.
func (e *Effect) keeps(p PlannedEffect) string {
	switch {
	case e.State == EffectPlanned && e.Mode == ModeBatch && p.Mode == ModeImmediate:
		return ""
	case e.Open():
		return "it is " + e.State + " already"
	case p.Kind == EffectCRM, e.State == EffectSkipped && e.Withdrawn:
		return ""
	case e.State == EffectSent && e.FinishedAt.Before(p.AgainAfter):
		return ""
	case e.State == EffectSent:
		return "it was sent on " + e.FinishedAt.UTC().Format(time.RFC3339) + ", and is not sent twice"
	}
	return "it was " + e.State + " before: " + e.Cause
}

// ActionKept is in the audit trail that an effect follows again, and was left as
// it is.
const ActionKept = "kept"

// asPlanned tells of the effects that were left as they are, in place of what
// the stage took for planned.
func asPlanned(entries []Entry, requestID string, kept map[EffectKey]string) []Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		kind, planned := strings.CutSuffix(e.Action, "."+EffectPlanned)
		target, _ := e.Details["target"].(string)
		if why := kept[EffectKey{requestID, kind, clip(target, maxTarget)}]; planned && why != "" {
			entries[i].Action, entries[i].Reason = kind+"."+ActionKept, e.Reason+"; "+why
		}
	}
	return entries
}

func (t *Tenant) effectKey(k EffectKey) map[string]any {
	return map[string]any{"tenant_id": t.id, "request_id": k.RequestID, "effect": k.Kind, "target": k.Target}
}

const effectColumns = `request_id, effect, target, state, IFNULL(mode, 'immediate'), attempts, next_attempt_at, lease_until, IFNULL(message_id, ''),
	IFNULL(external_id, ''), IFNULL(cause, ''), IFNULL(secret_version, ''), planned_at, sending_at, finished_at, IFNULL(claim_id, ''), withdrawn_at IS NOT NULL`

// effectRow is an effect with what only the store needs.
type effectRow struct {
	Effect

	leaseUntil time.Time
	claim      string // of whoever has it, or had it last
}

func (t *Tenant) queryEffects(ctx context.Context, tx reader, where string, params map[string]any) ([]effectRow, error) {
	params["tenant"] = t.id
	var all []effectRow
	err := tx.Query(ctx, spanner.Statement{
		SQL:    `SELECT ` + effectColumns + ` FROM request_effects WHERE tenant_id = @tenant AND ` + where,
		Params: params,
	}).Do(func(row *spanner.Row) error {
		var e effectRow
		var attempts int64
		var next, lease, planned, sending, finished spanner.NullTime
		if err := row.Columns(&e.RequestID, &e.Kind, &e.Target, &e.State, &e.Mode, &attempts, &next, &lease, &e.MessageID,
			&e.ExternalID, &e.Cause, &e.SecretVersion, &planned, &sending, &finished, &e.claim, &e.Withdrawn); err != nil {
			return err
		}
		e.Attempts, e.NextAttempt, e.leaseUntil = int(attempts), next.Time, lease.Time
		e.PlannedAt, e.SendingAt, e.FinishedAt = planned.Time, sending.Time, finished.Time
		all = append(all, e)
		return nil
	})
	slices.SortFunc(all, func(a, b effectRow) int {
		return strings.Compare(a.RequestID+"\x00"+a.Kind+"\x00"+a.Target, b.RequestID+"\x00"+b.Kind+"\x00"+b.Target)
	})
	return all, err
}

func (t *Tenant) effect(ctx context.Context, tx reader, k EffectKey) (*effectRow, error) {
	rows, err := t.queryEffects(ctx, tx, `request_id = @request AND effect = @effect AND target = @target`,
		map[string]any{"request": k.RequestID, "effect": k.Kind, "target": k.Target})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	return &rows[0], nil
}

// Effects returns the request's effects in the order in which they are carried
// out: records in CRMs before mails.
func (t *Tenant) Effects(ctx context.Context, requestID string) ([]Effect, error) {
	all, err := t.effects(ctx, t.db.client.Single(), requestID)
	if err != nil {
		return nil, fmt.Errorf("effects of request %s: %w", requestID, err)
	}
	return all, nil
}

func (t *Tenant) effects(ctx context.Context, tx reader, requestID string) ([]Effect, error) {
	rows, err := t.queryEffects(ctx, tx, `request_id = @request`, map[string]any{"request": requestID})
	return effectsOf(rows), err
}

func effectsOf(rows []effectRow) []Effect {
	var all []Effect
	for _, r := range rows {
		all = append(all, r.Effect)
	}
	return all
}

// LookupEffects returns those of the effects that exist.
func (t *Tenant) LookupEffects(ctx context.Context, keys []EffectKey) ([]Effect, error) {
	var all []Effect
	for _, key := range keys {
		row, err := t.effect(ctx, t.db.client.Single(), key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("effects: %w", err)
		}
		all = append(all, row.Effect)
	}
	return all, nil
}

// EffectsOfMail returns the effects that are to be sent in that mail and of
// which nobody knows yet whether they were.
func (t *Tenant) EffectsOfMail(ctx context.Context, messageID string) ([]Effect, error) {
	rows, err := t.queryEffects(ctx, t.db.client.Single(), `state = 'sending' AND message_id = @message`, map[string]any{"message": messageID})
	if err != nil {
		return nil, fmt.Errorf("effects of mail %s: %w", messageID, err)
	}
	return effectsOf(rows), nil
}

// DueDigest returns the effects that are due and to be sent to the recipient in
// one mail.
func (t *Tenant) DueDigest(ctx context.Context, target string) ([]Effect, error) {
	var keys []EffectKey
	for shard := range int64(sweepShards) {
		if err := t.db.dueEffects(ctx, shard, 0, func(e dueSince) bool {
			if e.TenantID == t.id && e.Kind == EffectEmail && e.Target == clip(target, maxTarget) {
				keys = append(keys, e.EffectKey)
			}
			return true
		}); err != nil {
			return nil, fmt.Errorf("due digest: %w", err)
		}
	}
	all, err := t.LookupEffects(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("due digest: %w", err)
	}
	return slices.DeleteFunc(all, func(e Effect) bool {
		return e.State != EffectPlanned || e.Mode != ModeDigest || t.db.now().Before(e.NextAttempt)
	}), nil
}

// Office returns the tenant's office with the id, active or not, or its first
// where the id is empty.
func (t *Tenant) Office(ctx context.Context, officeID string) (*Office, error) {
	return t.office(ctx, t.db.client.Single(), officeID)
}

// EffectClaim is one attempt at an effect, and all that it needs.
type EffectClaim struct {
	Effect
	// Interrupted: an attempt before this one did not say how it went. What it
	// was to do may have been done.
	Interrupted bool
	Request     *Request
	Office      *Office

	id string
}

// ClaimEffects takes those of the effects that are due for the lease's time, in
// the order they are named; the others are left out: they are over, not due, or
// another worker's. With a message id, they are to be sent in that mail, unless
// a mail that they were to be sent in is not accounted for: those are left to a
// claim of that mail's id, or of none.
//
// What is due of a request that is just being worked on anew waits until that is
// done: what is known of it may be half of it. A claim that is Withdrawn is to be
// ended without being tried.
func (t *Tenant) ClaimEffects(ctx context.Context, keys []EffectKey, messageID string, lease time.Duration) ([]*EffectClaim, error) {
	var claims []*EffectClaim
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		claims = nil
		now := t.db.now()
		var mutations []*spanner.Mutation
		for _, key := range keys {
			row, err := t.effect(ctx, tx, key)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			c := &EffectClaim{Effect: row.Effect, Interrupted: row.State == EffectSending, id: uuid.NewString()}
			switch {
			case !row.Open(), now.Before(row.NextAttempt):
				continue
			case c.Interrupted && now.Before(row.leaseUntil):
				continue
			case c.Interrupted && messageID != "" && row.MessageID != messageID:
				continue
			}
			values := t.effectKey(key)
			values["due_shard"] = sweepShard(key.RequestID)
			if !c.Interrupted {
				anew, err := t.workedOn(ctx, tx, key.RequestID)
				if err != nil {
					return err
				}
				if anew {
					values["due_after"] = now.Add(deliveryGrace)
					mutations = append(mutations, spanner.UpdateMap("request_effects", values))
					continue
				}
			}
			if c.Request, err = t.request(ctx, tx, key.RequestID); err != nil {
				return err
			}
			if c.Office, err = t.office(ctx, tx, c.Request.OfficeID); err != nil {
				return err
			}
			c.State = EffectSending
			c.Attempts++
			values["state"] = EffectSending
			values["attempts"] = c.Attempts
			values["claim_id"] = c.id
			values["lease_until"] = now.Add(lease)
			values["due_after"] = now.Add(lease)
			if !c.Interrupted {
				c.MessageID, c.SendingAt = messageID, now
				values["message_id"] = nullString(messageID)
				values["sending_at"] = spanner.CommitTimestamp
			}
			claims = append(claims, c)
			mutations = append(mutations, spanner.UpdateMap("request_effects", values))
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return nil, fmt.Errorf("claim effects: %w", err)
	}
	return claims, nil
}

// EffectResult is what came of a claimed effect.
type EffectResult struct {
	Claim *EffectClaim
	// State is the effect's new one. Sending means that nobody knows yet: it is
	// taken up as interrupted.
	State         string
	Mode          string    // "" = as it was
	NextAttempt   time.Time // of planned, sending and parked
	ExternalID    string    // of sent
	Cause         string    // of all but sent
	SecretVersion string    // of parked
	// Uncounted takes the attempt back: the provider was not tried.
	Uncounted bool
	Entries   []Entry
}

// FinishEffects commits what came of claimed effects. Those whose claim was lost
// stay as they are; how many were written is returned. A record in a CRM that
// was planned again while it was being written is due once more, with the facts
// of now.
func (t *Tenant) FinishEffects(ctx context.Context, results []EffectResult) (int, error) {
	written := 0
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		written = 0
		var mutations []*spanner.Mutation
		for _, r := range results {
			row, err := t.effect(ctx, tx, r.Claim.EffectKey)
			if err != nil {
				return err
			}
			if row.State != EffectSending || row.claim != r.Claim.id {
				continue
			}
			if row.Withdrawn && open(r.State) && r.State != EffectSending {
				r.State, r.Cause = EffectSkipped, CauseWithdrawn
				r.Entries = append(slices.Clone(r.Entries), withdrawnEntry(r.Claim.EffectKey, EffectSending))
			}
			entries, err := t.insertEntries(r.Claim.RequestID, topology.Delivery, ConfigHash(r.Claim.Office.Workflow), r.Entries)
			if err != nil {
				return err
			}
			written++
			values := t.finishEffect(r)
			if !row.Withdrawn && row.PlannedAt.After(r.Claim.PlannedAt) && !open(r.State) {
				values["state"], values["attempts"] = EffectPlanned, 0
				values["next_attempt_at"], values["due_after"] = t.db.now(), t.db.now()
				values["finished_at"] = spanner.NullTime{}
			}
			mutations = append(append(mutations, entries...), spanner.UpdateMap("request_effects", values))
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return 0, fmt.Errorf("finish effects: %w", err)
	}
	return written, nil
}

func (t *Tenant) finishEffect(r EffectResult) map[string]any {
	values := t.effectKey(r.Claim.EffectKey)
	values["state"] = r.State
	values["lease_until"] = spanner.NullTime{}
	values["cause"] = nullString(clip(r.Cause, maxCause))
	values["secret_version"] = nullString(clip(r.SecretVersion, maxSecret))
	if r.Mode != "" {
		values["mode"] = r.Mode
	}
	if r.Uncounted {
		values["attempts"] = r.Claim.Attempts - 1
	}
	if r.ExternalID != "" {
		values["external_id"] = clip(r.ExternalID, maxExternal)
	}
	if open(r.State) {
		values["next_attempt_at"] = r.NextAttempt
		values["due_after"] = r.NextAttempt
		if r.State != EffectSending {
			values["message_id"] = spanner.NullString{}
			values["sending_at"] = spanner.NullTime{}
		}
	} else {
		values["next_attempt_at"] = spanner.NullTime{}
		values["due_after"] = spanner.NullTime{}
		values["finished_at"] = spanner.CommitTimestamp
	}
	return values
}

// workedOn tells whether a stage before the delivery has still to do its work.
func (t *Tenant) workedOn(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string) (bool, error) {
	rows, err := t.stageRows(ctx, tx, requestID)
	if err != nil {
		return false, err
	}
	for stage, row := range rows {
		if stage.Before(topology.Delivery) && (row.State == StatePending || row.State == StateRunning) {
			return true, nil
		}
	}
	return false, nil
}

// PostponeParked moves the next look at parked effects. Nothing else about them
// changes, and the audit trail does not hear of it.
func (t *Tenant) PostponeParked(ctx context.Context, keys []EffectKey, next time.Time) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		var mutations []*spanner.Mutation
		for _, key := range keys {
			row, err := t.effect(ctx, tx, key)
			if err != nil {
				return err
			}
			if row.State != EffectParked || row.SecretVersion == "" {
				continue
			}
			values := t.effectKey(key)
			values["next_attempt_at"] = next
			values["due_after"] = next
			mutations = append(mutations, spanner.UpdateMap("request_effects", values))
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return fmt.Errorf("postpone parked effects: %w", err)
	}
	return nil
}

// ActionReleased is in the audit trail what ReleaseEffects did.
const ActionReleased = "released"

// ReleaseEffects makes parked and failed effects due at once, those of one
// request or with "" those that are parked of the whole tenant. It returns how
// many.
func (t *Tenant) ReleaseEffects(ctx context.Context, requestID, why string) (int, error) {
	released := 0
	for { // in lots: a commit has room for so many mutations
		n, err := t.releaseLot(ctx, requestID, why)
		released += n
		if err != nil {
			return released, fmt.Errorf("release effects: %w", err)
		}
		if n < releaseLot {
			return released, nil
		}
	}
}

// releaseLot is how many effects one transaction releases. Each is about 30
// mutations with its index and its line in the audit trail, of 80,000 that a
// commit may have (https://docs.cloud.google.com/spanner/quotas, 2026-11-26).
const releaseLot = 500

func (t *Tenant) releaseLot(ctx context.Context, requestID, why string) (released int, err error) {
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		where, params := `state = 'parked'`, map[string]any{}
		if requestID != "" {
			where, params = `state IN ('parked', 'failed') AND request_id = @request`, map[string]any{"request": requestID}
		}
		rows, err := t.queryEffects(ctx, tx, where+fmt.Sprintf(` ORDER BY request_id, effect, target LIMIT %d`, releaseLot), params)
		if err != nil {
			return err
		}
		released = len(rows)
		var mutations []*spanner.Mutation
		for _, row := range rows {
			entries, err := t.insertEntries(row.RequestID, topology.Delivery, "", []Entry{{Action: row.Kind + "." + ActionReleased, Reason: why,
				Details: map[string]any{"target": row.Target, "was": row.State, "cause": row.Cause}}})
			if err != nil {
				return err
			}
			values := t.effectKey(row.EffectKey)
			values["state"] = EffectPlanned
			values["attempts"] = 0
			values["secret_version"] = spanner.NullString{}
			values["next_attempt_at"] = t.db.now()
			values["due_after"] = t.db.now()
			values["due_shard"] = sweepShard(row.RequestID)
			values["planned_at"] = spanner.CommitTimestamp // the time to try it begins anew
			values["finished_at"] = spanner.NullTime{}
			mutations = append(append(mutations, entries...), spanner.UpdateMap("request_effects", values))
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return 0, err
	}
	return released, nil
}

// DueEffect is an effect that DueEffects found.
type DueEffect struct {
	TenantID string
	EffectKey
}

// overRead is how many times the effects that are asked for DueEffects looks at,
// to find those of all tenants among those of one.
const overRead = 8

// DueEffects returns at most limit effects of all tenants that are due and that
// nobody seems to work on: of each tenant those that wait longest, and as many
// of each as there is room for, so that some with many keep nobody else back.
func (db *DB) DueEffects(ctx context.Context, limit int) ([]DueEffect, error) {
	var found []dueSince
	seen := map[string]bool{}
	each := max(1, overRead*limit/sweepShards)
	var full []int64 // shards in which there may be others behind those with so many
	for shard := range int64(sweepShards) {
		n := 0
		if err := db.dueEffects(ctx, shard, each, func(e dueSince) bool {
			found = append(found, e)
			seen[e.TenantID] = true
			n++
			return true
		}); err != nil {
			return nil, fmt.Errorf("due effects: %w", err)
		}
		if n == each {
			full = append(full, shard)
		}
	}
	for _, shard := range full {
		n := 0
		if err := db.dueEffects(ctx, shard, 0, func(e dueSince) bool {
			if !seen[e.TenantID] {
				found = append(found, e)
				n++
			}
			return n < each
		}); err != nil {
			return nil, fmt.Errorf("due effects: %w", err)
		}
	}
	return inTurn(found, limit), nil
}

var dueEffects = dueIndex{"request_effects", "request_effects_by_due_after", []string{"tenant_id", "request_id", "effect", "target", "due_after"}}

// dueEffects is readDue for effects.
func (db *DB) dueEffects(ctx context.Context, shard int64, limit int, each func(dueSince) (more bool)) error {
	return db.readDue(ctx, dueEffects, shard, limit, func(row *spanner.Row) (bool, error) {
		var e dueSince
		if err := row.Columns(&e.TenantID, &e.RequestID, &e.Kind, &e.Target, &e.since); err != nil {
			return false, err
		}
		return each(e), nil
	})
}

type dueSince struct {
	DueEffect

	since time.Time
	turn  int // among its tenant's
}

// inTurn returns at most limit of the effects: those that wait longest, one of
// each tenant after the other.
func inTurn(found []dueSince, limit int) []DueEffect {
	slices.SortStableFunc(found, func(a, b dueSince) int { return a.since.Compare(b.since) })
	turns := map[string]int{}
	for i := range found {
		found[i].turn = turns[found[i].TenantID]
		turns[found[i].TenantID]++
	}
	slices.SortStableFunc(found, func(a, b dueSince) int { return cmp.Compare(a.turn, b.turn) })
	var all []DueEffect
	for _, e := range found[:min(limit, len(found))] {
		all = append(all, e.DueEffect)
	}
	return all
}
