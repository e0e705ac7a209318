package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/topology"
)

// ClaimState says what came of trying to claim a stage.
type ClaimState int

// The outcomes of Tenant.Claim.
const (
	Claimed    ClaimState = iota + 1 // the stage is the caller's until its lease ends
	Busy                             // another worker's lease is live
	Done                             // the stage is done; Claim.Unsent may name what follows
	Dead                             // the stage failed or is a dead letter, perhaps just now: there is nothing to do
	Exhausted                        // this call found the attempts used up and made it a dead letter
	Superseded                       // an earlier stage was begun again; this one's turn comes after it
)

// Claim is one attempt at one stage of one request.
type Claim struct {
	State   ClaimState
	Stage   topology.Stage
	Attempt int // counts from 1; with it, a lost claim is told from a live one
	Request *Request
	Office  *Office
	Round   int    // of the stage, see [Step]
	Unsent  []Step // with Done: stages whose task is not known to be in its queue
	Cause   string // with Dead and Exhausted
}

// configHash names the workflow that the stage worked by, "" where none is known.
func (c *Claim) configHash() string {
	if c.Office == nil {
		return ""
	}
	return ConfigHash(c.Office.Workflow)
}

// Claim takes the stage for the lease's time. A stage whose worker vanished is
// taken over when its lease has ended; if that was the last of maxAttempts,
// the request becomes a dead letter. ErrNotFound: there is no such stage.
func (t *Tenant) Claim(ctx context.Context, requestID string, stage topology.Stage, lease time.Duration, maxAttempts int) (*Claim, error) {
	var claim *Claim
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		claim = &Claim{Stage: stage}
		row, err := t.stage(ctx, tx, requestID, stage)
		if err != nil {
			return err
		}
		claim.Attempt, claim.Round, claim.Cause = int(row.Attempts), int(row.Round), row.Cause.StringVal
		now := t.db.now()
		switch row.State {
		case StateDone:
			claim.State = Done
			claim.Unsent, err = t.unsent(ctx, tx, requestID)
			return err
		case StateFailed, StateDeadLetter:
			claim.State = Dead
			return nil
		case StateSuperseded:
			claim.State = Superseded
			return nil
		case StateRunning:
			if row.LeaseUntil.Valid && now.Before(row.LeaseUntil.Time) {
				claim.State = Busy
				return nil
			}
			claim.Cause = fmt.Sprintf("attempt %d did not end within its lease", row.Attempts)
		}
		if int(row.Attempts) >= maxAttempts {
			claim.State = Exhausted
			return t.endFailed(ctx, tx, claim, requestID, StateDeadLetter, StatusDeadLetter, claim.Cause)
		}
		if claim.Request, err = t.request(ctx, tx, requestID); err != nil {
			return err
		}
		claim.Office, err = t.office(ctx, tx, claim.Request.OfficeID)
		if errors.Is(err, ErrNotFound) {
			// Offices are never deleted by the platform, so no retry finds it.
			claim.State, claim.Cause = Dead, err.Error()
			return t.endFailed(ctx, tx, claim, requestID, StateFailed, StatusFailed, claim.Cause)
		}
		if err != nil {
			return err
		}
		claim.State = Claimed
		claim.Attempt++
		claim.Request.Status = StatusProcessing
		requestUpdate, err := t.update(requestID, StatusProcessing, RequestUpdate{})
		if err != nil {
			return err
		}
		values := t.stageKey(requestID, stage)
		values["state"] = StateRunning
		values["attempts"] = claim.Attempt
		values["lease_until"] = now.Add(lease)
		values["sweep_after"] = now.Add(lease + lostGrace)
		values["started_at"] = spanner.CommitTimestamp
		if row.State == StateRunning {
			values["cause"] = clip(claim.Cause, maxCause)
		}
		return tx.BufferWrite([]*spanner.Mutation{requestUpdate, spanner.UpdateMap("request_stages", values)})
	})
	if err != nil {
		return nil, fmt.Errorf("claim %s of request %s: %w", stage, requestID, err)
	}
	return claim, nil
}

// Outcome is what a stage commits in one transaction: its result, its part of
// the audit trail, what is to follow outside the platform, and the next stage.
type Outcome struct {
	Update    RequestUpdate
	Recording *Recording
	Entries   []Entry
	Effects   []PlannedEffect
	Next      topology.Stage // "" completes the request
}

