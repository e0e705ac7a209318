package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/email"
	"ingestion.internal/shared/email/sendgrid"
	"ingestion.internal/shared/store"
)

// How long a mail whose sending was interrupted is asked for before it is sent
// again, and how often. How soon SendGrid's feed knows a mail is not
// documented; ten minutes are meant to be generous.
const (
	settle   = 10 * time.Minute
	askAgain = time.Minute
)

// mail sends one mail: about one lead, or a digest of several.
//
// SendGrid has no idempotence, so the mail is named in the database before it
// is sent, and recorded after. One whose sending did not end is asked for by
// its name: if SendGrid has it, it was sent; if after a while it has not, it was
// not, and is sent now. If SendGrid will not say, nothing is sent: a lead that
// is in the CRM and in the list of failed effects is better than the same mail
// twice.
func (d *dispatcher) mail(ctx context.Context, handle *store.Tenant, set settings, group []store.Effect) (int, error) {
	first := group[0]
	id := first.MessageID
	digest := len(group) > 1 || first.Mode == store.ModeDigest
	interrupted := first.State == store.EffectSending
	var err error
	switch {
	case interrupted && digest:
		// All of its leads go on together, whichever of them is due: a mail of a
		// part of them would count as that of all.
		if group, err = handle.EffectsOfMail(ctx, id); err != nil {
			return 0, err
		}
	case interrupted:
	case digest:
		// One mail has all that is due, not what this run happened to find of it.
		if group, err = handle.DueDigest(ctx, first.Target); err != nil || len(group) == 0 {
			return 0, err
		}
		id = email.DigestID(handle.ID(), first.Target, mailings(group))
	default:
		id = email.MessageID(handle.ID(), mailing(first), first.Target)
	}
	claims, err := handle.ClaimEffects(ctx, keys(group), id, lease)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	if interrupted && len(claims) < len(group) {
		return d.finish(ctx, handle, d.await(claims, group))
	}
	return d.finish(ctx, handle, d.mailed(ctx, set, id, digest, claims))
}

// await puts a part of a mail back until the rest of it is due as well.
func (d *dispatcher) await(claims []*store.EffectClaim, group []store.Effect) []store.EffectResult {
	next := d.now().Add(askAgain)
	for _, e := range group {
		if e.NextAttempt.After(next) {
			next = e.NextAttempt
		}
	}
	results := make([]store.EffectResult, len(claims))
	for i, c := range claims {
		results[i] = store.EffectResult{Claim: c, State: store.EffectSending, Cause: "the rest of its mail is not due", NextAttempt: next, Uncounted: true}
	}
	return results
}

// mailing names what a mail is about: the request, and if it was mailed before,
// the mail before, because the second one must not be taken for the first.
func mailing(e store.Effect) string {
	if e.ExternalID == "" {
		return e.RequestID
	}
	return e.RequestID + "\x00after\x00" + e.ExternalID
}

func mailings(group []store.Effect) []string {
	names := make([]string, len(group))
	for i, e := range group {
		names[i] = mailing(e)
	}
	return names
}

// each makes a result of each of the claims.
func each(claims []*store.EffectClaim, f func(*store.EffectClaim) store.EffectResult) []store.EffectResult {
	results := make([]store.EffectResult, len(claims))
	for i, c := range claims {
		results[i] = f(c)
	}
	return results
}

// mailed carries out the mail and says what came of it for each of its effects.
func (d *dispatcher) mailed(ctx context.Context, set settings, id string, digest bool, claims []*store.EffectClaim) []store.EffectResult {
	client, err := d.mailClient(set)
	if err != nil {
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			if c.Interrupted { // parked, it would lose its name, and be sent twice
				return result(c, store.EffectSending, err.Error(), d.now().Add(parkedCheck), nil)
			}
			return d.parked(c, set, err.Error())
		})
	}
	if claims[0].Interrupted {
		if results := d.askAfter(ctx, client, set, id, claims); results != nil {
			return results
		}
		rest, results := takenBack(claims, "; it was not sent")
		if len(rest) > 0 {
			results = append(results, d.sendMail(ctx, client, set, id, digest, rest)...)
		}
		return results
	}
	if collects := set.SendGrid.Digest; collects != nil && !digest {
		next := collects.Next(d.now())
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			r := result(c, store.EffectPlanned, "", next, nil)
			r.Mode, r.Uncounted = store.ModeDigest, true
			r.Entries[0].Action, r.Entries[0].Reason = "email.held", "the recipient gets a digest"
			return r
		})
	}
	return d.sendMail(ctx, client, set, id, digest, claims)
}

