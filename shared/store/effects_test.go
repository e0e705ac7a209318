package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

var (
	crmEffect  = store.PlannedEffect{Kind: store.EffectCRM, Target: "hubspot", Mode: store.ModeImmediate}
	mailEffect = store.PlannedEffect{Kind: store.EffectEmail, Target: "a@example.com", Mode: store.ModeImmediate}
)

// plan makes a request whose decision calls for effects.
func plan(t *testing.T, db *store.DB, callID string, planned ...store.PlannedEffect) string {
	t.Helper()
	acc, err := storetest.Accept(t.Context(), db.Tenant(storetest.Acme), call(storetest.Acme, callID), topology.Workflow)
	if err != nil {
		t.Fatal(err)
	}
	c := claim(t, db.Tenant(storetest.Acme), acc.RequestID, topology.Workflow, store.Claimed)
	if _, err := db.Tenant(storetest.Acme).Finish(t.Context(), c, store.Outcome{Effects: planned, Next: topology.Delivery}); err != nil {
		t.Fatal(err)
	}
	return acc.RequestID
}

// states are the request's effects in words.
func states(t *testing.T, h *store.Tenant, requestID string) []string {
	t.Helper()
	all, err := h.Effects(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range all {
		words = append(words, strings.Join([]string{e.Kind, e.Target, e.State}, " "))
	}
	return words
}

func claimOne(t *testing.T, h *store.Tenant, key store.EffectKey, messageID string) *store.EffectClaim {
	t.Helper()
	claims, err := h.ClaimEffects(t.Context(), []store.EffectKey{key}, messageID, lease)
	if err != nil {
		t.Fatal(err)
	}
	if len(claims) == 0 {
		return nil
	}
	return claims[0]
}

func finishOne(t *testing.T, h *store.Tenant, r store.EffectResult, want int) {
	t.Helper()
	if n, err := h.FinishEffects(t.Context(), []store.EffectResult{r}); n != want || err != nil {
		t.Fatalf("FinishEffects = %d, %v, want %d", n, err, want)
	}
}

// TestEffectsAreTheirSendersAlone: of two claims one wins; a claim whose lease
// ran out is taken over as interrupted, and cannot be finished any more.
func TestEffectsAreTheirSendersAlone(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	id := plan(t, db, "E1", crmEffect, mailEffect)
	mail := store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}

	lost := claimOne(t, h, mail, "m1")
	if lost == nil || lost.Interrupted || lost.Attempts != 1 || lost.MessageID != "m1" || lost.Request.CallID != "E1" || lost.Office.OfficeID != "north" {
		t.Fatalf("claim %+v", lost)
	}
	if second := claimOne(t, h, mail, "m1"); second != nil {
		t.Error("two have the effect")
	}
	clk.advance(lease + time.Second)
	if other := claimOne(t, h, mail, "m2"); other != nil {
		t.Error("what was to be sent in one mail is claimed for another")
	}
	taken := claimOne(t, h, mail, "m1")
	if taken == nil || !taken.Interrupted || taken.Attempts != 2 || taken.MessageID != "m1" || taken.SendingAt.IsZero() {
		t.Fatalf("taken over: %+v", taken)
	}
	finishOne(t, h, store.EffectResult{Claim: lost, State: store.EffectFailed, Entries: []store.Entry{{Action: "lie"}}}, 0)
	finishOne(t, h, store.EffectResult{Claim: taken, State: store.EffectSent, ExternalID: strings.Repeat("x", 300)}, 1)
	all, err := h.Effects(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"crm hubspot planned", "email a@example.com sent"}, states(t, h, id)); diff != "" {
		t.Errorf("states (-want +got)\n%s", diff)
	}
	if e := all[1]; len(e.ExternalID) != 200 || e.FinishedAt.IsZero() || !e.NextAttempt.IsZero() || e.Open() {
		t.Errorf("sent: %+v", e)
	}
	for _, e := range story(t, h, id).Entries {
		if e.Action == "lie" {
			t.Error("a lost claim is in the audit trail")
		}
	}
}

