// Workflow-engine decides what every request is by its tenant's workflow, and
// plans what follows from that: a record in the CRM, mail. The dispatcher
// carries it out.
package main

import (
	"context"
	"errors"
	"time"

	"ingestion.internal/shared/geocode"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store      store.Config
	Stage      pipeline.StageConfig
	Tasks      pipeline.TasksConfig
	Next       pipeline.Target `envPrefix:"DELIVERY_"`
	BatchEvery time.Duration   `env:"DELIVERY_BATCH_EVERY,required,notEmpty"` // of leads that are not pushed at once

	Geocoding         bool          `env:"GEOCODING_ENABLED"`
	GeocodingTimeout  time.Duration `env:"GEOCODING_TIMEOUT" envDefault:"5s"`
	GeocodingEndpoint string        `env:"GEOCODING_ENDPOINT"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	err := c.Stage.Validate()
	if c.BatchEvery < time.Minute {
		err = errors.Join(err, errors.New("DELIVERY_BATCH_EVERY must be at least 1m"))
	}
	return err
}

func main() { service.Main(topology.WorkflowEngine, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	w := &worker{batchEvery: cfg.BatchEvery, now: time.Now}
	if cfg.Geocoding {
		places, err := geocode.New(ctx, cfg.GeocodingEndpoint, cfg.GeocodingTimeout)
		if err != nil {
			return err
		}
		s.OnClose("geocoding", places.Close)
		w.places = places
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.Delivery.Queue(): cfg.Next})
	if err != nil {
		return err
	}
	pipeline.NewRunner(db, w, enqueuer, cfg.Stage).Mount(s.Router)
	return nil
}