func (d *dispatcher) sendMail(ctx context.Context, client *sendgrid.Client, set settings, id string, digest bool, claims []*store.EffectClaim) []store.EffectResult {
	fails := func(err error) []store.EffectResult {
		return each(claims, func(c *store.EffectClaim) store.EffectResult { return d.failure(c, set, err) })
	}
	to := claims[0].Target
	reason, err := client.Suppressed(ctx, to)
	if err != nil && !errors.Is(err, sendgrid.ErrCannotTell) { // SendGrid drops such mail by itself
		return fails(err)
	}
	if reason != "" {
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			return result(c, store.EffectSkipped, "SendGrid does not deliver to this address: "+reason, time.Time{}, nil)
		})
	}
	message, err := compose(client, id, to, digest, claims)
	if err != nil {
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			return result(c, store.EffectFailed, err.Error(), time.Time{}, nil)
		})
	}
	receipt, err := client.Send(ctx, message)
	if refused, ok := errors.AsType[*vendorapi.Error](err); ok && refused.Kind == vendorapi.Retryable && refused.Status == 0 {
		// No answer: it may have been taken all the same.
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			return result(c, store.EffectSending, err.Error(), d.now().Add(askAgain), nil)
		})
	}
	if err != nil {
		return fails(err)
	}
	return each(claims, func(c *store.EffectClaim) store.EffectResult {
		return sent(c, receipt.ProviderID, "SendGrid took the mail", map[string]any{
			"message_id": id, "template": message.Template, "subject": message.Subject, "leads": len(claims), "settings_version": set.version,
		})
	})
}

func (d *dispatcher) mailClient(set settings) (*sendgrid.Client, error) {
	if set.problem != nil {
		return nil, set.problem
	}
	if set.SendGrid == nil {
		return nil, errors.New("the tenant has no settings for sendgrid")
	}
	return sendgrid.New(*set.SendGrid, d.transport)
}

// askAfter asks SendGrid about a mail whose sending was interrupted. Nil means
// that it was not sent.
func (d *dispatcher) askAfter(ctx context.Context, client *sendgrid.Client, set settings, id string, claims []*store.EffectClaim) []store.EffectResult {
	providerID, err := client.Find(ctx, id)
	switch {
	case errors.Is(err, sendgrid.ErrCannotTell):
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			return result(c, store.EffectFailed, fmt.Sprintf("its sending was interrupted, and nobody can say whether it was sent: %v", err), time.Time{}, map[string]any{"message_id": id})
		})
	case err == nil && providerID != "":
		return each(claims, func(c *store.EffectClaim) store.EffectResult {
			return sent(c, providerID, "SendGrid has the mail whose sending was interrupted", map[string]any{"message_id": id, "settings_version": set.version})
		})
	}
	var results []store.EffectResult
	waiting := false
	results = each(claims, func(c *store.EffectClaim) store.EffectResult {
		waiting = waiting || err != nil || d.now().Sub(c.SendingAt) < settle
		cause := "SendGrid does not know yet whether it was sent"
		if err != nil {
			cause = err.Error()
		}
		return result(c, store.EffectSending, cause, d.now().Add(max(askAgain, vendorapi.RetryAfter(err))), map[string]any{"message_id": id})
	})
	if !waiting {
		return nil
	}
	return results
}

func compose(client *sendgrid.Client, id, to string, digest bool, claims []*store.EffectClaim) (email.Message, error) {
	var leads []crm.Lead
	for _, c := range claims {
		lead, err := effects.Lead(c.Request, c.Office)
		if err != nil {
			return email.Message{}, err
		}
		leads = append(leads, lead)
	}
	if digest {
		return client.ComposeDigest(id, to, leads)
	}
	messages, err := client.Compose([]string{to}, leads[0])
	if err != nil {
		return email.Message{}, err
	}
	messages[0].ID = id
	return messages[0], nil
}

// sent is the result of a mail that SendGrid took.
func sent(c *store.EffectClaim, providerID, why string, details map[string]any) store.EffectResult {
	details["record"] = providerID
	r := result(c, store.EffectSent, "", time.Time{}, details)
	r.Entries[0].Reason = why
	r.ExternalID = providerID
	return r
}
