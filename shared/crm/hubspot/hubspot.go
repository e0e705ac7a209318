// Package hubspot pushes leads to HubSpot: a contact by batch upsert and, if
// configured, a note on it with the analysis.
//
// A contact is found by its e-mail address or, for a lead without one, by a
// property that the tenant has declared unique and that holds the telephone
// number. The note is found by a unique property that holds the request's id,
// so a repeated push rewrites both and adds nothing.
//
// The API: developers.hubspot.com/docs/api-reference/2026-03/crm/objects/
// contacts/batch/upsert-contacts, read 2026-11-22.
package hubspot

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"ingestion.internal/shared/contact"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

const (
	// DefaultBaseURL is HubSpot's API.
	DefaultBaseURL = "https://api.hubapi.com"

	contactsPath     = "/crm/objects/2026-03/contacts/batch/upsert"
	notesPath        = "/crm/objects/2026-03/notes/batch/upsert"
	associationsPath = "/crm/associations/2026-03/notes/contacts/batch/associate/default"

	// maxBatch is what HubSpot's other batch endpoints take at once; for upsert
	// the documentation does not say.
	maxBatch = 100

	emailProperty = "email"
)

// Settings are a tenant's settings of HubSpot.
type Settings = integrations.HubSpot

// Connector is a [crm.BatchConnector].
type Connector struct {
	settings Settings
	mapping  *crm.Mapping
	api      *vendorapi.Client
}

var (
	_ crm.BatchConnector = (*Connector)(nil)
	_ crm.Previewer      = (*Connector)(nil)
)

// New returns the connector of one tenant. mapping is compiled for "hubspot".
// A nil transport is the default one.
func New(settings Settings, mapping *crm.Mapping, transport http.RoundTripper) (*Connector, error) {
	settings.BaseURL = strings.TrimRight(cmp.Or(settings.BaseURL, DefaultBaseURL), "/")
	if err := settings.Validate(); err != nil {
		return nil, fmt.Errorf("hubspot: %w", err)
	}
	return &Connector{settings: settings, mapping: mapping, api: vendorapi.NewClient("hubspot", transport)}, nil
}

// Upsert creates or updates the lead's contact and its note.
func (c *Connector) Upsert(ctx context.Context, lead crm.Lead) (crm.Result, error) {
	outcome := c.UpsertBatch(ctx, []crm.Lead{lead})[0]
	return outcome.Result, outcome.Err
}

// UpsertBatch pushes leads, 100 at a time. One that HubSpot refuses does not
// hold up the others. Several leads of one customer are pushed one after the
// other.
func (c *Connector) UpsertBatch(ctx context.Context, leads []crm.Lead) []crm.Outcome {
	outcomes := make([]crm.Outcome, len(leads))
	pending := make([]*push, 0, len(leads))
	for i := range leads {
		p, err := c.prepare(&leads[i])
		if err != nil {
			outcomes[i].Err = err
			continue
		}
		p.outcome = &outcomes[i]
		p.outcome.Result.Notes = p.notes
		pending = append(pending, p)
	}
	for len(pending) > 0 {
		var batch []*push
		batch, pending = nextBatch(pending)
		c.push(ctx, batch)
	}
	return outcomes
}

// nextBatch takes from pending, in order, what can go in one call: HubSpot
// refuses batches with an id twice, and all of a batch is looked up by one
// property.
func nextBatch(pending []*push) (batch, rest []*push) {
	taken := map[string]bool{}
	for _, p := range pending {
		if len(batch) < maxBatch && p.input.IDProperty == pending[0].input.IDProperty && !taken[p.input.ID] {
			batch = append(batch, p)
		} else {
			rest = append(rest, p)
		}
		// A later lead of the customer must not overtake this one.
		taken[p.input.ID] = true
	}
	return batch, rest
}

// push is one lead on its way.
type push struct {
	lead    *crm.Lead
	input   input
	notes   []crm.Note
	outcome *crm.Outcome
}

// input is an element of a batch upsert.
type input struct {
	ID         string            `json:"id"`
	IDProperty string            `json:"idProperty"`
	Properties map[string]string `json:"properties"`
	// TraceID comes back with the input's result or error.
	TraceID string `json:"objectWriteTraceId"`
}

