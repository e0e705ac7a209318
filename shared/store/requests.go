package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"cloud.google.com/go/spanner"
	"google.golang.org/protobuf/types/known/structpb"

	"ingestion.internal/shared/topology"
)

// Widths of columns, in characters.
const (
	maxName   = 200
	maxPhone  = 40
	maxEmail  = 320
	maxPostal = 16
	maxURL    = 2048
	maxCause  = 1024
	maxReason = 1024
)

// States of webhook_events.processing_status.
const (
	eventReceived  = "received"
	eventProcessed = "processed"
	eventFailed    = "failed"
)

// Acceptance is the answer to an event from outside.
type Acceptance struct {
	RequestID string
	Status    Status // of the request
	Duplicate bool   // the event was there already, and nothing was written
	Revised   bool   // the request was there already, and knows the event now
	// Unsent are the stages whose task is not known to be in its queue: the
	// one where work begins, unless an earlier delivery has sent it.
	Unsent []Step
}

// Whole is the event that makes a request whole, which has the request's id, and
// the fold that makes the request of it, with its first stage: for
// [Tenant.Record].
func Whole(req Request, first topology.Stage) (Event, Fold) {
	event := Event{ID: req.RequestID, Source: req.Source, CallID: req.CallID, Payload: req.Payload}
	return event, func(*Request, []Event) (Revision, error) {
		return Revision{Request: req, Begin: first}, nil
	}
}

func (t *Tenant) mustBeActive(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
	row, err := tx.ReadRow(ctx, "tenants", spanner.Key{t.id}, []string{"status"})
	if err != nil {
		return notFound(err)
	}
	var status string
	if err := row.Columns(&status); err != nil {
		return err
	}
	if status != tenantActive {
		return fmt.Errorf("the tenant is %s: %w", status, ErrNotFound)
	}
	return nil
}

// putStage makes the step's stage pending, whether it was reached before or not.
func (t *Tenant) putStage(requestID string, step Step) *spanner.Mutation {
	values := t.stageKey(requestID, step.Stage)
	values["state"] = StatePending
	values["round"] = step.Round
	values["attempts"] = 0
	values["lease_until"] = spanner.NullTime{}
	values["cause"] = spanner.NullString{}
	values["enqueued_at"] = spanner.NullTime{}
	values["created_at"] = spanner.CommitTimestamp
	values["sweep_shard"] = sweepShard(requestID)
	values["sweep_after"] = t.db.now().Add(unsentGrace)
	values["sweeps"] = 0
	return spanner.InsertOrUpdateMap("request_stages", values)
}

// Unsent returns the pending stages of the request whose task is not known to
// be in its queue.
func (t *Tenant) Unsent(ctx context.Context, requestID string) ([]Step, error) {
	stages, err := t.unsent(ctx, t.db.client.Single(), requestID)
	if err != nil {
		return nil, fmt.Errorf("unsent stages: %w", err)
	}
	return stages, nil
}

// reader is what read-only and read-write transactions have in common.
type reader interface {
	Query(ctx context.Context, stmt spanner.Statement) *spanner.RowIterator
	ReadRow(ctx context.Context, table string, key spanner.Key, columns []string) (*spanner.Row, error)
}

func (t *Tenant) unsent(ctx context.Context, tx reader, requestID string) ([]Step, error) {
	var steps []Step
	err := tx.Query(ctx, spanner.Statement{
		SQL: `SELECT stage, round FROM request_stages
			WHERE tenant_id = @tenant AND request_id = @request AND state = 'pending' AND enqueued_at IS NULL`,
		Params: t.key(requestID),
	}).Do(func(row *spanner.Row) error {
		var stage string
		var round int64
		if err := row.Columns(&stage, &round); err != nil {
			return err
		}
		steps = append(steps, Step{Stage: topology.Stage(stage), Round: int(round)})
		return nil
	})
	return steps, err
}

func (t *Tenant) key(requestID string) map[string]any {
	return map[string]any{"tenant": t.id, "request": requestID}
}

// MarkEnqueued records that the step's task is in its queue. It does nothing
// once the stage has been begun again.
func (t *Tenant) MarkEnqueued(ctx context.Context, requestID string, step Step) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		row, err := t.stage(ctx, tx, requestID, step.Stage)
		if err != nil || row.Round != int64(step.Round) {
			return err
		}
		values := t.stageKey(requestID, step.Stage)
		values["enqueued_at"] = spanner.CommitTimestamp
		// Where its worker was faster, the claim or the end says more.
		if due := t.db.now().Add(patience(lostGrace, row.Sweeps)); row.SweepAfter.Valid && row.SweepAfter.Time.Before(due) {
			values["sweep_after"] = due
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("request_stages", values)})
	})
	if err != nil {
		return fmt.Errorf("mark %s enqueued: %w", step.Stage, err)
	}
	return nil
}

