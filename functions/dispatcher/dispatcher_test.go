package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

func TestDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.decided("k")
	w.send(id)
	w.want(id, "crm sent, email sent")
	contact := map[string]string{"firstname": "Mary k", "email": "k@example.com", "hs_lead_score": "82"}
	if diff := cmp.Diff(map[string]map[string]string{"k@example.com": contact}, w.vendors.contacts); diff != "" {
		t.Errorf("contacts (-want +got)\n%s", diff)
	}
	if e := w.effect(id, store.EffectCRM); e.ExternalID != "record-k@example.com" || e.Attempts != 1 || e.FinishedAt.IsZero() || !e.NextAttempt.IsZero() {
		t.Errorf("the CRM's effect %+v", e)
	}
	e := w.effect(id, store.EffectEmail)
	if len(w.vendors.mails) != 1 || w.vendors.mails[0].To != "sales@acme.example" || w.vendors.mails[0].ID != e.MessageID || e.ExternalID != "sg-1" {
		t.Errorf("mails %+v of effect %+v", w.vendors.mails, e)
	}
	if diff := cmp.Diff([]string{"crm.sent", "email.sent"}, w.trail(id)); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
	// The CRM was written before the mail was sent, and a mail is about a lead
	// that can be found there.
	s, err := w.acme.Story(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	last := s.Entries[len(s.Entries)-2:]
	if last[0].Reason != "a record was created" || last[0].Details["record"] != "record-k@example.com" || last[0].ConfigHash != store.ConfigHash(w.flow) ||
		last[1].Details["template"] != "lead/v1" || last[1].Details["settings_version"] != "1" {
		t.Errorf("entries %+v", last)
	}
	if did := w.tick(time.Hour); did != (run{}) {
		t.Errorf("a later run did %+v", did)
	}
}

// TestRetry: what may pass is tried again after a pause that doubles, and not
// before the provider asks.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *workflow.Config) { c.EmailNotifications.Enabled = false })
	w.vendors.answerInstead(on("/contacts/", -1, http.StatusServiceUnavailable))
	id := w.decided("k")
	w.send(id)
	for attempt, pause := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute} {
		e := w.effect(id, store.EffectCRM)
		got := e.NextAttempt.Sub(w.clock.now()).Round(time.Second)
		if e.State != store.EffectPlanned || e.Attempts != attempt+1 || got != pause || !strings.Contains(e.Cause, "HTTP 503: as told (retryable)") {
			t.Errorf("after attempt %d: %+v, in %s, want %s", attempt+1, e, got, pause)
		}
		if did := w.tick(pause / 2); did.Found != 0 {
			t.Errorf("taken up too early: %+v", did)
		}
		w.tick(pause)
	}
	w.vendors.answerInstead(on("/contacts/", 1, http.StatusTooManyRequests, "Retry-After", "600"))
	w.tick(10 * time.Minute)
	if wait := w.effect(id, store.EffectCRM).NextAttempt.Sub(w.clock.now()); wait < 599*time.Second || wait > 600*time.Second {
		t.Errorf("the next attempt is in %s, the provider asked for 10m", wait)
	}
	if got := w.trail(id); got[0] != "crm.retry" || len(got) != 5 {
		t.Errorf("audit trail %q", got)
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *workflow.Config) { c.EmailNotifications.Enabled = false })
	w.vendors.answerInstead(on("/contacts/", -1, http.StatusServiceUnavailable))
	id := w.decided("k")
	w.send(id)
	w.tick(73 * time.Hour)
	e := w.effect(id, store.EffectCRM)
	if e.State != store.EffectFailed || !strings.HasPrefix(e.Cause, "given up after 2 attempts in 73h0m0s: hubspot:") {
		t.Errorf("effect %+v", e)
	}
	// An operator may have it tried once more.
	w.vendors.answerInstead(nil)
	if n, err := w.acme.ReleaseEffects(t.Context(), id, "asked for"); n != 1 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	w.tick(time.Second)
	w.want(id, "crm sent")
	if diff := cmp.Diff([]string{"crm.retry", "crm.failed", "crm.released", "crm.sent"}, w.trail(id)); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
}

