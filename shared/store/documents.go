package store

import (
	"context"
	"encoding/json"
	"fmt"

	"cloud.google.com/go/spanner"
)

// KeepDocuments writes what an attempt at the stage has of the request's
// documents so far, before it is done: reading was paid for and pictures do not
// stay where they were, so whatever becomes of the attempt, the next one finds
// it. ErrLostClaim: the stage is no longer the claim's, and nothing was written.
func (t *Tenant) KeepDocuments(ctx context.Context, claim *Claim, documents json.RawMessage) error {
	requestID := claim.Request.RequestID
	stored, err := storableJSON(documents)
	if err != nil {
		return fmt.Errorf("keep documents of request %s: %w", requestID, err)
	}
	err = t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if _, err := t.holds(ctx, tx, requestID, claim); err != nil {
			return err
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.UpdateMap("requests", map[string]any{
			"tenant_id": t.id, "request_id": requestID, "document_data": stored, "updated_at": spanner.CommitTimestamp,
		})})
	})
	if err != nil {
		return fmt.Errorf("keep documents of request %s: %w", requestID, err)
	}
	return nil
}
