package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

// events are the lines by which the states of each kind of effect are counted.
var events = map[string]map[string]string{
	store.EffectCRM: {
		store.EffectSent:    telemetry.CRMPushed,
		store.EffectPlanned: telemetry.CRMRetry,
		store.EffectParked:  telemetry.CRMParked,
		store.EffectFailed:  telemetry.CRMFailed,
	},
	store.EffectEmail: {
		store.EffectSent:    telemetry.EmailSent,
		store.EffectPlanned: telemetry.EmailRetry,
		store.EffectSending: telemetry.EmailUnknown,
		store.EffectParked:  telemetry.EmailParked,
		store.EffectFailed:  telemetry.EmailFailed,
		store.EffectSkipped: telemetry.EmailSuppressed,
	},
}

// result makes an effect's result of its new state, and its part of the audit
// trail.
func result(c *store.EffectClaim, state, cause string, next time.Time, details map[string]any) store.EffectResult {
	if details == nil {
		details = map[string]any{}
	}
	details["target"], details["attempt"] = c.Target, c.Attempts
	action := c.Kind + "." + state
	switch state {
	case store.EffectPlanned:
		action = c.Kind + ".retry"
	case store.EffectSending:
		action = c.Kind + ".unknown"
	}
	if !next.IsZero() {
		details["next_attempt"] = next.UTC().Format(time.RFC3339)
	}
	return store.EffectResult{Claim: c, State: state, Cause: cause, NextAttempt: next,
		Entries: []store.Entry{{Action: action, Reason: cause, Details: details}}}
}

// takenBack parts claims that a decision has withdrawn since they were first
// tried from the others, and ends them.
func takenBack(claims []*store.EffectClaim, why string) (rest []*store.EffectClaim, results []store.EffectResult) {
	for _, c := range claims {
		if !c.Withdrawn {
			rest = append(rest, c)
			continue
		}
		results = append(results, result(c, store.EffectSkipped, store.CauseWithdrawn+why, time.Time{}, nil))
	}
	return rest, results
}

// failure is the result of an attempt that met err.
func (d *dispatcher) failure(c *store.EffectClaim, set settings, err error) store.EffectResult {
	cause := err.Error()
	details := map[string]any{"kind": vendorapi.KindOf(err).String()}
	switch vendorapi.KindOf(err) {
	case vendorapi.Credentials:
		return d.parked(c, set, cause)
	case vendorapi.Permanent, vendorapi.Conflict:
		return result(c, store.EffectFailed, cause, time.Time{}, details)
	}
	if tried := d.now().Sub(c.PlannedAt); tried >= d.giveUpAfter {
		return result(c, store.EffectFailed, fmt.Sprintf("given up after %d attempts in %s: %s", c.Attempts, tried.Round(time.Minute), cause), time.Time{}, details)
	}
	return result(c, store.EffectPlanned, cause, d.now().Add(d.pause(c.Attempts, vendorapi.RetryAfter(err))), details)
}

// parked puts an effect aside until the settings have another version.
func (d *dispatcher) parked(c *store.EffectClaim, set settings, cause string) store.EffectResult {
	r := result(c, store.EffectParked, cause, d.now().Add(parkedCheck), map[string]any{"settings_version": set.version})
	r.SecretVersion = set.version
	return r
}

// finish commits results and says them in the log. It outlives the work's
// deadline: what happened has to be recorded.
func (d *dispatcher) finish(ctx context.Context, handle *store.Tenant, results []store.EffectResult) (sent int, err error) {
	recordCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := handle.FinishEffects(recordCtx, results); err != nil {
		return 0, err
	}
	for _, r := range results {
		if r.State == store.EffectSent {
			sent++
		}
		if len(r.Entries) == 0 {
			continue // nothing was tried
		}
		facts := []slog.Attr{
			slog.String(telemetry.Event, events[r.Claim.Kind][r.State]),
			slog.String("request_id", r.Claim.RequestID),
			slog.String("provider", provider(r.Claim)),
			slog.Int("attempt", r.Claim.Attempts),
		}
		level := slog.LevelInfo
		if r.Mode == store.ModeDigest { // nothing was tried: it waits for the others
			facts, level = facts[1:], slog.LevelDebug
		}
		switch r.State {
		case store.EffectSent:
			facts = append(facts, slog.Float64(telemetry.Seconds, d.now().Sub(r.Claim.Request.ReceivedAt).Seconds()))
		case store.EffectParked, store.EffectFailed:
			level = slog.LevelError
		case store.EffectPlanned, store.EffectSending:
			level = slog.LevelWarn
		}
		if r.Cause != "" {
			facts = append(facts, slog.String("cause", r.Cause))
		}
		slog.LogAttrs(ctx, level, r.Claim.Kind+" "+r.State, facts...)
	}
	return sent, nil
}

// provider is who an effect is carried out by.
func provider(c *store.EffectClaim) string {
	if c.Kind == store.EffectEmail {
		return integrations.Mail
	}
	return c.Target
}