func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"permanent": http.StatusBadRequest, "conflict": http.StatusConflict} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.vendors.answerInstead(on("/contacts/", -1, status))
			id := w.decided("k")
			w.send(id)
			// The mail does not wait for the CRM.
			w.want(id, "crm failed, email sent")
			if e := w.effect(id, store.EffectCRM); !strings.Contains(e.Cause, "("+name+")") {
				t.Errorf("effect %+v", e)
			}
		})
	}
}

// TestParkedAndReleased: credentials that fail park the effect; another version
// of the settings lets it go, and the passing of time does not.
func TestParkedAndReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.secret.set(badSettings)
	id := w.decided("k")
	w.send(id)
	w.want(id, "crm parked, email parked")
	if e := w.effect(id, store.EffectCRM); e.SecretVersion != "2" || !strings.Contains(e.Cause, "who are you (credentials)") {
		t.Errorf("effect %+v", e)
	}
	before := len(w.trail(id))
	calls := w.vendors.calls["POST /crm/objects/2026-03/contacts/batch/upsert"]
	for range 3 {
		w.tick(10 * time.Minute)
	}
	w.want(id, "crm parked, email parked")
	if len(w.trail(id)) != before || w.vendors.calls["POST /crm/objects/2026-03/contacts/batch/upsert"] != calls {
		t.Error("what is parked was tried")
	}
	w.secret.set(goodSettings)
	if did := w.tick(5 * time.Minute); did.Sent != 2 {
		t.Errorf("with good settings: %+v", did)
	}
	w.want(id, "crm sent, email sent")
	if diff := cmp.Diff([]string{"crm.parked", "email.parked", "crm.sent", "email.sent"}, w.trail(id)); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
}

func TestReleasedByCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *workflow.Config) { c.EmailNotifications.Enabled = false })
	w.vendors.answerInstead(on("/contacts/", 2, http.StatusForbidden))
	a, b := w.decided("a"), w.decided("b")
	w.send(a)
	w.send(b)
	w.want(a, "crm parked")
	// The permission was granted at the provider, and the settings stay.
	if n, err := w.acme.ReleaseEffects(t.Context(), "", "the app has its scope"); n != 2 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	w.tick(time.Minute)
	w.want(a, "crm sent")
	w.want(b, "crm sent")
}

func TestSettingsThatAreNotThere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ document, cause string }{
		"no_secret":   {"", "the tenant has no settings of its CRM and mail"},
		"no_provider": {`{"webhook": {"url": "https://example.com", "secret": "0123456789abcdef"}}`, "the tenant has no settings for "},
		"unreadable":  {`{"hubspot": {"tok`, "the settings, version 1, cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.secret.data, w.secret.version = tc.document, 1
			if tc.document == "" {
				w.secret.version = 0
			}
			id := w.decided("k")
			w.send(id)
			w.want(id, "crm parked, email parked")
			for _, kind := range []string{store.EffectCRM, store.EffectEmail} {
				if e := w.effect(id, kind); !strings.Contains(e.Cause, tc.cause) {
					t.Errorf("cause %q, want %q", e.Cause, tc.cause)
				}
			}
			w.tick(2 * time.Minute)
			w.want(id, "crm parked, email parked")
			w.secret.set(goodSettings)
			if tc.document == "" {
				w.secret.set(goodSettings)
			}
			w.tick(2 * time.Minute)
			w.want(id, "crm sent, email sent")
		})
	}
}

