package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/geo"
	"ingestion.internal/shared/geocode"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

// locator finds where an address is; *[geocode.Client].
type locator interface {
	Locate(ctx context.Context, address string) (*geo.Place, error)
}

var _ locator = (*geocode.Client)(nil)

// locate sets where the request's address is, if the decision depends on it.
// A look-up that fails is no failure of the stage: the reason goes into the
// decision, and a person looks.
func (w *worker) locate(ctx context.Context, cfg workflow.Config, request *store.Request, a *analysis.Analysis, in *workflow.Input) {
	if !workflow.NeedsPlace(cfg, *in) {
		return
	}
	address := addressOf(request, a)
	if address == "" {
		return
	}
	if w.places == nil {
		in.PlaceProblem = "addresses are not looked up in this stack"
		return
	}
	place, err := w.places.Locate(ctx, address)
	if err != nil {
		in.PlaceProblem = err.Error()
		if !errors.Is(err, geocode.ErrUnknown) {
			slog.WarnContext(ctx, "going on without the place of the address", slog.Any("error", err))
		}
		return
	}
	in.Place = place
}

// Names by which websites know an address, and what completes it.
var (
	addressFields = []string{"address", "street_address", "street", "customer_address"}
	cityFields    = []string{"city", "town"}
	stateFields   = []string{"state", "province"}
)

// addressOf is the request's address as a geocoder reads it: that of the form,
// else what the conversation says, with town and state where they are apart,
// and the postal code, which may be one whose place is not known here. It is ""
// if none of them is known.
func addressOf(request *store.Request, a *analysis.Analysis) string {
	street, city, state := "", "", ""
	if request.CommunicationMode == store.ModeForm {
		street, city, state = formField(request.Payload, addressFields), formField(request.Payload, cityFields), formField(request.Payload, stateFields)
	}
	street, city, state = cmp.Or(street, a.Customer.Address), cmp.Or(city, a.Location.City), cmp.Or(state, a.Location.State)

	var parts []string
	for _, part := range []string{street, city, state, request.PostalCode} {
		part = strings.Trim(part, " ,")
		// A street that was given with its town has it already.
		if part != "" && !contains(strings.Join(parts, ", "), part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// contains reports whether the words of part stand in text, one behind the
// other.
func contains(text, part string) bool {
	words := func(s string) string {
		return " " + strings.ToLower(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }), " ")) + " "
	}
	return strings.Contains(words(text), words(part))
}

// formField is the first of these fields of a form that is a text, "" if none
// is.
func formField(payload json.RawMessage, names []string) string {
	var fields map[string]any
	if json.Unmarshal(payload, &fields) != nil {
		return ""
	}
	for _, name := range names {
		if s, ok := fields[name].(string); ok && strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s)
		}
	}
	return ""
}
