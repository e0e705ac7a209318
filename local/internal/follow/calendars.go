package follow

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"
)

// Calendars returns the ids of the tenant's calendars that are followed, in
// order.
func (s *Spanner) Calendars(ctx context.Context, tenantID string) ([]string, error) {
	var ids []string
	err := s.client.Single().Query(ctx, spanner.Statement{
		SQL:    `SELECT calendar_id FROM calendars WHERE tenant_id = @tenant AND status = 'active' ORDER BY calendar_id`,
		Params: map[string]any{"tenant": tenantID},
	}).Do(func(row *spanner.Row) error {
		var id string
		err := row.Columns(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("calendars of %s: %w", tenantID, err)
	}
	return ids, nil
}

// Events counts the events that the request has heard of; 0 if there is none.
func (s *Spanner) Events(ctx context.Context, tenantID, requestID string) (int64, error) {
	var n int64
	err := s.client.Single().Query(ctx, spanner.Statement{
		SQL:    `SELECT COUNT(*) FROM webhook_events WHERE tenant_id = @tenant AND request_id = @request`,
		Params: map[string]any{"tenant": tenantID, "request": requestID},
	}).Do(func(row *spanner.Row) error { return row.Columns(&n) })
	if err != nil {
		return 0, fmt.Errorf("events of request %s: %w", requestID, err)
	}
	return n, nil
}

// AwaitEvents returns once the request has heard of so many events.
func (s *Spanner) AwaitEvents(ctx context.Context, tenantID, requestID string, n int64) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		got, err := s.Events(ctx, tenantID, requestID)
		if err == nil && got >= n {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("request %s has heard of %d events, not %d: %w", requestID, got, n, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