// TestBreaker: after five failures a provider is left alone; leads that are not
// tried do not age, and the audit trail is not told.
func TestBreaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *workflow.Config) { c.EmailNotifications.Enabled = false })
	w.vendors.answerInstead(on("/contacts/", -1, http.StatusInternalServerError))
	var ids []string
	for i := range 7 {
		ids = append(ids, w.decided(fmt.Sprint(i)))
		w.send(ids[i])
	}
	if n := w.vendors.calls["POST /crm/objects/2026-03/contacts/batch/upsert"]; n != 5 {
		t.Errorf("the provider was called %d times, want 5", n)
	}
	e := w.effect(ids[6], store.EffectCRM)
	if e.State != store.EffectPlanned || e.Attempts != 0 || !strings.Contains(e.Cause, "not tried") || len(w.trail(ids[6])) != 0 {
		t.Errorf("not tried: %+v, trail %q", e, w.trail(ids[6]))
	}
	if wait := e.NextAttempt.Sub(w.clock.now()); wait < 29*time.Second || wait > 30*time.Second {
		t.Errorf("it is tried again in %s, want 30s", wait)
	}
}

// TestBatch: leads that are not pushed at once leave together, in the order in
// which they came in.
func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *workflow.Config) {
		c.CRMIntegration.PushImmediately, c.EmailNotifications.Enabled = false, false
	})
	var want []string
	for _, key := range []string{"c", "a", "b"} {
		w.send(w.decided(key))
		want = append(want, key+"@example.com")
	}
	if did := w.tick(0); did.Found != 0 || len(w.vendors.pushes) != 0 {
		t.Errorf("before the batch is due: %+v, %q", did, w.vendors.pushes)
	}
	if did := w.tick(16 * time.Minute); did != (run{3, 3}) {
		t.Errorf("the batch: %+v", did)
	}
	if diff := cmp.Diff([]string{strings.Join(want, " ")}, w.vendors.pushes); diff != "" {
		t.Errorf("pushes (-want +got)\n%s", diff)
	}
}

// TestDigest: mails to one recipient are held until the hour, and sent as one.
func TestDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.collects()
	a, b := w.decided("a"), w.decided("b")
	w.send(a)
	w.send(b)
	if e := w.effect(a, store.EffectEmail); e.State != store.EffectPlanned || e.Mode != store.ModeDigest || e.Attempts != 0 || !e.NextAttempt.Equal(w.clock.now().Truncate(time.Hour).Add(time.Hour)) {
		t.Errorf("held: %+v", e)
	}
	w.tick(time.Hour)
	w.want(a, "email sent")
	w.want(b, "email sent")
	if len(w.vendors.mails) != 1 || !strings.HasPrefix(w.vendors.mails[0].Subject, "2 leads, the best from Mary") ||
		!strings.Contains(w.vendors.mails[0].Text, "Mary a") || !strings.Contains(w.vendors.mails[0].Text, "Mary b") {
		t.Errorf("mails %+v", w.vendors.mails)
	}
	if diff := cmp.Diff([]string{"email.held", "email.sent"}, w.trail(a)); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
	if w.effect(a, store.EffectEmail).MessageID != w.effect(b, store.EffectEmail).MessageID {
		t.Error("two names for one digest")
	}
}

// TestDigestInterrupted: a digest whose answer was lost is asked for as a whole,
// and one that came in since does not change it.
func TestDigestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.collects()
	a, b := w.decided("a"), w.decided("b")
	w.send(a)
	w.send(b)
	w.breaks(true, "/v3/mail/send")
	w.tick(time.Hour)
	w.want(a, "email sending")
	w.want(b, "email sending")
	w.d.transport = nil
	c := w.decided("c")
	w.send(c)
	w.tick(2 * time.Minute)
	w.want(a, "email sent")
	w.want(b, "email sent")
	w.want(c, "email planned")
	if len(w.vendors.mails) != 1 {
		t.Errorf("%d mails, want the digest once", len(w.vendors.mails))
	}
	if diff := cmp.Diff([]string{"email.held", "email.unknown", "email.sent"}, w.trail(a)); diff != "" {
		t.Errorf("audit trail (-want +got)\n%s", diff)
	}
}