// TestDueEffects: the dispatcher finds what is due, planned or left by a sender
// that died, and nothing that is over or has time.
func TestDueEffects(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	later := mailEffect
	later.NotBefore = time.Now().Add(time.Hour)
	id := plan(t, db, "D1", crmEffect, later)
	due := func(want ...store.DueEffect) {
		t.Helper()
		got, err := db.DueEffects(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("due (-want +got)\n%s", diff)
		}
	}
	crm := store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}
	due() // the delivery stage comes first
	clk.advance(time.Minute)
	due(store.DueEffect{TenantID: storetest.Acme, EffectKey: crm})
	c := claimOne(t, h, crm, "")
	due()
	clk.advance(lease + time.Second)
	due(store.DueEffect{TenantID: storetest.Acme, EffectKey: crm})
	finishOne(t, h, store.EffectResult{Claim: c, State: store.EffectPlanned, NextAttempt: clk.now().Add(time.Minute), Uncounted: true}, 1)
	due()
	clk.advance(time.Hour)
	due(store.DueEffect{TenantID: storetest.Acme, EffectKey: crm},
		store.DueEffect{TenantID: storetest.Acme, EffectKey: store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}})
	c = claimOne(t, h, crm, "")
	if c.Attempts != 1 {
		t.Errorf("attempt %d, want 1: the one before did not count", c.Attempts)
	}
	finishOne(t, h, store.EffectResult{Claim: c, State: store.EffectSent}, 1)
	due(store.DueEffect{TenantID: storetest.Acme, EffectKey: store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}})
	if got, err := db.DueEffects(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("at most 0: %v, %v", got, err)
	}
}

// TestDecidedAgain: a second decision writes the CRM's record again, sends no
// second mail, and takes back what no longer follows.
func TestDecidedAgain(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	second := mailEffect
	second.Target = "b@example.com"
	id := plan(t, db, "R1", crmEffect, mailEffect, second)
	for _, key := range []store.EffectKey{{id, store.EffectCRM, "hubspot"}, {id, store.EffectEmail, "a@example.com"}} {
		finishOne(t, h, store.EffectResult{Claim: claimOne(t, h, key, ""), State: store.EffectSent}, 1)
	}
	if _, err := h.Record(t.Context(), id, store.Event{ID: "another", Source: store.SourceCallRail}, func(r *store.Request, _ []store.Event) (store.Revision, error) {
		changed := *r
		changed.CustomerName = "Somebody else"
		return store.Revision{Request: changed, Begin: topology.Workflow}, nil
	}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, h, id, topology.Workflow, store.Claimed)
	if _, err := h.Finish(t.Context(), c, store.Outcome{Effects: []store.PlannedEffect{crmEffect, mailEffect}, Next: topology.Delivery}); err != nil {
		t.Fatal(err)
	}
	want := []string{"crm hubspot planned", "email a@example.com sent", "email b@example.com skipped"}
	if diff := cmp.Diff(want, states(t, h, id)); diff != "" {
		t.Errorf("states (-want +got)\n%s", diff)
	}
	entries := story(t, h, id).Entries
	if last := entries[len(entries)-1]; last.Action != "email.skipped" || last.Details["target"] != "b@example.com" {
		t.Errorf("last entry %+v", last)
	}
}

func TestParkedEffects(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	id := plan(t, db, "P1", crmEffect, mailEffect)
	crm := store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}
	mail := store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}
	finishOne(t, h, store.EffectResult{Claim: claimOne(t, h, crm, ""), State: store.EffectParked, SecretVersion: "3", Cause: "who are you", NextAttempt: clk.now()}, 1)
	finishOne(t, h, store.EffectResult{Claim: claimOne(t, h, mail, ""), State: store.EffectFailed, Cause: "no"}, 1)

	next := clk.now().Add(time.Hour).UTC()
	if err := h.PostponeParked(t.Context(), []store.EffectKey{crm, mail}, next); err != nil {
		t.Fatal(err)
	}
	found, err := h.LookupEffects(t.Context(), []store.EffectKey{mail, {RequestID: id, Kind: "none"}, crm})
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	if e := found[1]; e.State != store.EffectParked || e.SecretVersion != "3" || !e.NextAttempt.Equal(next.Truncate(time.Nanosecond)) || !found[0].NextAttempt.IsZero() {
		t.Errorf("postponed: %+v", found)
	}
	// Of the whole tenant what is parked, of one request what failed too.
	if n, err := h.ReleaseEffects(t.Context(), "", "mended"); n != 1 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	if n, err := h.ReleaseEffects(t.Context(), id, "asked for"); n != 1 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"crm hubspot planned", "email a@example.com planned"}, states(t, h, id)); diff != "" {
		t.Errorf("states (-want +got)\n%s", diff)
	}
	if err := h.PostponeParked(t.Context(), []store.EffectKey{{RequestID: id, Kind: "none"}}, next); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("postpone of nothing: %v", err)
	}
}