// prepare maps a lead and finds the property to look its contact up by.
func (c *Connector) prepare(lead *crm.Lead) (*push, error) {
	values, notes := c.mapping.Apply(lead)
	p := &push{lead: lead, notes: notes, input: input{TraceID: lead.RequestID, Properties: make(map[string]string, len(values)+1)}}
	for name, v := range values {
		p.input.Properties[name] = crm.Text(v)
	}
	email, emailErr := mail.ParseAddress(strings.TrimSpace(lead.Customer.Email))
	phone, phoneErr := contact.E164(lead.Customer.Phone)
	if emailErr != nil && p.input.Properties[emailProperty] == lead.Customer.Email && lead.Customer.Email != "" {
		// It would make HubSpot refuse the whole contact.
		delete(p.input.Properties, emailProperty)
		p.notes = append(p.notes, crm.Note{Property: emailProperty, Source: "email", Reason: "is no e-mail address"})
	}
	switch {
	case emailErr == nil:
		p.input.IDProperty, p.input.ID = emailProperty, strings.ToLower(email.Address)
	case c.settings.PhoneProperty != "" && phoneErr == nil:
		p.input.IDProperty, p.input.ID = c.settings.PhoneProperty, phone
	case c.settings.PhoneProperty == "":
		return nil, c.refuse("the lead has no usable e-mail address, and no unique property for telephone numbers is configured")
	default:
		return nil, c.refuse("the lead has neither a usable e-mail address nor a usable telephone number")
	}
	p.input.Properties[p.input.IDProperty] = p.input.ID
	return p, nil
}

// What calls are for, as errors name it.
const (
	opUpsert = "upsert contacts"
	opNotes  = "write notes"
	opLink   = "attach notes"
)

func (c *Connector) refuse(reason string) error {
	return &vendorapi.Error{Vendor: "hubspot", Op: opUpsert, Kind: vendorapi.Permanent, Reason: reason}
}

// push sends one batch, then the notes of the leads that arrived, and sets
// every outcome.
func (c *Connector) push(ctx context.Context, batch []*push) {
	inputs := make([]input, len(batch))
	for i, p := range batch {
		inputs[i] = p.input
	}
	answer, err := c.upsert(ctx, opUpsert, contactsPath, inputs)
	if refusedForOne(err, len(batch)) {
		c.pushSingly(ctx, batch)
		return
	}
	if err != nil {
		for _, p := range batch {
			p.outcome.Err = err
		}
		return
	}
	var arrived, unaccounted []*push
	for i, p := range batch {
		o, err := answer.find(opUpsert, inputs[i])
		switch {
		case err != nil:
			p.outcome.Err = err
		case o != nil:
			p.outcome.Result.RecordID, p.outcome.Result.Created = o.ID, o.New
			arrived = append(arrived, p)
		default:
			unaccounted = append(unaccounted, p)
		}
	}
	if len(batch) > 1 {
		c.pushSingly(ctx, unaccounted)
	} else {
		for _, p := range unaccounted {
			p.outcome.Err = answer.unmatched(opUpsert)
		}
	}
	c.writeNotes(ctx, arrived)
}

func (c *Connector) pushSingly(ctx context.Context, batch []*push) {
	for _, p := range batch {
		c.push(ctx, []*push{p})
	}
}

// writeNotes writes the notes of leads whose contacts are known, hangs them on
// the contacts, and sets the outcome of those for which that failed.
func (c *Connector) writeNotes(ctx context.Context, arrived []*push) {
	if c.settings.NoteProperty == "" {
		return
	}
	var pushes []*push
	var notes []input
	for _, p := range arrived {
		note, err := c.note(p.lead)
		if err != nil {
			p.outcome.Err = &vendorapi.Error{Vendor: "hubspot", Op: opNotes, Kind: vendorapi.Permanent, Err: err}
			continue
		}
		pushes, notes = append(pushes, p), append(notes, note)
	}
	if len(pushes) == 0 {
		return
	}
	answer, err := c.upsert(ctx, opNotes, notesPath, notes)
	if refusedForOne(err, len(pushes)) {
		for _, p := range pushes {
			c.writeNotes(ctx, []*push{p})
		}
		return
	}
	var links associations
	var linked []*push
	for i, p := range pushes {
		if err != nil {
			p.outcome.Err = err
			continue
		}
		o, problem := answer.find(opNotes, notes[i])
		switch {
		case problem != nil:
			p.outcome.Err = problem
		case o == nil:
			p.outcome.Err = answer.unmatched(opNotes)
		default:
			links.Inputs = append(links.Inputs, association{From: reference{o.ID}, To: reference{p.outcome.Result.RecordID}})
			linked = append(linked, p)
		}
	}
	if len(linked) == 0 {
		return
	}
	if err := c.link(ctx, links); err != nil {
		for _, p := range linked {
			p.outcome.Err = err
		}
	}
}

