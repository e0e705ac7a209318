// Package salesforce pushes leads to Salesforce: one Lead per request, by
// upsert on an external id field that holds the request's id.
//
// The API: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
// dome_upsert.htm, resources_composite_sobjects_collections_upsert.htm and
// errorcodes.htm, read 2026-11-22.
package salesforce

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

const (
	// DefaultAPIVersion is Spring '26's.
	DefaultAPIVersion = "v66.0"

	maxBatch = 200 // records in one call, by the documentation of collections

	vendor   = "salesforce"
	opUpsert = "upsert lead"
)

// Settings are a tenant's settings of Salesforce.
type Settings = integrations.Salesforce

// Connector is a [crm.BatchConnector].
type Connector struct {
	settings Settings
	mapping  *crm.Mapping
	api      *vendorapi.Client
	tokens   *tokens
}

var (
	_ crm.BatchConnector = (*Connector)(nil)
	_ crm.Previewer      = (*Connector)(nil)
)

// New returns the connector of one tenant. mapping is compiled for
// "salesforce". A nil transport is the default one.
func New(settings Settings, mapping *crm.Mapping, transport http.RoundTripper) (*Connector, error) {
	settings.LoginURL = strings.TrimRight(settings.LoginURL, "/")
	settings.APIVersion = cmp.Or(settings.APIVersion, DefaultAPIVersion)
	settings.Audience = cmp.Or(settings.Audience, defaultAudience)
	if err := settings.Validate(); err != nil {
		return nil, fmt.Errorf("salesforce: %w", err)
	}
	if mapping.Maps(settings.ExternalIDField) {
		return nil, fmt.Errorf("salesforce: field_mapping: %s is the external id field, which the connector fills", settings.ExternalIDField)
	}
	api := vendorapi.NewClient(vendor, transport)
	tokens, err := newTokens(settings, api)
	if err != nil {
		return nil, fmt.Errorf("salesforce: %w", err)
	}
	return &Connector{settings: settings, mapping: mapping, api: api, tokens: tokens}, nil
}

// record is a lead's place and fields.
func (c *Connector) record(lead *crm.Lead) (path string, fields map[string]any, notes []crm.Note) {
	fields, notes = c.mapping.Apply(lead)
	path = fmt.Sprintf("/services/data/%s/sobjects/Lead/%s/%s", c.settings.APIVersion, c.settings.ExternalIDField, url.PathEscape(lead.RequestID))
	return path, fields, notes
}

// saved is the answer to a written record, alone or as a part of a batch.
type saved struct {
	ID      string    `json:"id"`
	Success bool      `json:"success"`
	Created bool      `json:"created"`
	Errors  []problem `json:"errors"`
}

// Upsert creates or updates the request's Lead.
func (c *Connector) Upsert(ctx context.Context, lead crm.Lead) (crm.Result, error) {
	path, fields, notes := c.record(&lead)
	resp, err := c.call(ctx, opUpsert, path, fields)
	if err != nil {
		return crm.Result{}, err
	}
	result := crm.Result{Created: resp.Status == http.StatusCreated, Notes: notes}
	switch {
	case resp.Status == http.StatusNoContent || len(resp.Body) == 0:
		// Updated; some versions do not name the record then.
		return result, nil
	case resp.Status == http.StatusOK || resp.Status == http.StatusCreated:
		var s saved
		if err := c.api.Decode(opUpsert, resp, &s); err != nil {
			return crm.Result{}, err
		}
		if !s.Success {
			return crm.Result{}, refusedRecord(opUpsert, resp.Status, s.Errors)
		}
		result.RecordID = s.ID
		return result, nil
	case resp.Status == http.StatusMultipleChoices:
		refused := c.api.Refused(opUpsert, resp, "several leads have the external id "+lead.RequestID+": "+string(resp.Body))
		refused.Kind = vendorapi.Conflict
		return crm.Result{}, refused
	default:
		return crm.Result{}, c.refused(opUpsert, resp)
	}
}

// UpsertBatch pushes leads, 200 at a time. One that Salesforce refuses does
// not hold up the others.
func (c *Connector) UpsertBatch(ctx context.Context, leads []crm.Lead) []crm.Outcome {
	outcomes := make([]crm.Outcome, 0, len(leads))
	for _, chunk := range chunks(leads) {
		outcomes = append(outcomes, c.upsertChunk(ctx, chunk)...)
	}
	return outcomes
}

// chunks cuts leads into calls: at most 200, and no external id twice, which
// Salesforce refuses.
func chunks(leads []crm.Lead) [][]crm.Lead {
	var out [][]crm.Lead
	seen := map[string]bool{}
	start := 0
	for i, lead := range leads {
		if i-start == maxBatch || seen[lead.RequestID] {
			out = append(out, leads[start:i])
			start = i
			clear(seen)
		}
		seen[lead.RequestID] = true
	}
	if start < len(leads) {
		out = append(out, leads[start:])
	}
	return out
}