func TestEffectsOfAnotherTenant(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	id := plan(t, db, "I1", crmEffect)
	key := store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}
	attacker := db.Tenant(storetest.Bolt)
	if claims, err := attacker.ClaimEffects(t.Context(), []store.EffectKey{key}, "", lease); err != nil || len(claims) != 0 {
		t.Errorf("claimed %v, %v", claims, err)
	}
	own := claimOne(t, db.Tenant(storetest.Acme), key, "")
	if n, err := attacker.FinishEffects(t.Context(), []store.EffectResult{{Claim: own, State: store.EffectSent}}); !errors.Is(err, store.ErrNotFound) || n != 0 {
		t.Errorf("finished %d, %v", n, err)
	}
	if all, err := attacker.Effects(t.Context(), id); err != nil || len(all) != 0 {
		t.Errorf("seen %v, %v", all, err)
	}
	if n, err := attacker.ReleaseEffects(t.Context(), id, "x"); err != nil || n != 0 {
		t.Errorf("released %d, %v", n, err)
	}
}

// decideAgain has an event bring the request back to its workflow, which plans
// these effects.
func decideAgain(t *testing.T, h *store.Tenant, id, event string, planned ...store.PlannedEffect) {
	t.Helper()
	r, err := h.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Record(t.Context(), id, store.Event{ID: store.EventID(h.ID(), event, id), Source: r.Source, CallID: r.CallID, Payload: []byte(`{}`)},
		func(c *store.Request, _ []store.Event) (store.Revision, error) {
			return store.Revision{Request: *c, Begin: topology.Workflow}, nil
		}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, h, id, topology.Workflow, store.Claimed)
	outcome := store.Outcome{Effects: planned}
	if len(planned) > 0 {
		outcome.Next = topology.Delivery
	}
	if _, err := h.Finish(t.Context(), c, outcome); err != nil {
		t.Fatal(err)
	}
}

// TestWhatALaterDecisionCallsFor is done, once.
func TestWhatALaterDecisionCallsFor(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	want := func(id string, wanted ...string) {
		t.Helper()
		if diff := cmp.Diff(wanted, states(t, h, id)); diff != "" {
			t.Errorf("states (-want +got)\n%s", diff)
		}
	}
	crm := func(id string) store.EffectKey {
		return store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}
	}
	t.Run("withdrawn_and_wanted", func(t *testing.T) {
		id := plan(t, db, "W", crmEffect, mailEffect)
		decideAgain(t, h, id, "no")
		want(id, "crm hubspot skipped", "email a@example.com skipped")
		decideAgain(t, h, id, "after all", crmEffect, mailEffect)
		want(id, "crm hubspot planned", "email a@example.com planned")
		mail := claimOne(t, h, store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}, "m")
		finishOne(t, h, store.EffectResult{Claim: mail, State: store.EffectSent}, 1)
		decideAgain(t, h, id, "once more", crmEffect, mailEffect)
		want(id, "crm hubspot planned", "email a@example.com sent") // no second mail
		later := mailEffect
		later.AgainAfter = time.Now().Add(-time.Hour)
		decideAgain(t, h, id, "soon", crmEffect, later)
		want(id, "crm hubspot planned", "email a@example.com sent")
		later.AgainAfter = time.Now().Add(time.Hour)
		decideAgain(t, h, id, "after long", crmEffect, later)
		want(id, "crm hubspot planned", "email a@example.com planned")
	})
	t.Run("while_it_is_written", func(t *testing.T) {
		for state, left := range map[string]string{store.EffectSent: "planned", store.EffectFailed: "planned", store.EffectParked: "parked"} {
			id := plan(t, db, "S"+state, crmEffect)
			writing := claimOne(t, h, crm(id), "") // has read the facts of before
			decideAgain(t, h, id, "meanwhile", crmEffect)
			finishOne(t, h, store.EffectResult{Claim: writing, State: state, ExternalID: "17", NextAttempt: time.Now()}, 1)
			want(id, "crm hubspot "+left)
			again := claimOne(t, h, crm(id), "")
			if again == nil || again.Interrupted || again.ExternalID != "17" {
				t.Fatalf("after %s: %+v", state, again)
			}
			finishOne(t, h, store.EffectResult{Claim: again, State: store.EffectSent}, 1)
			want(id, "crm hubspot sent")
		}
	})
	t.Run("batch_becomes_immediate", func(t *testing.T) {
		batch := crmEffect
		batch.Mode, batch.NotBefore = store.ModeBatch, time.Now().Add(time.Hour)
		id := plan(t, db, "B", batch)
		if claimOne(t, h, crm(id), "") != nil {
			t.Error("it left before its batch")
		}
		decideAgain(t, h, id, "urgent", crmEffect)
		if c := claimOne(t, h, crm(id), ""); c == nil || c.Mode != store.ModeImmediate {
			t.Errorf("it does not leave at once: %+v", c)
		}
	})
}

