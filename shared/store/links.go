package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/contact"
)

// maxLinks bounds how many other requests of one person are looked at.
const maxLinks = 50

// Link is another request of the same person: what there is to say of it
// without its customer's words.
type Link struct {
	RequestID         string    `json:"requestId"`
	CommunicationMode string    `json:"communicationMode,omitzero"`
	Status            Status    `json:"status"`
	Decision          string    `json:"decision,omitzero"`
	Intent            string    `json:"intent,omitzero"` // by the analysis
	ReceivedAt        time.Time `json:"receivedAt,omitzero"`
	By                []string  `json:"by,omitempty"` // the contacts that both have
}

// Contacts are a telephone number and an e-mail address in the form by which a
// person is known again. What cannot be written in it is left out.
func Contacts(phone, email string) []string {
	var all []string
	if number, err := contact.E164(phone); err == nil {
		all = append(all, number)
	}
	if address, err := contact.Email(email); err == nil && len(address) <= maxEmail {
		all = append(all, address)
	}
	return all
}

// linkTo returns the mutations by which the request is found by its contacts.
func (t *Tenant) linkTo(requestID, phone, email string) []*spanner.Mutation {
	var mutations []*spanner.Mutation
	for _, c := range Contacts(phone, email) {
		mutations = append(mutations, spanner.InsertOrUpdateMap("request_contacts", map[string]any{
			"tenant_id": t.id, "contact": c, "request_id": requestID,
		}))
	}
	return mutations
}

// linkLearned is linkTo for what a stage found out.
func (t *Tenant) linkLearned(requestID string, u RequestUpdate) []*spanner.Mutation {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return t.linkTo(requestID, text(u.CustomerPhone), text(u.CustomerEmail))
}

// History returns the tenant's other requests of the person that the request is
// of, by its number and its address as they are now: those that came at the
// time or later, the latest first, at most 50. One whose customer gave neither
// has none.
func (t *Tenant) History(ctx context.Context, request *Request, since time.Time) ([]Link, error) {
	links, err := t.history(ctx, t.db.client.Single(), request, since)
	if err != nil {
		return nil, fmt.Errorf("history of request %s: %w", request.RequestID, err)
	}
	return links, nil
}

func (t *Tenant) history(ctx context.Context, tx reader, request *Request, since time.Time) ([]Link, error) {
	contacts := Contacts(request.CustomerPhone, request.CustomerEmail)
	if len(contacts) == 0 {
		return nil, nil
	}
	var links []Link
	err := tx.Query(ctx, spanner.Statement{
		SQL: `SELECT r.request_id, IFNULL(r.communication_mode, ''), r.status, IFNULL(r.decision, ''),
				IFNULL(JSON_VALUE(r.ai_analysis, '$.intent'), ''), r.created_at, ARRAY_AGG(c.contact)
			FROM request_contacts AS c JOIN requests AS r ON r.tenant_id = c.tenant_id AND r.request_id = c.request_id
			WHERE c.tenant_id = @tenant AND c.contact IN UNNEST(@contacts) AND r.request_id != @request AND r.created_at >= @since
			GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 6 DESC, 1 LIMIT @most`,
		Params: map[string]any{"tenant": t.id, "request": request.RequestID, "contacts": contacts, "since": since, "most": maxLinks},
	}).Do(func(row *spanner.Row) error {
		var l Link
		var received spanner.NullTime
		if err := row.Columns(&l.RequestID, &l.CommunicationMode, (*string)(&l.Status), &l.Decision, &l.Intent, &received, &l.By); err != nil {
			return err
		}
		l.ReceivedAt = received.Time
		slices.SortFunc(l.By, cmp.Compare[string])
		links = append(links, l)
		return nil
	})
	return links, err
}