// link attaches notes to contacts; what is attached already stays so.
func (c *Connector) link(ctx context.Context, links associations) error {
	resp, err := c.post(ctx, opLink, associationsPath, links)
	if err != nil {
		return err
	}
	var answer batchAnswer
	if err := c.api.Decode(opLink, resp, &answer); err != nil {
		return err
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].err(opLink)
	}
	return nil
}

// refusedForOne reports whether err may be the fault of a single one of n
// inputs that were refused together.
func refusedForOne(err error, n int) bool {
	kind := vendorapi.KindOf(err)
	return err != nil && n > 1 && (kind == vendorapi.Permanent || kind == vendorapi.Conflict)
}

func (c *Connector) note(lead *crm.Lead) (input, error) {
	body, err := renderNote(lead)
	if err != nil {
		return input{}, err
	}
	return input{
		ID:         lead.RequestID,
		IDProperty: c.settings.NoteProperty,
		TraceID:    lead.RequestID,
		Properties: map[string]string{
			c.settings.NoteProperty: lead.RequestID,
			"hs_timestamp":          lead.ReceivedAt.UTC().Format(time.RFC3339),
			"hs_note_body":          body,
		},
	}, nil
}

type (
	inputs struct {
		Inputs []input `json:"inputs"`
	}
	reference struct {
		ID string `json:"id"`
	}
	association struct {
		From reference `json:"from"`
		To   reference `json:"to"`
	}
	associations struct {
		Inputs []association `json:"inputs"`
	}
)

// upsert posts a batch and reads its answer.
func (c *Connector) upsert(ctx context.Context, op, path string, in []input) (batchAnswer, error) {
	resp, err := c.post(ctx, op, path, inputs{in})
	if err != nil {
		return batchAnswer{}, err
	}
	var a batchAnswer
	err = c.api.Decode(op, resp, &a)
	return a, err
}

// post sends a document; anything but a 200, 201 or 207 is an error.
func (c *Connector) post(ctx context.Context, op, path string, document any) (vendorapi.Response, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return vendorapi.Response{}, &vendorapi.Error{Vendor: "hubspot", Op: op, Kind: vendorapi.Permanent, Err: err}
	}
	resp, err := c.api.Do(ctx, vendorapi.Request{
		Op:     op,
		Method: http.MethodPost,
		URL:    c.settings.BaseURL + path,
		Header: http.Header{
			"Authorization": {"Bearer " + c.settings.Token},
			"Content-Type":  {"application/json"},
			"Accept":        {"application/json"},
		},
		Body: body,
	})
	if err != nil {
		return resp, err
	}
	if !slices.Contains([]int{http.StatusOK, http.StatusCreated, http.StatusMultiStatus}, resp.Status) {
		return resp, c.refused(op, resp)
	}
	return resp, nil
}

// Preview shows the calls that [Connector.Upsert] makes.
func (c *Connector) Preview(lead crm.Lead) ([]crm.Call, error) {
	p, err := c.prepare(&lead)
	if err != nil {
		return nil, err
	}
	documents := []struct {
		op, path string
		document any
	}{{opUpsert, contactsPath, inputs{[]input{p.input}}}}
	if c.settings.NoteProperty != "" {
		note, err := c.note(&lead)
		if err != nil {
			return nil, fmt.Errorf("hubspot: %w", err)
		}
		documents = append(documents, []struct {
			op, path string
			document any
		}{
			{opNotes, notesPath, inputs{[]input{note}}},
			{opLink, associationsPath, associations{[]association{{reference{"<note id>"}, reference{"<contact id>"}}}}},
		}...)
	}
	calls := make([]crm.Call, len(documents))
	for i, d := range documents {
		body, err := json.Marshal(d.document)
		if err != nil {
			return nil, fmt.Errorf("hubspot: %w", err)
		}
		calls[i] = crm.Call{Op: d.op, Method: http.MethodPost, URL: c.settings.BaseURL + d.path, Body: body}
	}
	return calls, nil
}
