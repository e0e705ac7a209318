package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"ingestion.internal/shared/crm/breaker"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

const (
	// lease is how long claimed effects are their worker's alone; what takes
	// longer than workTimeout is given up before.
	lease       = 2 * time.Minute
	workTimeout = 90 * time.Second

	// parkedCheck is how often it is looked whether settings were mended, at
	// first; what has waited for long is looked at every tenth of its time, and
	// every rareCheck at least, so that many leads of a tenant that nobody cares
	// for cost little.
	parkedCheck = time.Minute
	rareCheck   = 15 * time.Minute

	// tenantsAtOnce bounds how many tenants one run works for side by side: one
	// with a slow provider leaves room for the others.
	tenantsAtOnce = 16
)

// options are what a dispatcher is configured with.
type options struct {
	endpoints   integrations.Endpoints
	transport   http.RoundTripper // nil = the default one
	batch       int
	giveUpAfter time.Duration
	now         func() time.Time  // nil = time.Now
	jitter      func(int64) int64 // nil = rand.Int64N
}

// dispatcher carries out effects. It works the delivery stage.
type dispatcher struct {
	db       *store.DB
	secrets  secrets.VersionedAccessor
	breakers breaker.Group
	options
}

var _ pipeline.Worker = (*dispatcher)(nil)

func newDispatcher(db *store.DB, s secrets.VersionedAccessor, o options) *dispatcher {
	if o.now == nil {
		o.now = time.Now
	}
	if o.jitter == nil {
		o.jitter = rand.Int64N
	}
	return &dispatcher{db: db, secrets: s, options: o}
}

// Stage returns topology.Delivery.
func (*dispatcher) Stage() topology.Stage { return topology.Delivery }

// Work carries out what is due of one request, once. The stage is done when
// everything has had its first attempt: what is to be tried again, leaves later
// or is parked is a matter of the schedule, and of the effect's own state. An
// error means that an attempt could not be recorded.
func (d *dispatcher) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	handle := d.db.Tenant(job.Request.TenantID)
	effects, err := handle.Effects(ctx, job.Request.RequestID)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	_, err = d.deliver(ctx, handle, effects)
	return pipeline.Outcome{}, err
}

// run is what one call of the schedule did.
type run struct {
	Found int `json:"found"` // effects that were due
	Sent  int `json:"sent"`
}

// mount routes the schedule's call. It is answered 200 with what was done, or
// 503 if something could not be recorded.
func (d *dispatcher) mount(router chi.Router) {
	router.Method(http.MethodPost, topology.DispatchPath, service.Handler(func(w http.ResponseWriter, r *http.Request) error {
		did, err := d.dispatch(r.Context())
		outcome := telemetry.OK
		if err != nil {
			outcome = telemetry.Failed
		}
		slog.InfoContext(r.Context(), "dispatch ended", slog.String(telemetry.Event, telemetry.DispatchEnded),
			slog.String(telemetry.Outcome, outcome), slog.Int("found", did.Found), slog.Int("sent", did.Sent))
		if err != nil {
			return problem.Wrap(problem.Unavailable, "not every effect was carried out", err)
		}
		service.WriteJSON(w, http.StatusOK, did)
		return nil
	}))
}

// dispatch carries out what is due of all tenants.
func (d *dispatcher) dispatch(ctx context.Context) (run, error) {
	due, err := d.db.DueEffects(ctx, d.batch)
	if err != nil {
		return run{}, err
	}
	byTenant := map[string][]store.EffectKey{}
	for _, e := range due {
		byTenant[e.TenantID] = append(byTenant[e.TenantID], e.EffectKey)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		did  = run{Found: len(due)}
	)
	slots := make(chan struct{}, tenantsAtOnce)
	for id, keys := range byTenant {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx := logging.WithTenant(logging.Apart(ctx), id)
			handle := d.db.Tenant(id)
			effects, err := handle.LookupEffects(ctx, keys)
			sent := 0
			if err == nil {
				sent, err = d.deliver(ctx, handle, effects)
			}
			mu.Lock()
			defer mu.Unlock()
			did.Sent += sent
			if err != nil {
				errs = append(errs, fmt.Errorf("tenant %s: %w", id, err))
			}
		})
	}
	wg.Wait()
	return did, errors.Join(errs...)
}