// roundTrips is an http.RoundTripper.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSuppressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.vendors.suppressed = "sales@acme.example"
	id := w.decided("k")
	w.send(id)
	w.want(id, "email skipped")
	if e := w.effect(id, store.EffectEmail); !strings.Contains(e.Cause, "mail to it bounced") || len(w.vendors.mails) != 0 {
		t.Errorf("effect %+v, mails %+v", e, w.vendors.mails)
	}
}

// TestSuppressionsThatCannotBeRead: a key for sending alone sends; SendGrid
// drops what it must.
func TestSuppressionsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.vendors.answerInstead(on("/v3/suppression/", -1, http.StatusForbidden))
	id := w.decided("k")
	w.send(id)
	w.want(id, "email sent")
}

// mailOnly is a workflow without a CRM.
func mailOnly(c *workflow.Config) { c.CRMIntegration.Enabled = false }

// breaks has the connection end with the first request to one of the paths, which
// is taken or not, and with all of them after it.
func (w *world) breaks(taken bool, paths ...string) {
	lost := &process{killAt: 1, after: taken}
	w.d.transport = roundTrips(func(r *http.Request) (*http.Response, error) {
		if slices.ContainsFunc(paths, func(path string) bool { return strings.Contains(r.URL.Path, path) }) {
			return lost.RoundTrip(r)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
}

// lose makes the answer to the next mail get lost, and returns the request.
func (w *world) lose(taken bool) string {
	w.t.Helper()
	id := w.loseMail("k", taken)
	w.want(id, "email sending")
	return id
}

func (w *world) loseMail(key string, taken bool) string {
	w.t.Helper()
	w.breaks(taken, "/v3/mail/send")
	id := w.decided(key)
	w.send(id)
	w.d.transport = nil
	return id
}

// TestLostAnswer: a mail whose answer was lost is asked for. It is sent again
// only if SendGrid has not got it after a while, and never if it will not say.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, mailOnly)
		id := w.lose(true)
		w.tick(2 * time.Minute)
		w.want(id, "email sent")
		if e := w.effect(id, store.EffectEmail); len(w.vendors.mails) != 1 || e.ExternalID != "sg-1.filter" {
			t.Errorf("%d mails, effect %+v", len(w.vendors.mails), e)
		}
	})
	t.Run("not_taken", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, mailOnly)
		id := w.lose(false)
		w.tick(2 * time.Minute)
		w.want(id, "email sending")
		if len(w.vendors.mails) != 0 {
			t.Error("sent before SendGrid had the time to know")
		}
		w.tick(settle)
		w.want(id, "email sent")
		if len(w.vendors.mails) != 1 {
			t.Errorf("%d mails", len(w.vendors.mails))
		}
	})
	t.Run("nobody_can_say", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, mailOnly)
		id := w.lose(true)
		w.vendors.answerInstead(on("/v3/messages", -1, http.StatusForbidden))
		w.tick(2 * time.Minute)
		w.want(id, "email failed")
		if e := w.effect(id, store.EffectEmail); !strings.Contains(e.Cause, "nobody can say whether it was sent") || len(w.vendors.mails) != 1 {
			t.Errorf("effect %+v", e)
		}
	})
	t.Run("asked_in_vain", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, mailOnly)
		id := w.lose(true)
		w.vendors.answerInstead(on("/v3/messages", 1, http.StatusServiceUnavailable))
		w.tick(20 * time.Minute)
		w.want(id, "email sending")
		w.tick(2 * time.Minute)
		w.want(id, "email sent")
	})
	t.Run("settings_gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, mailOnly)
		id := w.lose(true)
		w.secret.set(`{}`)
		w.tick(2 * time.Minute)
		w.want(id, "email sending")
		w.secret.set(goodSettings)
		w.tick(2 * time.Minute)
		w.want(id, "email sent")
		if len(w.vendors.mails) != 1 {
			t.Errorf("%d mails", len(w.vendors.mails))
		}
	})
}