// Finish commits the claimed stage's outcome, and returns the step that has to
// be enqueued, if there is one. ErrLostClaim: nothing was written.
func (t *Tenant) Finish(ctx context.Context, claim *Claim, outcome Outcome) ([]Step, error) {
	requestID := claim.Request.RequestID
	var unsent []Step
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		unsent = nil
		rows, err := t.holds(ctx, tx, requestID, claim)
		if err != nil {
			return err
		}
		status := StatusProcessing
		if outcome.Next == "" {
			status = StatusCompleted
		}
		requestUpdate, err := t.update(requestID, status, outcome.Update)
		if err != nil {
			return err
		}
		effects, kept, err := t.planEffects(ctx, tx, requestID, outcome.Effects)
		if err != nil {
			return err
		}
		mutations, err := t.insertEntries(requestID, claim.Stage, claim.configHash(), asPlanned(outcome.Entries, requestID, kept))
		if err != nil {
			return err
		}
		mutations = append(mutations, requestUpdate, t.endStage(requestID, claim.Stage, StateDone, nil))
		mutations = append(mutations, t.linkLearned(requestID, outcome.Update)...)
		mutations = append(mutations, effects...)
		if claim.Stage == topology.Workflow {
			gone, err := t.withdraw(ctx, tx, requestID, outcome.Effects)
			if err != nil {
				return err
			}
			mutations = append(mutations, gone...)
		}
		if outcome.Recording != nil {
			mutations = append(mutations, t.upsertRecording(outcome.Recording))
		}
		if outcome.Next == "" {
			if err := t.updateEvents(ctx, tx, requestID, eventProcessed); err != nil {
				return err
			}
		} else {
			step := rows.next(outcome.Next)
			unsent = []Step{step}
			mutations = append(mutations, t.putStage(requestID, step))
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return nil, fmt.Errorf("finish %s of request %s: %w", claim.Stage, requestID, err)
	}
	return unsent, nil
}

// Fail ends the claimed attempt with its cause and returns the stage's new
// state: failed if no retry can mend it, dead_letter if it was the last of
// maxAttempts, else pending, for another attempt. ErrLostClaim: nothing was
// written.
func (t *Tenant) Fail(ctx context.Context, claim *Claim, cause string, permanent bool, maxAttempts int) (string, error) {
	requestID := claim.Request.RequestID
	var state stageState
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if _, err := t.holds(ctx, tx, requestID, claim); err != nil {
			return err
		}
		switch {
		case permanent:
			state = StateFailed
			return t.endFailed(ctx, tx, claim, requestID, state, StatusFailed, cause)
		case claim.Attempt >= maxAttempts:
			state = StateDeadLetter
			return t.endFailed(ctx, tx, claim, requestID, state, StatusDeadLetter, cause)
		}
		state = StatePending
		values := t.stageKey(requestID, claim.Stage)
		values["state"] = state
		values["lease_until"] = spanner.NullTime{}
		values["sweep_after"] = t.db.now().Add(lostGrace)
		values["cause"] = clip(cause, maxCause)
		mutations, err := t.insertEntries(requestID, claim.Stage, claim.configHash(), []Entry{
			{Action: ActionAttemptFailed, Reason: cause, Details: map[string]any{"attempt": claim.Attempt}},
		})
		if err != nil {
			return err
		}
		return tx.BufferWrite(append(mutations, spanner.UpdateMap("request_stages", values)))
	})
	if err != nil {
		return "", fmt.Errorf("record the failure of %s of request %s: %w", claim.Stage, requestID, err)
	}
	return state, nil
}

// holds returns the request's stages while the claim is its stage's latest
// attempt and has not ended. A lease that has run out does not matter until
// another attempt began.
func (t *Tenant) holds(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string, claim *Claim) (stageRows, error) {
	rows, err := t.stageRows(ctx, tx, requestID)
	if err != nil {
		return nil, err
	}
	row := rows[claim.Stage]
	if row == nil {
		return nil, ErrNotFound
	}
	if row.State != StateRunning || int(row.Attempts) != claim.Attempt || int(row.Round) != claim.Round {
		return nil, ErrLostClaim
	}
	return rows, nil
}

func (t *Tenant) stageKey(requestID string, stage topology.Stage) map[string]any {
	return map[string]any{"tenant_id": t.id, "request_id": requestID, "stage": string(stage)}
}

var stageColumns = []string{"stage", "state", "attempts", "lease_until", "cause", "enqueued_at", "sweep_after", "sweeps", "round"}

func scanStage(row *spanner.Row) (*stageRow, error) {
	var s stageRow
	err := row.Columns((*string)(&s.Stage), &s.State, &s.Attempts, &s.LeaseUntil, &s.Cause, &s.EnqueuedAt, &s.SweepAfter, &s.Sweeps, &s.Round)
	return &s, err
}

func (t *Tenant) stage(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string, stage topology.Stage) (*stageRow, error) {
	row, err := tx.ReadRow(ctx, "request_stages", spanner.Key{t.id, requestID, string(stage)}, stageColumns)
	if err != nil {
		return nil, notFound(err)
	}
	return scanStage(row)
}

func (t *Tenant) stageRows(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID string) (stageRows, error) {
	rows := stageRows{}
	err := tx.Read(ctx, "request_stages", spanner.Key{t.id, requestID}.AsPrefix(), stageColumns).Do(func(row *spanner.Row) error {
		s, err := scanStage(row)
		if err == nil {
			rows[s.Stage] = s
		}
		return err
	})
	return rows, err
}