func (c *Connector) upsertChunk(ctx context.Context, leads []crm.Lead) []crm.Outcome {
	outcomes := make([]crm.Outcome, len(leads))
	records := make([]map[string]any, len(leads))
	for i := range leads {
		_, fields, notes := c.record(&leads[i])
		records[i] = maps.Clone(fields)
		records[i]["attributes"] = map[string]string{"type": "Lead"}
		records[i][c.settings.ExternalIDField] = leads[i].RequestID
		outcomes[i].Result.Notes = notes
	}
	fail := func(err error) []crm.Outcome {
		for i := range outcomes {
			outcomes[i] = crm.Outcome{Err: err}
		}
		return outcomes
	}
	const op = "upsert leads"
	path := fmt.Sprintf("/services/data/%s/composite/sobjects/Lead/%s", c.settings.APIVersion, c.settings.ExternalIDField)
	resp, err := c.call(ctx, op, path, map[string]any{"allOrNone": false, "records": records})
	if err != nil {
		return fail(err)
	}
	if resp.Status != http.StatusOK {
		return fail(c.refused(op, resp))
	}
	var answers []saved // in the order of the records
	if err := c.api.Decode(op, resp, &answers); err != nil {
		return fail(err)
	}
	if len(answers) != len(leads) {
		return fail(&vendorapi.Error{Vendor: vendor, Op: op, Status: resp.Status, Err: fmt.Errorf("%d answers for %d leads", len(answers), len(leads))})
	}
	for i, a := range answers {
		if !a.Success {
			outcomes[i] = crm.Outcome{Err: refusedRecord(op, resp.Status, a.Errors)}
			continue
		}
		outcomes[i].Result.RecordID, outcomes[i].Result.Created = a.ID, a.Created
	}
	return outcomes
}

// call sends a document with a token; once more with a new token if Salesforce
// does not accept the cached one. It answers with whatever status came.
func (c *Connector) call(ctx context.Context, op, path string, document any) (vendorapi.Response, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return vendorapi.Response{}, &vendorapi.Error{Vendor: vendor, Op: op, Kind: vendorapi.Permanent, Err: err}
	}
	send := func(t token) (vendorapi.Response, error) {
		return c.api.Do(ctx, vendorapi.Request{
			Op:     op,
			Method: http.MethodPatch,
			URL:    t.InstanceURL + path,
			Header: http.Header{
				"Authorization": {"Bearer " + t.AccessToken},
				"Content-Type":  {"application/json"},
				"Accept":        {"application/json"},
			},
			Body: body,
		})
	}
	t, err := c.tokens.get(ctx)
	if err != nil {
		return vendorapi.Response{}, err
	}
	resp, err := send(t)
	if err != nil || resp.Status != http.StatusUnauthorized {
		return resp, err
	}
	c.tokens.drop(t)
	if t, err = c.tokens.get(ctx); err != nil {
		return vendorapi.Response{}, err
	}
	return send(t)
}

// Preview shows the call that [Connector.Upsert] makes, token requests aside.
func (c *Connector) Preview(lead crm.Lead) ([]crm.Call, error) {
	path, fields, _ := c.record(&lead)
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("salesforce: %w", err)
	}
	return []crm.Call{{Op: opUpsert, Method: http.MethodPatch, URL: "<instance url>" + path, Body: body}}, nil
}

// problem is an element of the body of a refusal. The code is errorCode where
// a request was refused and statusCode where a record was.
type problem struct {
	ErrorCode  string   `json:"errorCode"`
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
}

func (p problem) code() string { return cmp.Or(p.ErrorCode, p.StatusCode) }

func (p problem) String() string {
	s := strings.TrimSuffix(p.code()+": "+p.Message, ": ")
	if len(p.Fields) > 0 {
		s += " (" + strings.Join(p.Fields, ", ") + ")"
	}
	return s
}

// codeKinds are the codes that say more than the status they come with.
var codeKinds = map[string]vendorapi.Kind{
	"API_CURRENTLY_DISABLED":            vendorapi.Credentials,
	"API_DISABLED_FOR_ORG":              vendorapi.Credentials,
	"DUPLICATE_EXTERNAL_ID":             vendorapi.Conflict,
	"DUPLICATE_VALUE":                   vendorapi.Conflict,
	"DUPLICATES_DETECTED":               vendorapi.Conflict,
	"INSUFFICIENT_ACCESS_OR_READONLY":   vendorapi.Credentials,
	"INVALID_SESSION_ID":                vendorapi.Credentials,
	"REQUEST_LIMIT_EXCEEDED":            vendorapi.Retryable,
	"REQUEST_RUNNING_TOO_LONG":          vendorapi.Retryable,
	"SERVER_UNAVAILABLE":                vendorapi.Retryable,
	"UNABLE_TO_LOCK_ROW":                vendorapi.Retryable,
	"UNKNOWN_EXCEPTION":                 vendorapi.Retryable,
	"CANNOT_UPDATE_CONVERTED_LEAD":      vendorapi.Permanent,
	"ENTITY_IS_LOCKED":                  vendorapi.Conflict,
	"FIELD_CUSTOM_VALIDATION_EXCEPTION": vendorapi.Permanent,
}

// limitWait is how long to wait after REQUEST_LIMIT_EXCEEDED: the limit is over
// the last 24 hours, so it frees up little by little.
const limitWait = "600" // seconds

// refused is the error for an answer that refuses the request.
func (c *Connector) refused(op string, resp vendorapi.Response) error {
	var problems []problem
	// A body of another form leaves the status to speak.
	_ = json.Unmarshal(resp.Body, &problems)
	if len(problems) == 0 {
		return c.api.Refused(op, resp, "")
	}
	if slices.ContainsFunc(problems, func(p problem) bool { return p.code() == "REQUEST_LIMIT_EXCEEDED" }) && resp.Header.Get("Retry-After") == "" {
		resp.Header.Set("Retry-After", limitWait)
	}
	refused := c.api.Refused(op, resp, join(problems))
	if kind, ok := codeKinds[problems[0].code()]; ok {
		refused.Kind = kind
	}
	return refused
}

// refusedRecord is the error for a record that was refused.
func refusedRecord(op string, status int, problems []problem) error {
	err := &vendorapi.Error{Vendor: vendor, Op: op, Kind: vendorapi.Permanent, Status: status, Reason: vendorapi.Clean(join(problems))}
	if len(problems) > 0 {
		if kind, ok := codeKinds[problems[0].code()]; ok {
			err.Kind = kind
		}
	}
	return err
}

func join(problems []problem) string {
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}