// deliver carries out those of a tenant's effects that are due: records in CRMs
// first, together where they go to the same one, then mails. It returns how
// many were sent; the error joins what could not be read or recorded.
func (d *dispatcher) deliver(ctx context.Context, handle *store.Tenant, effects []store.Effect) (sent int, err error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	effects = slices.DeleteFunc(effects, func(e store.Effect) bool { return !e.Open() || d.now().Before(e.NextAttempt) })
	if len(effects) == 0 {
		return 0, nil
	}
	set, err := d.settings(ctx, handle)
	if err != nil {
		return 0, err
	}
	if effects, err = d.leaveParked(ctx, handle, effects, set.version); err != nil {
		return 0, err
	}
	var errs []error
	for _, group := range groups(effects) {
		carryOut := d.push
		if group[0].Kind == store.EffectEmail {
			carryOut = d.mail
		}
		n, err := carryOut(ctx, handle, set, group)
		sent += n
		if err != nil {
			errs = append(errs, err)
		}
	}
	return sent, errors.Join(errs...)
}

// groups parts effects into those that are carried out together: records of one
// CRM; of mails each alone, but for digests to one recipient, and for what was
// to be sent in one mail before.
func groups(effects []store.Effect) [][]store.Effect {
	name := func(e store.Effect) string {
		switch {
		case e.Kind == store.EffectCRM:
			return "0" + e.Target
		case e.State == store.EffectSending:
			return "1" + e.MessageID
		case e.Mode == store.ModeDigest:
			return "2" + e.Target
		}
		return "3" + e.RequestID + e.Target
	}
	sorted := slices.Clone(effects)
	slices.SortStableFunc(sorted, func(a, b store.Effect) int { return cmp.Compare(name(a), name(b)) })
	var all [][]store.Effect
	for i, e := range sorted {
		if i == 0 || name(e) != name(sorted[i-1]) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], e)
	}
	return all
}

func keys(effects []store.Effect) []store.EffectKey {
	all := make([]store.EffectKey, len(effects))
	for i, e := range effects {
		all[i] = e.EffectKey
	}
	return all
}

// leaveParked takes out what is parked until another version of the settings is
// there than the one that was refused.
func (d *dispatcher) leaveParked(ctx context.Context, handle *store.Tenant, effects []store.Effect, version string) ([]store.Effect, error) {
	var parked, rest []store.Effect
	for _, e := range effects {
		if e.State == store.EffectParked && e.SecretVersion == version {
			parked = append(parked, e)
		} else {
			rest = append(rest, e)
		}
	}
	if len(parked) == 0 {
		return rest, nil
	}
	oldest := slices.MinFunc(parked, func(a, b store.Effect) int { return a.PlannedAt.Compare(b.PlannedAt) })
	wait := min(max(parkedCheck, d.now().Sub(oldest.PlannedAt)/10), rareCheck)
	return rest, handle.PostponeParked(ctx, keys(parked), d.now().Add(wait))
}

// settings are a tenant's settings as they are now.
type settings struct {
	integrations.Settings
	version string // of the secret
	problem error  // why there are none
}

// noVersion stands for a secret that is not there.
const noVersion = "none"

// settings reads a tenant's settings. The error is for what may pass.
func (d *dispatcher) settings(ctx context.Context, handle *store.Tenant) (settings, error) {
	office, err := handle.Office(ctx, "")
	if err != nil {
		return settings{}, err
	}
	none := settings{version: noVersion, problem: errors.New("the tenant has no settings of its CRM and mail")}
	if office.IntegrationSecret == "" {
		return none, nil
	}
	value, err := d.secrets.AccessValue(ctx, office.IntegrationSecret)
	if secrets.IsNotFound(err) {
		return none, nil
	}
	if err != nil {
		return settings{}, err
	}
	set := settings{version: value.Version}
	if set.Settings, err = integrations.Parse(value.Data); err != nil {
		set.problem = fmt.Errorf("the settings, version %s, cannot be used: %w", value.Version, err)
	}
	set.Settings = set.At(d.endpoints)
	return set, nil
}

// Backoff of what is worth a retry.
const (
	firstPause = 15 * time.Second
	maxPause   = time.Hour
)

// pause is how long to wait after the attempt: twice as long each time, spread
// over the upper half so that many that failed together do not return together,
// and at least as long as the provider asks.
func (d *dispatcher) pause(attempt int, retryAfter time.Duration) time.Duration {
	full := min(firstPause<<min(max(attempt-1, 0), 10), maxPause)
	return max(full/2+time.Duration(d.jitter(int64(full/2))), retryAfter)
}