// notFound makes Spanner's answer about a missing row ErrNotFound.
func notFound(err error) error {
	// By its code alone, a row could not be told from a database that is away.
	if errors.Is(err, spanner.ErrRowNotFound) {
		return ErrNotFound
	}
	return err
}

// Request returns the request, or ErrNotFound.
func (t *Tenant) Request(ctx context.Context, requestID string) (*Request, error) {
	req, err := t.request(ctx, t.db.client.Single(), requestID)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", requestID, err)
	}
	return req, nil
}

var requestColumns = []string{
	"request_id", "office_id", "source", "communication_mode", "status", "call_id", "recording_url",
	"customer_name", "customer_phone", "customer_email", "postal_code",
	"payload", "transcription_data", "document_data", "ai_analysis",
	"lead_score", "spam_likelihood", "decision", "decision_reasons", "failure_stage", "failure_cause", "revision", "created_at", "updated_at",
}

// request reads the request by its key, or ErrNotFound.
func (t *Tenant) request(ctx context.Context, tx reader, requestID string) (*Request, error) {
	row, err := tx.ReadRow(ctx, "requests", spanner.Key{t.id, requestID}, requestColumns)
	if err != nil {
		return nil, notFound(err)
	}
	r := &Request{TenantID: t.id}
	var office, source, mode, call, recording, name, phone, email, postal spanner.NullString
	var payload, transcription, documents, analysis spanner.GenericColumnValue
	var decision, failureStage, failureCause spanner.NullString
	var score spanner.NullInt64
	var spam spanner.NullFloat64
	var created, updated spanner.NullTime
	if err := row.Columns(&r.RequestID, &office, &source, &mode, (*string)(&r.Status), &call, &recording,
		&name, &phone, &email, &postal, &payload, &transcription, &documents, &analysis,
		&score, &spam, &decision, &r.DecisionReasons, &failureStage, &failureCause, &r.Revision, &created, &updated); err != nil {
		return nil, err
	}
	r.OfficeID, r.Source, r.CommunicationMode = office.StringVal, source.StringVal, mode.StringVal
	r.CallID, r.RecordingURL = call.StringVal, recording.StringVal
	r.CustomerName, r.CustomerPhone, r.CustomerEmail, r.PostalCode = name.StringVal, phone.StringVal, email.StringVal, postal.StringVal
	r.Payload, r.Transcription, r.Documents, r.Analysis = jsonText(payload), jsonText(transcription), jsonText(documents), jsonText(analysis)
	if score.Valid {
		r.LeadScore = &score.Int64
	}
	if spam.Valid {
		r.SpamLikelihood = &spam.Float64
	}
	r.Decision, r.FailureStage, r.FailureCause = decision.StringVal, topology.Stage(failureStage.StringVal), failureCause.StringVal
	r.ReceivedAt, r.UpdatedAt = created.Time, updated.Time
	return r, nil
}

// jsonText is a JSON column's text, as Spanner sends it: through the client's
// own type, numbers would pass through float64.
func jsonText(v spanner.GenericColumnValue) json.RawMessage {
	if v.Value == nil {
		return nil
	}
	if _, null := v.Value.GetKind().(*structpb.Value_NullValue); null {
		return nil
	}
	return json.RawMessage(v.Value.GetStringValue())
}

func rawJSON(s spanner.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.StringVal)
}

func nullString(s string) spanner.NullString {
	return spanner.NullString{StringVal: s, Valid: s != ""}
}

// Recordings returns the recordings of a call.
func (t *Tenant) Recordings(ctx context.Context, callID string) ([]Recording, error) {
	return t.recordings(ctx, t.db.client.Single(), callID)
}

