// Dispatcher carries out what follows from decisions: it writes leads into the
// tenants' CRMs and mails their people. The delivery queue calls it for each
// request as soon as it is decided; Cloud Scheduler calls it every minute for
// what is tried again, leaves in a batch or a digest, or was parked and may go
// on.
//
// It is a service of its own, because it alone reads the tenants' credentials
// and talks to their providers, and because a slow provider must not hold up
// decisions.
package main

import (
	"context"
	"errors"
	"time"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store   store.Config
	Stage   pipeline.StageConfig
	Secrets secrets.Config

	Batch       int           `env:"DISPATCH_BATCH,required,notEmpty"`         // effects of one run
	GiveUpAfter time.Duration `env:"DELIVERY_GIVE_UP_AFTER,required,notEmpty"` // how long an effect is tried

	HubSpotURL    string `env:"HUBSPOT_API_URL"`
	SalesforceURL string `env:"SALESFORCE_LOGIN_URL"`
	MCPURL        string `env:"MCP_SERVER_URL"`
	SendGridURL   string `env:"SENDGRID_API_URL"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	err := c.Stage.Validate()
	if c.Batch < 1 {
		err = errors.Join(err, errors.New("DISPATCH_BATCH must be at least 1"))
	}
	if c.GiveUpAfter < time.Minute {
		err = errors.Join(err, errors.New("DELIVERY_GIVE_UP_AFTER must be at least 1m"))
	}
	return err
}

func main() { service.Main(topology.Dispatcher, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	manager, err := gcp.SecretManager(ctx, cfg.Secrets.Endpoint)
	if err != nil {
		return err
	}
	s.OnClose("secret manager", manager.Close)
	d := newDispatcher(db, secrets.NewManager(manager, cfg.Secrets), options{
		endpoints:   integrations.Endpoints{HubSpot: cfg.HubSpotURL, Salesforce: cfg.SalesforceURL, MCP: cfg.MCPURL, SendGrid: cfg.SendGridURL},
		batch:       cfg.Batch,
		giveUpAfter: cfg.GiveUpAfter,
	})
	pipeline.NewRunner(db, d, nil, cfg.Stage).Mount(s.Router)
	d.mount(s.Router)
	return nil
}