// TestDueEffectsInTurn: a tenant with many keeps no other back, nor does one with
// very many.
func TestDueEffectsInTurn(t *testing.T) {
	t.Parallel()
	for _, many := range []int{40, 160} {
		t.Run(fmt.Sprint(many), func(t *testing.T) { dueInTurn(t, many) })
	}
}

func dueInTurn(t *testing.T, many int) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	for i := range many {
		plan(t, db, fmt.Sprint("M", i), crmEffect)
	}
	clk.advance(time.Second)
	bolt := db.Tenant(storetest.Bolt)
	acc, err := storetest.Accept(t.Context(), bolt, call(storetest.Bolt, "ONE"), topology.Workflow)
	if err != nil {
		t.Fatal(err)
	}
	c := claim(t, bolt, acc.RequestID, topology.Workflow, store.Claimed)
	if _, err := bolt.Finish(t.Context(), c, store.Outcome{Effects: []store.PlannedEffect{crmEffect}, Next: topology.Delivery}); err != nil {
		t.Fatal(err)
	}
	clk.advance(time.Minute)
	due, err := db.DueEffects(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	tenants := map[string]int{}
	for _, e := range due {
		tenants[e.TenantID]++
	}
	if diff := cmp.Diff(map[string]int{storetest.Acme: 7, storetest.Bolt: 1}, tenants); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestTheTrailTellsWhatWasPlanned and what was left as it is.
func TestTheTrailTellsWhatWasPlanned(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := plan(t, db, "T", mailEffect)
	mail := claimOne(t, h, store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}, "m")
	finishOne(t, h, store.EffectResult{Claim: mail, State: store.EffectSent}, 1)
	again(t, h, id, topology.Workflow)
	c := claim(t, h, id, topology.Workflow, store.Claimed)
	var entries []store.Entry
	for _, p := range []store.PlannedEffect{crmEffect, mailEffect} {
		entries = append(entries, store.Entry{Action: p.Kind + ".planned", Reason: "the lead score 75 reaches 30", Details: map[string]any{"target": p.Target}})
	}
	if _, err := h.Finish(t.Context(), c, store.Outcome{Entries: entries, Effects: []store.PlannedEffect{crmEffect, mailEffect}, Next: topology.Delivery}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range story(t, h, id).Entries {
		if strings.HasPrefix(e.Action, "crm.") || strings.HasPrefix(e.Action, "email.") {
			reason, _, _ := strings.Cut(e.Reason, " on ")
			got = append(got, e.Action+": "+reason)
		}
	}
	want := []string{"crm.planned: the lead score 75 reaches 30", "email.kept: the lead score 75 reaches 30; it was sent"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trail (-want +got)\n%s", diff)
	}
}

// TestReleasedClaim: whoever was lost before an effect was released ends nothing
// after it.
func TestReleasedClaim(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	id := plan(t, db, "L", crmEffect)
	key := store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}
	lost := claimOne(t, h, key, "")
	clk.advance(lease + time.Second)
	second := claimOne(t, h, key, "")
	finishOne(t, h, store.EffectResult{Claim: second, State: store.EffectParked, SecretVersion: "1", NextAttempt: clk.now()}, 1)
	if n, err := h.ReleaseEffects(t.Context(), id, "by hand"); n != 1 || err != nil {
		t.Fatalf("released %d, %v", n, err)
	}
	live := claimOne(t, h, key, "")
	if live.Attempts != lost.Attempts {
		t.Fatalf("attempt %d, want %d", live.Attempts, lost.Attempts)
	}
	finishOne(t, h, store.EffectResult{Claim: lost, State: store.EffectFailed, Cause: "old"}, 0)
	finishOne(t, h, store.EffectResult{Claim: live, State: store.EffectSent}, 1)
}

