// Calendar-sync follows the Google Calendars of tenants: it keeps open the
// channels by which Google says that one has changed, reads what has changed,
// and records the bookings among it. Its queue calls it for a calendar that
// Google has told of; Cloud Scheduler calls it every minute for those that are
// new, that were not told of for long or whose notification was lost, and for
// channels that end soon.
//
// It is a service of its own, because it alone may see the tenants' calendars,
// and no stage of a request, because what it works on is none yet.
package main

import (
	"context"
	"errors"
	"time"

	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store      store.Config
	Tasks      pipeline.TasksConfig
	AIAnalysis pipeline.Target `envPrefix:"AI_ANALYSIS_"`

	CalendarURL string        `env:"CALENDAR_API_URL"`
	Batch       int           `env:"CALENDAR_BATCH,required,notEmpty"` // calendars of one run
	Lease       time.Duration `env:"CALENDAR_LEASE,required,notEmpty"` // of a calendar; longer than a request of the service takes
}

// Validate reports every value out of range.
func (c config) Validate() error {
	var errs []error
	if c.Batch < 1 {
		errs = append(errs, errors.New("CALENDAR_BATCH must be at least 1"))
	}
	if c.Lease < minLease {
		errs = append(errs, errors.New("CALENDAR_LEASE must be at least 30s"))
	}
	return errors.Join(errs...)
}

func main() { service.Main(topology.CalendarSync, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.AIAnalysis.Queue(): cfg.AIAnalysis})
	if err != nil {
		return err
	}
	client, err := calendar.NewClient(ctx, cfg.CalendarURL)
	if err != nil {
		return err
	}
	w := &worker{db: db, enqueuer: enqueuer, calendars: client, batch: cfg.Batch, lease: cfg.Lease, now: time.Now}
	w.mount(s.Router)
	return nil
}