// TestRefusedMail: what SendGrid answers decides what becomes of a mail.
func TestRefusedMail(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		want   string
	}{
		"rate":       {http.StatusTooManyRequests, "email planned"},
		"down":       {http.StatusBadGateway, "email planned"},
		"bad":        {http.StatusBadRequest, "email failed"},
		"not_sender": {http.StatusForbidden, "email parked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mailOnly)
			w.vendors.answerInstead(on("/v3/mail/send", 1, tc.status))
			id := w.decided("k")
			w.send(id)
			w.want(id, tc.want)
			if strings.HasSuffix(tc.want, "planned") {
				w.tick(time.Hour)
				w.want(id, "email sent")
			}
		})
	}
}

func TestUnreadableAnalysis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.decided("k")
	c, err := w.acme.ClaimEffects(t.Context(), nil, "", time.Minute)
	if err != nil || len(c) != 0 {
		t.Fatal(c, err)
	}
	keys := []store.EffectKey{{RequestID: id, Kind: store.EffectCRM, Target: "hubspot"}}
	claims, err := w.acme.ClaimEffects(t.Context(), keys, "", time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	claims[0].Request.Analysis = []byte(`[]`)
	results := w.d.pushOffice(t.Context(), settings{Settings: parse(t, goodSettings), version: "1"}, "hubspot", claims)
	if len(results) != 1 || results[0].State != store.EffectFailed || !strings.Contains(results[0].Cause, "ai_analysis") {
		t.Errorf("results %+v", results)
	}
	client, err := w.d.mailClient(settings{Settings: parse(t, goodSettings)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compose(client, "id", "a@example.com", false, claims); err == nil {
		t.Error("a mail about an unreadable analysis")
	}
}

// TestTroubleOfOurOwn: what cannot be read or recorded is an error, so that the
// queue and the schedule come back.
func TestTroubleOfOurOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.decided("k")
	w.secret.err = errors.New("Secret Manager is away")
	if code := w.deliver(w.db, w.d, id); code != http.StatusServiceUnavailable {
		t.Errorf("the delivery answered %d, want 503", code)
	}
	w.clock.advance(time.Minute)
	if _, err := w.d.dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), "tenant acme: Secret Manager is away") {
		t.Errorf("dispatch = %v", err)
	}
	w.secret.err = nil
	w.send(id)
	w.want(id, "crm sent, email sent")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := config{Stage: pipeline.StageConfig{MaxAttempts: 1, Lease: time.Minute}, Batch: 1, GiveUpAfter: time.Minute}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if err := (config{}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("Validate = %v, want four mistakes", err)
	}
}

func TestPauseIsSpread(t *testing.T) {
	t.Parallel()
	low := &dispatcher{options: options{jitter: func(int64) int64 { return 0 }}}
	high := &dispatcher{options: options{jitter: func(n int64) int64 { return n - 1 }}}
	for attempt, full := range map[int]time.Duration{0: 15 * time.Second, 1: 15 * time.Second, 2: 30 * time.Second, 5: 4 * time.Minute, 9: time.Hour, 99: time.Hour} {
		if got := low.pause(attempt, 0); got != full/2 {
			t.Errorf("shortest pause after attempt %d: %s, want %s", attempt, got, full/2)
		}
		if got := high.pause(attempt, 0); got != full-1 {
			t.Errorf("longest pause after attempt %d: %s, want %s", attempt, got, full)
		}
	}
}

func parse(t *testing.T, document string) integrations.Settings {
	t.Helper()
	s, err := integrations.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var _ secrets.VersionedAccessor = (*document)(nil)

// TestDigestInterruptedAndDecidedAgain: a digest whose sending was interrupted
// goes on with all of its leads, whichever of them comes first, and none is sent
// in a mail that does not name it.
func TestDigestInterruptedAndDecidedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.collects()
	a, b := w.decided("a"), w.decided("b")
	w.send(a)
	w.send(b)
	w.breaks(false, "/v3/mail/send")
	w.tick(time.Hour)
	w.d.transport = nil
	w.want(a, "email sending")
	w.want(b, "email sending")

	w.decideAgain(a, salesMail)
	w.clock.advance(settle + time.Minute)
	w.send(a) // the delivery stage of one of them
	w.tick(time.Minute)
	w.want(a, "email sent")
	w.want(b, "email sent")
	if len(w.vendors.mails) != 1 || !strings.Contains(w.vendors.mails[0].Text, "Mary a") || !strings.Contains(w.vendors.mails[0].Text, "Mary b") {
		t.Errorf("mails: %+v", w.vendors.mails)
	}
}

