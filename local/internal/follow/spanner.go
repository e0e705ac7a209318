package follow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
)

// Spanner reads stories from a database.
type Spanner struct{ client *spanner.Client }

// Open connects to a database, by its full name, in the emulator at host:port.
func Open(ctx context.Context, emulator, database string) (*Spanner, error) {
	// The client reads the emulator's address from the environment only, where
	// the caller's shell may have left another one.
	if err := os.Setenv("SPANNER_EMULATOR_HOST", emulator); err != nil {
		return nil, err
	}
	c, err := spanner.NewClientWithConfig(ctx, database, spanner.ClientConfig{DisableNativeMetrics: true})
	if err != nil {
		return nil, fmt.Errorf("open %s in the emulator at %s: %w", database, emulator, err)
	}
	return &Spanner{client: c}, nil
}

// Close ends the connection.
func (s *Spanner) Close() { s.client.Close() }

// Read implements Reader.
func (s *Spanner) Read(ctx context.Context, tenantID, requestID string) (*Story, error) {
	txn := s.client.ReadOnlyTransaction() // one moment for both tables
	defer txn.Close()
	key := spanner.Key{tenantID, requestID}
	row, err := txn.ReadRow(ctx, "requests", key, []string{
		"status", "transcription_data", "document_data", "ai_analysis", "lead_score", "spam_likelihood",
		"decision", "decision_reasons", "failure_stage", "failure_cause", "created_at",
	})
	if spanner.ErrCode(err) == codes.NotFound {
		return nil, fmt.Errorf("request %s of tenant %s: %w", requestID, tenantID, ErrNoRequest)
	}
	if err != nil {
		return nil, fmt.Errorf("read request %s: %w", requestID, err)
	}
	story := &Story{RequestID: requestID, TenantID: tenantID}
	var (
		transcription, read, analysis                  spanner.NullJSON
		score                                          spanner.NullInt64
		spam                                           spanner.NullFloat64
		decision, failureStage, failureCause, position spanner.NullString
		reasons                                        []spanner.NullString
		created                                        spanner.NullTime
	)
	if err := row.Columns(&position, &transcription, &read, &analysis, &score, &spam, &decision, &reasons, &failureStage, &failureCause, &created); err != nil {
		return nil, fmt.Errorf("request %s: %w", requestID, err)
	}
	story.Status, story.Decision = position.StringVal, decision.StringVal
	story.FailureStage, story.FailureCause = failureStage.StringVal, failureCause.StringVal
	story.Created = created.Time
	if score.Valid {
		story.LeadScore = &score.Int64
	}
	if spam.Valid {
		story.SpamLikelihood = &spam.Float64
	}
	for _, r := range reasons {
		story.DecisionReasons = append(story.DecisionReasons, r.StringVal)
	}

	rows := txn.Query(ctx, spanner.Statement{
		SQL: `SELECT stage, state, attempts, IFNULL(cause, ''), created_at, started_at, finished_at
			FROM request_stages WHERE tenant_id = @tenant AND request_id = @request ORDER BY created_at, stage`,
		Params: map[string]any{"tenant": tenantID, "request": requestID},
	})
	defer rows.Stop()
	for {
		row, err := rows.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read stages of %s: %w", requestID, err)
		}
		var st Stage
		var created, started, finished spanner.NullTime
		if err := row.Columns(&st.Name, &st.State, &st.Attempts, &st.Cause, &created, &started, &finished); err != nil {
			return nil, fmt.Errorf("stages of %s: %w", requestID, err)
		}
		st.Created, st.Started, st.Finished = created.Time, started.Time, finished.Time
		story.Stages = append(story.Stages, st)
	}
	story.fill(jsonText(transcription), jsonText(read), jsonText(analysis))
	return story, nil
}

func jsonText(j spanner.NullJSON) string {
	if !j.Valid {
		return ""
	}
	return j.String()
}

// Office is what a caller of a tenant's office must know.
type Office struct {
	OfficeID          string
	Name              string
	AccountID         string
	CompanyID         string
	CompanyResourceID string
	SigningKeySecret  string // id of the secret; empty = the platform's
}

// Offices returns an active tenant's active offices, ordered by id. The
// offices of a tenant that left keep their status; its own decides.
func (s *Spanner) Offices(ctx context.Context, tenantID string) ([]Office, error) {
	rows := s.client.Single().Query(ctx, spanner.Statement{
		SQL: `SELECT o.office_id, IFNULL(o.name, ''), IFNULL(o.callrail_account_id, ''), IFNULL(o.callrail_company_id, ''),
				IFNULL(o.callrail_company_resource_id, ''), IFNULL(o.callrail_signing_key, '')
			FROM tenants t JOIN offices o ON o.tenant_id = t.tenant_id
			WHERE t.tenant_id = @tenant AND t.status = 'active' AND o.status = 'active' ORDER BY o.office_id`,
		Params: map[string]any{"tenant": tenantID},
	})
	defer rows.Stop()
	var list []Office
	for {
		row, err := rows.Next()
		if errors.Is(err, iterator.Done) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read offices of %s: %w", tenantID, err)
		}
		var o Office
		if err := row.Columns(&o.OfficeID, &o.Name, &o.AccountID, &o.CompanyID, &o.CompanyResourceID, &o.SigningKeySecret); err != nil {
			return nil, fmt.Errorf("offices of %s: %w", tenantID, err)
		}
		list = append(list, o)
	}
}

// Tenants returns the ids of all active tenants, ordered.
func (s *Spanner) Tenants(ctx context.Context) ([]string, error) {
	rows := s.client.Single().Query(ctx, spanner.Statement{SQL: `SELECT tenant_id FROM tenants WHERE status = 'active' ORDER BY tenant_id`})
	defer rows.Stop()
	var ids []string
	for {
		row, err := rows.Next()
		if errors.Is(err, iterator.Done) {
			return ids, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read tenants: %w", err)
		}
		var id string
		if err := row.Columns(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
}

// RequestsSince returns the ids of a tenant's requests that were made at the time
// or after it, by the database's clock, in no order.
func (s *Spanner) RequestsSince(ctx context.Context, tenantID string, since time.Time) ([]string, error) {
	var ids []string
	err := s.client.Single().Query(ctx, spanner.Statement{
		SQL:    `SELECT request_id FROM requests WHERE tenant_id = @tenant AND created_at >= @since`,
		Params: map[string]any{"tenant": tenantID, "since": since},
	}).Do(func(row *spanner.Row) error {
		ids = append(ids, "")
		return row.Columns(&ids[len(ids)-1])
	})
	if err != nil {
		return nil, fmt.Errorf("requests of %s: %w", tenantID, err)
	}
	return ids, nil
}

// Find returns the tenant and the id of the one request whose id begins with
// text. None is ErrNoRequest.
func (s *Spanner) Find(ctx context.Context, text string) (tenantID, requestID string, err error) {
	found := 0
	err = s.client.Single().Query(ctx, spanner.Statement{
		SQL:    `SELECT tenant_id, request_id FROM requests WHERE STARTS_WITH(request_id, @text) LIMIT 2`,
		Params: map[string]any{"text": text},
	}).Do(func(row *spanner.Row) error {
		found++
		return row.Columns(&tenantID, &requestID)
	})
	switch {
	case err != nil:
		return "", "", fmt.Errorf("find request %s: %w", text, err)
	case found == 0:
		return "", "", fmt.Errorf("request %s: %w", text, ErrNoRequest)
	case found > 1:
		return "", "", fmt.Errorf("several requests begin with %s", text)
	}
	return tenantID, requestID, nil
}
