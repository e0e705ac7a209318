package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/iterator"

	"ingestion.internal/shared/topology"
)

// When a stage counts as forgotten. A sign of life moves the moment on: a
// request's acceptance, its task's way into the queue, a claim, an attempt's
// end.
const (
	// unsentGrace is how long whoever committed a stage has to enqueue it.
	unsentGrace = time.Minute
	// lostGrace is how long a queue has to deliver, the first time or again.
	// It is well above the longest pause of a queue between two attempts. A
	// queue with a longer backlog only gets a task more, which finds its stage
	// done.
	lostGrace = 15 * time.Minute
	// maxDoublings bounds how much rarer a stage is taken up, that was often.
	maxDoublings = 4
)

// sweepShards is how many parts the index of open stages has.
const sweepShards = 8

// sweepShard returns the part of the index that a request's stages are in.
func sweepShard(requestID string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(requestID)) // a hash cannot fail
	return int64(h.Sum32() % sweepShards)
}

// patience is the grace, doubled for each time that the stage was swept.
func patience(grace time.Duration, sweeps int64) time.Duration {
	return grace << min(max(sweeps, 0), maxDoublings)
}

// OpenStage names a stage that is neither done nor failed.
type OpenStage struct {
	TenantID  string
	RequestID string
	Stage     topology.Stage
}

// Overdue returns at most limit stages of all tenants that are open and that
// nobody seems to work on, those of each shard by how long they wait.
func (db *DB) Overdue(ctx context.Context, limit int) ([]OpenStage, error) {
	found, err := dueOfShards(ctx, db, overdueStages, limit, func(row *spanner.Row) (s OpenStage, err error) {
		return s, row.Columns(&s.TenantID, &s.RequestID, (*string)(&s.Stage))
	})
	if err != nil {
		return nil, fmt.Errorf("overdue stages: %w", err)
	}
	return found, nil
}

// dueIndex is an index by shard and time, of which what is due is read.
type dueIndex struct {
	table, name string
	columns     []string
}

var overdueStages = dueIndex{"request_stages", "request_stages_by_sweep_after", []string{"tenant_id", "request_id", "stage"}}

// readDue gives each the rows of the shard that are due, those that wait longest
// first: at most limit, or with 0 for as long as it wants more.
func (db *DB) readDue(ctx context.Context, of dueIndex, shard int64, limit int, each func(*spanner.Row) (more bool, err error)) error {
	due := spanner.KeyRange{Start: spanner.Key{shard}, End: spanner.Key{shard, db.now()}, Kind: spanner.ClosedClosed}
	iter := db.client.Single().ReadWithOptions(ctx, of.table, due, of.columns, &spanner.ReadOptions{Index: of.name, Limit: limit})
	defer iter.Stop()
	for {
		row, err := iter.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		if more, err := each(row); err != nil || !more {
			return err
		}
	}
}

// dueOfShards returns at most limit rows of all shards that are due, and of each
// at most its share.
func dueOfShards[T any](ctx context.Context, db *DB, of dueIndex, limit int, scan func(*spanner.Row) (T, error)) ([]T, error) {
	var found []T
	each := max(1, limit/sweepShards)
	for shard := range int64(sweepShards) {
		if err := db.readDue(ctx, of, shard, each, func(row *spanner.Row) (bool, error) {
			one, err := scan(row)
			found = append(found, one)
			return true, err
		}); err != nil {
			return nil, err
		}
	}
	return found[:min(limit, len(found))], nil
}

// TakeUp is the sweeper's leave to enqueue a stage again.
type TakeUp struct {
	Step       Step   // to enqueue
	Generation int    // of the task to make: 0 is the one that the stage's own enqueuer makes
	State      string // pending or running
	Waiting    bool   // it was never known to be in its queue
}

// TakeUp reserves an overdue stage for the caller, so that of two sweepers one
// enqueues it. Nil: it is no longer overdue. If the caller then fails to
// enqueue it, or to say so by MarkEnqueued, it is soon overdue again.
//
// A stage that is not known to have been enqueued is first given the task of
// its own enqueuer, which meets the one that it may have made without getting
// to record it. Any later task is a new one, because the queue remembers the
// names of tasks that are long gone.
func (t *Tenant) TakeUp(ctx context.Context, requestID string, stage topology.Stage) (*TakeUp, error) {
	var taken *TakeUp
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		taken = nil
		row, err := t.stage(ctx, tx, requestID, stage)
		if err != nil {
			return err
		}
		now := t.db.now()
		if !row.SweepAfter.Valid || now.Before(row.SweepAfter.Time) {
			return nil
		}
		taken = &TakeUp{Step: Step{Stage: stage, Round: int(row.Round)}, Generation: int(row.Sweeps) + 1, State: row.State, Waiting: !row.EnqueuedAt.Valid}
		if row.Sweeps == 0 && taken.Waiting {
			taken.Generation = 0
		}
		values := t.stageKey(requestID, stage)
		values["sweeps"] = row.Sweeps + 1
		values["sweep_after"] = now.Add(patience(unsentGrace, row.Sweeps))
		mutations, err := t.insertEntries(requestID, stage, "", []Entry{
			{Action: ActionTakenUp, Reason: "nobody was working on the stage", Details: map[string]any{"state": row.State, "generation": taken.Generation}},
		})
		if err != nil {
			return err
		}
		return tx.BufferWrite(append(mutations, spanner.UpdateMap("request_stages", values)))
	})
	if err != nil {
		return nil, fmt.Errorf("take up %s of request %s: %w", stage, requestID, err)
	}
	return taken, nil
}
