// Workflow-engine works the last stage of every request: it decides what the
// request is by its tenant's workflow, and sets off what follows from that.
package main

import (
	"context"
	"time"

	"ingestion.internal/shared/geocode"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store store.Config
	Stage pipeline.StageConfig

	Geocoding         bool          `env:"GEOCODING_ENABLED"`
	GeocodingTimeout  time.Duration `env:"GEOCODING_TIMEOUT" envDefault:"5s"`
	GeocodingEndpoint string        `env:"GEOCODING_ENDPOINT"`
}

// Validate reports every value out of range.
func (c config) Validate() error { return c.Stage.Validate() }

func main() { service.Main(topology.WorkflowEngine, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := store.Open(ctx, cfg.Store)
	if err != nil {
		return err
	}
	s.OnClose("database", db.Close)
	s.WaitFor("database", db.Ping)
	w := &worker{}
	if cfg.Geocoding {
		places, err := geocode.New(ctx, cfg.GeocodingEndpoint, cfg.GeocodingTimeout)
		if err != nil {
			return err
		}
		s.OnClose("geocoding", places.Close)
		w.places = places
	}
	pipeline.NewRunner(db, w, nil, cfg.Stage).Mount(s.Router)
	return nil
}
