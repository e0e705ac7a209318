package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/topology"
)

// ErrDifferentEvent says that an event with the same id holds something else.
// Nothing was written.
var ErrDifferentEvent = errors.New("an event with this id is known, and holds something else")

// Event is one thing that was heard from outside about a request. Events are
// kept as they came and never changed.
type Event struct {
	ID         string // UUID, the same for every delivery of the event, see EventID
	Type       string // of its source, for example post_call
	Source     string // a Source constant
	CallID     string // where the event is of a phone call
	Payload    json.RawMessage
	OccurredAt time.Time // by the sender; zero if it does not say
	// Said is the part of Payload that its sender says, where the platform adds
	// to it what differs from one delivery to the next. An event that is known
	// must say the same. nil is all of Payload.
	Said json.RawMessage
}

// EventID derives the id of an event from what its sender calls it, or from
// all that it says where it has no name of its own.
func EventID(tenantID, source string, parts ...string) string {
	return derivedID(append([]string{"event", tenantID, source}, parts...)...)
}

// digest is the hex SHA-256 of what the event says, by its bytes.
func (e Event) digest() string {
	said := e.Said
	if said == nil {
		said = e.Payload
	}
	sum := sha256.Sum256(said)
	return hex.EncodeToString(sum[:])
}

// entry is the event's line in the request's audit trail.
func (e Event) entry(first bool, revision Revision) Entry {
	r := revision.Request
	entry := Entry{Action: ActionAccepted, Reason: "an event of " + e.Source + " was accepted", Details: map[string]any{
		"communication_mode": r.CommunicationMode, "call_id": r.CallID, "office_id": r.OfficeID, "next": string(revision.Begin),
	}}
	if e.Type != "" {
		entry.Reason = "an event of " + e.Source + " was accepted: " + e.Type
	}
	if !first {
		entry.Action = ActionRevised
	} else if revision.Begin == "" && len(revision.Reasons) > 0 {
		entry.Reason += ": " + strings.Join(revision.Reasons, "; ")
	}
	return entry
}

// Revision is what a request says once an event is known.
type Revision struct {
	// Request has everything that comes from outside. Its status, its stages'
	// results and its times are the store's and are not looked at.
	Request Request
	// Begin is the stage from which the pipeline has to work: the first one for
	// a new request, for a known one the first whose work depends on what has
	// changed. "" leaves the pipeline as it is.
	Begin topology.Stage
	// Decision ends a new request at once, if Begin is "": nothing is to be
	// done about it. Without one it waits for an event that begins a stage.
	Decision string
	Reasons  []string
}

// Fold makes a request of all of its events, in no particular order, the new
// one among them. current is what is known so far, nil for a new request. To be
// the same whatever the order of deliveries, the facts in the result may depend
// on events only, and Begin on both. An error refuses the event: nothing is
// written.
type Fold func(current *Request, events []Event) (Revision, error)

// Record keeps the event, and brings its request to what fold makes of all its
// events, in one transaction. Where that begins a stage again, attempts at it
// and at the stages behind it lose their claims, and those behind it are done
// anew once it is done.
//
// An event whose id is known is a duplicate, for which nothing is written;
// ErrDifferentEvent if it says something else than the one that is known.
// ErrNotFound: the tenant is unknown or inactive.
func (t *Tenant) Record(ctx context.Context, requestID string, event Event, fold Fold) (Acceptance, error) {
	payload, err := storableJSON(event.Payload)
	if err != nil {
		return Acceptance{}, fmt.Errorf("record: payload: %w", err)
	}
	var acc Acceptance
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		acc = Acceptance{RequestID: requestID, Status: StatusReceived}
		if err := t.mustBeActive(ctx, tx); err != nil {
			return err
		}
		known, err := t.known(ctx, tx, event)
		if err != nil {
			return err
		}
		current, err := t.request(ctx, tx, requestID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if known && current != nil {
			acc.Duplicate, acc.Status = true, current.Status
			acc.Unsent, err = t.unsent(ctx, tx, requestID)
			return err
		}
		var events []Event
		if current != nil {
			if events, err = t.events(ctx, tx, requestID); err != nil {
				return err
			}
		}
		revision, err := fold(current, append(events, event))
		if err != nil {
			return err
		}
		if id := revision.Request.TenantID; id != "" && id != t.id {
			return fmt.Errorf("a request of tenant %q does not belong to tenant %q", id, t.id)
		}
		entries, err := t.insertEntries(requestID, "", "", []Entry{event.entry(current == nil, revision)})
		if err != nil {
			return err
		}
		mutations := append(entries, t.insertEvent(requestID, event, payload))
		mutations = append(mutations, t.linkTo(requestID, revision.Request.CustomerPhone, revision.Request.CustomerEmail)...)
		if current == nil {
			made, status, err := t.insertRequest(requestID, revision)
			if err != nil {
				return err
			}
			acc.Status = status
			mutations = slices.Insert(mutations, 0, made) // before the rows interleaved in it
			if revision.Begin != "" {
				mutations = append(mutations, t.putStage(requestID, Step{Stage: revision.Begin}))
				acc.Unsent = []Step{{Stage: revision.Begin}}
			}
			return tx.BufferWrite(mutations)
		}
		acc.Revised = true
		revised, err := t.revise(ctx, tx, current, revision)
		if err != nil {
			return err
		}
		acc.Status = revised.status
		acc.Unsent = revised.unsent
		return tx.BufferWrite(append(mutations, revised.mutations...))
	})
	if err != nil {
		return Acceptance{}, fmt.Errorf("record: %w", err)
	}
	return acc, nil
}