// unfinished tells whether the stage's work is going on, or ended without a
// result.
func (r *stageRow) unfinished() bool {
	return r.State == StateRunning || r.State == StateFailed || r.State == StateDeadLetter
}

// fillAgain tells whether everything that stages found out of the customer is
// going to be found out again when the pipeline works from that stage. It is not
// where one before it was part of that.
func (rows stageRows) fillAgain(begin topology.Stage) bool {
	if !begin.Before(topology.Workflow) {
		return false
	}
	for stage := range rows {
		if stage.Before(begin) {
			return false
		}
	}
	return true
}

// endStage ends the stage; a nil cause leaves that of an earlier attempt.
func (t *Tenant) endStage(requestID string, stage topology.Stage, state stageState, cause *string) *spanner.Mutation {
	values := t.stageKey(requestID, stage)
	values["state"] = state
	values["lease_until"] = spanner.NullTime{}
	values["sweep_after"] = spanner.NullTime{}
	values["finished_at"] = spanner.CommitTimestamp
	if cause != nil {
		values["cause"] = clip(*cause, maxCause)
	}
	return spanner.UpdateMap("request_stages", values)
}

// endFailed writes that the request, and its events, ended with the claim's
// stage.
func (t *Tenant) endFailed(ctx context.Context, tx *spanner.ReadWriteTransaction, claim *Claim, requestID string, state stageState, status Status, cause string) error {
	action := ActionStageFailed
	if state == StateDeadLetter {
		action = ActionDeadLetter
	}
	stage := claim.Stage
	mutations, err := t.insertEntries(requestID, stage, claim.configHash(), []Entry{
		{Action: action, Reason: cause, Details: map[string]any{"attempts": claim.Attempt}},
	})
	if err != nil {
		return err
	}
	if err := t.updateEvents(ctx, tx, requestID, eventFailed); err != nil {
		return err
	}
	return tx.BufferWrite(append(mutations,
		t.endStage(requestID, stage, state, &cause),
		spanner.UpdateMap("requests", map[string]any{
			"tenant_id":     t.id,
			"request_id":    requestID,
			"status":        string(status),
			"failure_stage": string(stage),
			"failure_cause": clip(cause, maxCause),
			"updated_at":    spanner.CommitTimestamp,
		}),
	))
}

// updateEvents sets the state of the request's events.
func (t *Tenant) updateEvents(ctx context.Context, tx *spanner.ReadWriteTransaction, requestID, status string) error {
	params := t.key(requestID)
	params["status"] = status
	_, err := tx.Update(ctx, spanner.Statement{
		SQL: `UPDATE webhook_events SET processing_status = @status, updated_at = PENDING_COMMIT_TIMESTAMP()
			WHERE tenant_id = @tenant AND request_id = @request AND processing_status != @status`,
		Params: params,
	})
	return err
}

// StageStatus is the visible state of one stage of a request.
type StageStatus struct {
	Stage      topology.Stage `json:"stage"`
	State      string         `json:"state"`          // pending, running, done, failed, dead_letter or superseded
	Round      int            `json:"round,omitzero"` // 0 the first time, see [Step]
	Attempts   int            `json:"attempts"`
	Cause      string         `json:"cause,omitzero"` // of the last attempt that failed
	Enqueued   bool           `json:"enqueued,omitzero"`
	StartedAt  time.Time      `json:"startedAt,omitzero"`  // of the last attempt; zero before the first
	FinishedAt time.Time      `json:"finishedAt,omitzero"` // zero until it is over
}

// Stages returns the stages that the request has reached, in the pipeline's
// order.
func (t *Tenant) Stages(ctx context.Context, requestID string) ([]StageStatus, error) {
	return t.stages(ctx, t.db.client.Single(), requestID)
}

func (t *Tenant) stages(ctx context.Context, tx reader, requestID string) ([]StageStatus, error) {
	byStage := map[topology.Stage]StageStatus{}
	err := tx.Query(ctx, spanner.Statement{
		SQL: `SELECT stage, state, round, attempts, cause, enqueued_at IS NOT NULL, started_at, finished_at
			FROM request_stages WHERE tenant_id = @tenant AND request_id = @request`,
		Params: t.key(requestID),
	}).Do(func(row *spanner.Row) error {
		var s StageStatus
		var attempts, round int64
		var cause spanner.NullString
		var started, finished spanner.NullTime
		if err := row.Columns((*string)(&s.Stage), &s.State, &round, &attempts, &cause, &s.Enqueued, &started, &finished); err != nil {
			return err
		}
		s.Attempts, s.Round = int(attempts), int(round)
		s.Cause, s.StartedAt, s.FinishedAt = cause.StringVal, started.Time, finished.Time
		byStage[s.Stage] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("stages of request %s: %w", requestID, err)
	}
	var all []StageStatus
	for _, stage := range topology.Stages {
		if s, ok := byStage[stage]; ok {
			all = append(all, s)
		}
	}
	return all, nil
}
