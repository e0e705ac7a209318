package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/breaker"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/store"
)

// push writes leads into one CRM, in the order in which they came in. It is
// safe to repeat: connectors write the record of the same customer or request
// again.
func (d *dispatcher) push(ctx context.Context, handle *store.Tenant, set settings, group []store.Effect) (int, error) {
	provider := group[0].Target
	claims, err := handle.ClaimEffects(ctx, keys(group), "", lease)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	claims, results := takenBack(claims, "; an attempt was interrupted, and the record may be there")
	slices.SortStableFunc(claims, func(a, b *store.EffectClaim) int { return a.Request.ReceivedAt.Compare(b.Request.ReceivedAt) })
	// Offices may map fields differently, so each has a connector of its own.
	for _, office := range byOffice(claims) {
		results = append(results, d.pushOffice(ctx, set, provider, office)...)
	}
	return d.finish(ctx, handle, results)
}

// byOffice parts claims by their request's office and keeps their order.
func byOffice(claims []*store.EffectClaim) [][]*store.EffectClaim {
	var all [][]*store.EffectClaim
	place := map[string]int{}
	for _, c := range claims {
		i, ok := place[c.Office.OfficeID]
		if !ok {
			i = len(all)
			place[c.Office.OfficeID] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], c)
	}
	return all
}

func (d *dispatcher) pushOffice(ctx context.Context, set settings, provider string, claims []*store.EffectClaim) []store.EffectResult {
	var results []store.EffectResult
	connector, err := d.connector(set, provider, claims[0].Office)
	if err != nil {
		for _, c := range claims {
			results = append(results, d.parked(c, set, err.Error()))
		}
		return results
	}
	var leads []crm.Lead
	var tried []*store.EffectClaim
	for _, c := range claims {
		lead, err := effects.Lead(c.Request, c.Office)
		if err != nil {
			results = append(results, result(c, store.EffectFailed, err.Error(), time.Time{}, nil))
			continue
		}
		leads, tried = append(leads, lead), append(tried, c)
	}
	connector = d.breakers.Wrap(claims[0].Request.TenantID, provider, connector)
	for i, o := range crm.UpsertAll(ctx, connector, leads) {
		results = append(results, d.pushed(tried[i], set, o))
	}
	return results
}

// connector opens the tenant's connector. An error is one of the settings.
func (d *dispatcher) connector(set settings, provider string, office *store.Office) (crm.Connector, error) {
	if set.problem != nil {
		return nil, set.problem
	}
	return connectors.Open(provider, set.Settings, office.Workflow.CRMIntegration.FieldMapping, d.transport)
}

// pushed is the result of a lead's part of a push.
func (d *dispatcher) pushed(c *store.EffectClaim, set settings, o crm.Outcome) store.EffectResult {
	if refused, ok := errors.AsType[*vendorapi.Error](o.Err); ok && refused.Op == breaker.NotTried {
		// Whatever opened the breaker was told with the lead that met it.
		return store.EffectResult{Claim: c, State: store.EffectPlanned, Cause: o.Err.Error(), NextAttempt: d.now().Add(refused.RetryAfter), Uncounted: true}
	}
	if o.Err != nil {
		return d.failure(c, set, o.Err)
	}
	details := map[string]any{"record": o.Result.RecordID, "created": o.Result.Created, "settings_version": set.version}
	if len(o.Result.Notes) > 0 {
		notes := map[string]any{}
		for _, n := range o.Result.Notes {
			notes[n.Property] = n.Reason
		}
		details["notes"] = notes
	}
	why := "a record was updated"
	if o.Result.Created {
		why = "a record was created"
	}
	r := result(c, store.EffectSent, "", time.Time{}, details)
	r.Entries[0].Reason = why
	r.ExternalID = o.Result.RecordID
	return r
}