// TestMailedAgain: a customer who is back after long is mailed again, by a name
// of its own, also if that mail's sending is interrupted.
func TestMailedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	id := w.decided("a")
	w.send(id)
	w.want(id, "email sent")
	again := salesMail
	again.AgainAfter = w.clock.now().Add(time.Hour)
	w.decideAgain(id, again)
	w.breaks(false, "/v3/mail/send")
	w.send(id)
	w.want(id, "email sending")
	w.d.transport = nil
	w.tick(settle + time.Minute)
	w.want(id, "email sent")
	if len(w.vendors.mails) != 2 || w.vendors.mails[0].ID == w.vendors.mails[1].ID {
		t.Errorf("mails: %+v", w.vendors.mails)
	}
}

// TestDigestIsWhole: a digest has all that is due, however little of it a run
// finds.
func TestDigestIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mailOnly)
	w.d.batch = 2
	w.collects()
	ids := []string{w.decided("a"), w.decided("b"), w.decided("c"), w.decided("d")}
	for _, id := range ids {
		w.send(id)
	}
	w.tick(time.Hour)
	for _, id := range ids {
		w.want(id, "email sent")
	}
	if n := len(w.vendors.mails); n != 1 {
		t.Errorf("one digest, in %d mails", n)
	}
}

// TestInterruptedAndTakenBack: a mail of which nobody knows, and that a decision
// since does not call for, is asked for and not sent.
func TestInterruptedAndTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.breaks(false, "/v3/mail/send", "/contacts/")
	id := w.decided("a")
	w.send(id)
	w.d.transport = nil
	w.want(id, "crm planned, email sending")
	w.decideAgain(id)
	w.tick(settle + time.Minute)
	w.want(id, "crm skipped, email skipped")
	if len(w.vendors.mails) != 0 {
		t.Errorf("it was sent: %+v", w.vendors.mails)
	}
}

// collects has the tenant's mails leave at every full hour, and makes it a
// quarter past one, whatever the time is: minutes of a test are none of an hour.
func (w *world) collects() {
	w.t.Helper()
	hours := make([]string, 24)
	for i := range hours {
		hours[i] = fmt.Sprint(i)
	}
	w.secret.set(strings.Replace(goodSettings, `"key": "good"`, `"key": "good", "digest": {"hours": [`+strings.Join(hours, ",")+`]}`, 1))
	quarter := w.clock.now().Truncate(time.Hour).Add(time.Hour + 15*time.Minute)
	w.clock.advance(quarter.Sub(w.clock.now()))
}

// decideAgain has an event bring the request back to its workflow, from which
// these effects follow.
func (w *world) decideAgain(id string, planned ...store.PlannedEffect) {
	w.t.Helper()
	r, err := w.acme.Request(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.acme.Record(w.t.Context(), id, store.Event{ID: store.EventID(storetest.Acme, "again", id), Source: r.Source, Payload: []byte(`{}`)},
		func(c *store.Request, _ []store.Event) (store.Revision, error) {
			return store.Revision{Request: *c, Begin: topology.Workflow}, nil
		}); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.acme.Claim(w.t.Context(), id, topology.Workflow, time.Minute, 3)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.acme.Finish(w.t.Context(), c, store.Outcome{Next: topology.Delivery, Effects: planned}); err != nil {
		w.t.Fatal(err)
	}
}

// salesMail is the mail of newWorld's workflow.
var salesMail = store.PlannedEffect{Kind: store.EffectEmail, Target: "sales@acme.example", Mode: store.ModeImmediate}