func (t *Tenant) recordings(ctx context.Context, tx reader, callID string) ([]Recording, error) {
	var all []Recording
	err := tx.Query(ctx, spanner.Statement{
		SQL: `SELECT recording_id, call_id, storage_url, content_type, size_bytes, sha256, duration_seconds, transcription_status
			FROM call_recordings WHERE tenant_id = @tenant AND call_id = @call ORDER BY recording_id`,
		Params: map[string]any{"tenant": t.id, "call": callID},
	}).Do(func(row *spanner.Row) error {
		var r Recording
		var call, url, contentType, sum, status spanner.NullString
		var size, duration spanner.NullInt64
		if err := row.Columns(&r.RecordingID, &call, &url, &contentType, &size, &sum, &duration, &status); err != nil {
			return err
		}
		r.CallID, r.StorageURL, r.ContentType, r.SHA256 = call.StringVal, url.StringVal, contentType.StringVal, sum.StringVal
		r.SizeBytes, r.DurationSeconds, r.TranscriptionStatus = size.Int64, duration.Int64, status.StringVal
		all = append(all, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recordings of call %s: %w", callID, err)
	}
	return all, nil
}

// office returns the tenant's office with the id, or its first where the id is
// empty. It is active or not: what was accepted is finished.
func (t *Tenant) office(ctx context.Context, tx reader, officeID string) (*Office, error) {
	stmt := spanner.Statement{
		SQL:    `SELECT ` + officeColumns + ` FROM offices AS o WHERE o.tenant_id = @tenant`,
		Params: map[string]any{"tenant": t.id},
	}
	if officeID != "" {
		stmt.SQL += ` AND o.office_id = @office`
		stmt.Params["office"] = officeID
	}
	stmt.SQL += ` ORDER BY o.status = 'active' DESC, o.office_id LIMIT 1`
	offices, err := queryOffices(tx.Query(ctx, stmt))
	if err != nil {
		return nil, err
	}
	if len(offices) == 0 {
		return nil, fmt.Errorf("office %q: %w", officeID, ErrNotFound)
	}
	return &offices[0], nil
}

// update returns the mutation that sets what the update names.
func (t *Tenant) update(requestID string, status Status, u RequestUpdate) (*spanner.Mutation, error) {
	values := map[string]any{
		"tenant_id":  t.id,
		"request_id": requestID,
		"status":     string(status),
		"updated_at": spanner.CommitTimestamp,
	}
	texts := []struct {
		column string
		value  *string
		max    int
		fit    func(string, int) string
	}{
		{"recording_url", u.RecordingURL, maxURL, clip},
		{"customer_name", u.CustomerName, maxName, line},
		{"customer_phone", u.CustomerPhone, maxPhone, line},
		{"customer_email", u.CustomerEmail, maxEmail, line},
		{"postal_code", u.PostalCode, maxPostal, line},
		{"decision", u.Decision, 50, clip},
	}
	for _, x := range texts {
		if x.value != nil {
			values[x.column] = x.fit(*x.value, x.max)
		}
	}
	for column, value := range map[string]json.RawMessage{"transcription_data": u.Transcription, "document_data": u.Documents, "ai_analysis": u.Analysis} {
		if value == nil {
			continue
		}
		stored, err := storableJSON(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", column, err)
		}
		values[column] = stored
	}
	if u.LeadScore != nil {
		values["lead_score"] = *u.LeadScore
	}
	if u.SpamLikelihood != nil {
		values["spam_likelihood"] = *u.SpamLikelihood
	}
	if u.DecisionReasons != nil {
		values["decision_reasons"] = clipAll(u.DecisionReasons, maxReason)
	}
	return spanner.UpdateMap("requests", values), nil
}

func (t *Tenant) upsertRecording(r *Recording) *spanner.Mutation {
	return spanner.InsertOrUpdateMap("call_recordings", map[string]any{
		"tenant_id":            t.id,
		"recording_id":         r.RecordingID,
		"call_id":              r.CallID,
		"storage_url":          r.StorageURL,
		"content_type":         clip(r.ContentType, 100),
		"size_bytes":           r.SizeBytes,
		"sha256":               r.SHA256,
		"duration_seconds":     r.DurationSeconds,
		"transcription_status": r.TranscriptionStatus,
		"created_at":           spanner.CommitTimestamp,
		"updated_at":           spanner.CommitTimestamp,
	})
}

// storableJSON makes a value of a JSON column. Spanner refuses a number that
// it cannot keep without loss; such a number is kept as its text, because an
// event must not be lost for how its sender writes numbers.
func storableJSON(raw json.RawMessage) (spanner.NullJSON, error) {
	if len(raw) == 0 {
		return spanner.NullJSON{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return spanner.NullJSON{}, err
	}
	if dec.More() {
		return spanner.NullJSON{}, errors.New("more than one JSON value")
	}
	return spanner.NullJSON{Value: storable(value), Valid: true}, nil
}

func storable(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = storable(element)
		}
	case []any:
		for i, element := range v {
			v[i] = storable(element)
		}
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return v
		}
		f, err := v.Float64()
		if err != nil || len(v) > 17 {
			return v.String()
		}
		return f
	}
	return value
}