// TestWithdrawnWhileSending: what a later decision took back while it was being
// carried out may be done by the end of the attempt, and is not tried after it.
func TestWithdrawnWhileSending(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	for state, want := range map[string]string{
		store.EffectSent: "sent", store.EffectFailed: "failed", store.EffectPlanned: "skipped", store.EffectParked: "skipped",
		store.EffectSending: "sending", // nobody knows: it is asked for, and ended by whoever has the answer
	} {
		id := plan(t, db, "W"+state, crmEffect, mailEffect)
		crm := claimOne(t, h, store.EffectKey{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}, "")
		mail := claimOne(t, h, store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}, "m")
		decideAgain(t, h, id, "more", crmEffect, mailEffect)
		decideAgain(t, h, id, "spam")
		for _, c := range []*store.EffectClaim{crm, mail} {
			finishOne(t, h, store.EffectResult{Claim: c, State: state, Cause: "503", NextAttempt: time.Now()}, 1)
		}
		if diff := cmp.Diff([]string{"crm hubspot " + want, "email a@example.com " + want}, states(t, h, id)); diff != "" {
			t.Errorf("after %s (-want +got)\n%s", state, diff)
		}
		if state == store.EffectSending {
			again := claimOne(t, h, mail.EffectKey, "m")
			if again == nil || !again.Withdrawn || !again.Interrupted {
				t.Errorf("whoever takes it up is not told: %+v", again)
			}
			continue
		}
		decideAgain(t, h, id, "after all", crmEffect, mailEffect)
		all, err := h.Effects(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Withdrawn || want == "skipped" && e.State != store.EffectPlanned {
				t.Errorf("after %s, wanted again: %+v", state, e)
			}
		}
	}
}

// TestDueWhileWorkedOn: what is due of a request that something new is heard of
// waits until that is known.
func TestDueWhileWorkedOn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	r := call(storetest.Acme, "D2")
	r.CustomerPhone, r.CustomerName, r.CustomerEmail = "", "", ""
	acc, err := storetest.Accept(t.Context(), h, r, topology.AIAnalysis)
	if err != nil {
		t.Fatal(err)
	}
	id, phone := acc.RequestID, "+13105550111"
	mail := store.EffectKey{RequestID: id, Kind: store.EffectEmail, Target: "a@example.com"}
	analyse := func() {
		t.Helper()
		c := claim(t, h, id, topology.AIAnalysis, store.Claimed)
		if _, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerPhone: &phone}, Next: topology.Workflow}); err != nil {
			t.Fatal(err)
		}
		c = claim(t, h, id, topology.Workflow, store.Claimed)
		if _, err := h.Finish(t.Context(), c, store.Outcome{Effects: []store.PlannedEffect{mailEffect}, Next: topology.Delivery}); err != nil {
			t.Fatal(err)
		}
	}
	analyse()
	if _, err := h.Record(t.Context(), id, store.Event{ID: "more", Source: r.Source, Payload: []byte(`{}`)},
		func(*store.Request, []store.Event) (store.Revision, error) {
			return store.Revision{Request: r, Begin: topology.AIAnalysis}, nil
		}); err != nil {
		t.Fatal(err)
	}
	if c := claimOne(t, h, mail, "m"); c != nil {
		t.Errorf("it left for a customer with the number %q", c.Request.CustomerPhone)
	}
	analyse()
	if c := claimOne(t, h, mail, "m"); c == nil || c.Request.CustomerPhone != phone {
		t.Errorf("then: %+v", c)
	}
}