// known tells whether the event was recorded before.
func (t *Tenant) known(ctx context.Context, tx *spanner.ReadWriteTransaction, event Event) (bool, error) {
	row, err := tx.ReadRow(ctx, "webhook_events", spanner.Key{t.id, event.ID}, []string{"payload_sha256"})
	if errors.Is(err, spanner.ErrRowNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var digest spanner.NullString
	if err := row.Columns(&digest); err != nil {
		return false, err
	}
	// Events from before digests were kept have none.
	if digest.Valid && digest.StringVal != event.digest() {
		return false, ErrDifferentEvent
	}
	return true, nil
}

// eventColumns are what scanEvent reads.
const eventColumns = `request_id, event_id, event_type, webhook_source, call_id, IF(payload IS NULL, NULL, TO_JSON_STRING(payload)), occurred_at`

func scanEvent(row *spanner.Row) (requestID string, e Event, err error) {
	var typ, source, call, payload spanner.NullString
	var occurred spanner.NullTime
	err = row.Columns(&requestID, &e.ID, &typ, &source, &call, &payload, &occurred)
	e.Type, e.Source, e.CallID, e.Payload, e.OccurredAt = typ.StringVal, source.StringVal, call.StringVal, rawJSON(payload), occurred.Time
	return requestID, e, err
}

func (t *Tenant) events(ctx context.Context, tx reader, requestID string) ([]Event, error) {
	var events []Event
	err := tx.Query(ctx, spanner.Statement{
		SQL:    `SELECT ` + eventColumns + ` FROM webhook_events WHERE tenant_id = @tenant AND request_id = @request ORDER BY event_id`,
		Params: t.key(requestID),
	}).Do(func(row *spanner.Row) error {
		_, e, err := scanEvent(row)
		events = append(events, e)
		return err
	})
	return events, err
}

// Events returns the request's events, those that are said to have happened
// first at the front.
func (t *Tenant) Events(ctx context.Context, requestID string) ([]Event, error) {
	events, err := t.events(ctx, t.db.client.Single(), requestID)
	if err != nil {
		return nil, fmt.Errorf("events of request %s: %w", requestID, err)
	}
	return events, nil
}

// EventsOf returns the events of several requests, by the request's id, as
// [Tenant.Events] does those of one. A request without events is not in it.
func (t *Tenant) EventsOf(ctx context.Context, requestIDs []string) (map[string][]Event, error) {
	all := map[string][]Event{}
	err := t.db.client.Single().Query(ctx, spanner.Statement{
		SQL:    `SELECT ` + eventColumns + ` FROM webhook_events WHERE tenant_id = @tenant AND request_id IN UNNEST(@requests) ORDER BY event_id`,
		Params: map[string]any{"tenant": t.id, "requests": requestIDs},
	}).Do(func(row *spanner.Row) error {
		requestID, e, err := scanEvent(row)
		all[requestID] = append(all[requestID], e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("events of %d requests: %w", len(requestIDs), err)
	}
	return all, nil
}

func (t *Tenant) insertEvent(requestID string, event Event, payload spanner.NullJSON) *spanner.Mutation {
	return spanner.InsertMap("webhook_events", map[string]any{
		"tenant_id":         t.id,
		"event_id":          event.ID,
		"request_id":        requestID,
		"event_type":        nullString(clip(event.Type, 50)),
		"webhook_source":    event.Source,
		"call_id":           nullString(event.CallID),
		"payload":           payload,
		"payload_sha256":    event.digest(),
		"occurred_at":       spanner.NullTime{Time: event.OccurredAt, Valid: storableTime(event.OccurredAt)},
		"processing_status": eventReceived,
		"created_at":        spanner.CommitTimestamp,
		"updated_at":        spanner.CommitTimestamp,
	})
}

// storableTime tells a time that a column can have. Senders may write any year;
// Spanner has 1 to 9999 (https://cloud.google.com/spanner/docs/reference/standard-sql/data-types#timestamp_type,
// 2026-11-26), and an event must not be lost for the rest.
func storableTime(t time.Time) bool {
	year := t.UTC().Year()
	return !t.IsZero() && year >= 1 && year <= 9999
}

// facts are the columns that come from outside.
func (t *Tenant) facts(requestID string, r Request) (map[string]any, error) {
	payload, err := storableJSON(r.Payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return map[string]any{
		"tenant_id":          t.id,
		"request_id":         requestID,
		"office_id":          nullString(r.OfficeID),
		"source":             r.Source,
		"communication_mode": r.CommunicationMode,
		"call_id":            nullString(r.CallID),
		"recording_url":      nullString(clip(r.RecordingURL, maxURL)),
		"customer_name":      nullString(line(r.CustomerName, maxName)),
		"customer_phone":     nullString(line(r.CustomerPhone, maxPhone)),
		"customer_email":     nullString(line(r.CustomerEmail, maxEmail)),
		"postal_code":        nullString(line(r.PostalCode, maxPostal)),
		"payload":            payload,
		"updated_at":         spanner.CommitTimestamp,
	}, nil
}

func (t *Tenant) insertRequest(requestID string, revision Revision) (*spanner.Mutation, Status, error) {
	values, err := t.facts(requestID, revision.Request)
	if err != nil {
		return nil, "", err
	}
	status := StatusReceived
	if revision.Begin == "" && revision.Decision != "" {
		status = StatusCompleted
		values["decision"] = clip(revision.Decision, 50)
		values["decision_reasons"] = clipAll(revision.Reasons, maxReason)
	}
	values["status"] = string(status)
	values["created_at"] = spanner.CommitTimestamp
	return spanner.InsertMap("requests", values), status, nil
}

// revised is what a revision of a known request writes and leaves to be sent.
type revised struct {
	mutations []*spanner.Mutation
	status    Status
	unsent    []Step
}

func (t *Tenant) revise(ctx context.Context, tx *spanner.ReadWriteTransaction, current *Request, revision Revision) (revised, error) {
	values, err := t.facts(current.RequestID, revision.Request)
	if err != nil {
		return revised{}, err
	}
	out := revised{status: current.Status}
	values["revision"] = current.Revision + 1
	rows, err := t.stageRows(ctx, tx, current.RequestID)
	if err != nil {
		return revised{}, err
	}
	begin := revision.Begin
	if begin != "" {
		for _, stage := range topology.Stages {
			// Whoever works on the old facts would write over the new ones, and
			// what a stage failed to find out is not known to those behind it.
			if row := rows[stage]; row != nil && row.unfinished() && stage.Before(begin) {
				begin = stage
				break
			}
		}
	}
	if !rows.fillAgain(begin) {
		for _, column := range []string{"customer_name", "customer_phone", "customer_email", "postal_code"} {
			if values[column] == (spanner.NullString{}) {
				delete(values, column)
			}
		}
	}
	if begin == "" {
		out.mutations = append(out.mutations, spanner.UpdateMap("requests", values))
		out.unsent, err = t.unsent(ctx, tx, current.RequestID)
		return out, err
	}
	waiting := false
	for stage, row := range rows {
		switch {
		case stage.Before(begin) && row.State == StatePending:
			waiting = true // it will work on the new facts, and the rest follows
		case begin.Before(stage) && row.State != StateSuperseded:
			out.mutations = append(out.mutations, t.endStage(current.RequestID, stage, StateSuperseded, nil))
		}
	}
	if waiting {
		out.unsent, err = t.unsent(ctx, tx, current.RequestID)
		if err != nil {
			return revised{}, err
		}
	} else {
		step := rows.next(begin)
		out.mutations = append(out.mutations, t.putStage(current.RequestID, step))
		out.unsent = []Step{step}
	}
	if current.Status != StatusReceived {
		out.status = StatusProcessing
	}
	values["status"] = string(out.status)
	values["failure_stage"], values["failure_cause"] = spanner.NullString{}, spanner.NullString{}
	out.mutations = append(out.mutations, spanner.UpdateMap("requests", values))
	return out, nil
}
