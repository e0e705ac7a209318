// Backup is the service that Cloud Scheduler calls to back up the database:
// provider 7.38.0 has no resource for Spanner's own backup schedules. It deletes
// nothing: a backup ends by itself, at the time that it was made with.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Instance  string        `env:"SPANNER_INSTANCE,required,notEmpty"`
	Database  string        `env:"SPANNER_DATABASE,required,notEmpty"`
	Retention time.Duration `env:"BACKUP_RETENTION,required,notEmpty"` // from a backup's making to its end
	MaxAge    time.Duration `env:"BACKUP_MAX_AGE,required,notEmpty"`   // of the newest backup that is complete
	Endpoint  string        `env:"SPANNER_ADMIN_ENDPOINT"`             // empty: Google's
}

// Validate reports every value out of range. Spanner keeps a backup for 6 hours
// to a year: https://cloud.google.com/spanner/docs/backup
func (c config) Validate() error {
	var errs []error
	if c.Retention < 6*time.Hour || c.Retention > 366*24*time.Hour {
		errs = append(errs, errors.New("BACKUP_RETENTION must be 6h to 8784h"))
	}
	if c.MaxAge <= 0 {
		errs = append(errs, errors.New("BACKUP_MAX_AGE must be positive"))
	}
	return errors.Join(errs...)
}

func main() { service.Main(topology.Backup, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	admin, err := database.NewDatabaseAdminRESTClient(ctx, gcp.Options(cfg.Endpoint)...)
	if err != nil {
		return fmt.Errorf("spanner's admin client: %w", err)
	}
	s.OnClose("spanner admin", admin.Close)
	mount(s, &backups{admin: admin, cfg: cfg, now: time.Now})
	return nil
}

// mount routes the scheduler's call: 200 once a backup is under way, 503 if
// none could be begun, so that the scheduler tries again. What is amiss with
// the backups that exist is told in the log, where the alert looks.
func mount(s *service.Service, b *backups) {
	s.Router.Method(http.MethodPost, topology.BackupPath, service.Handler(func(w http.ResponseWriter, r *http.Request) error {
		made, err := b.create(r.Context())
		if err != nil {
			slog.ErrorContext(r.Context(), "no backup could be begun", slog.String(telemetry.Event, telemetry.BackupFailed), slog.Any("error", err))
			return problem.Wrap(problem.Unavailable, "no backup could be begun", err)
		}
		slog.InfoContext(r.Context(), "backup begun", slog.String(telemetry.Event, telemetry.BackupCreated),
			slog.String("backup", made.name), slog.Time("expires", made.expires), slog.Bool("known", made.known))
		age, found, err := b.newest(r.Context(), made.name)
		switch {
		case err != nil:
			slog.ErrorContext(r.Context(), "the backups could not be listed", slog.String(telemetry.Event, telemetry.BackupFailed), slog.Any("error", err))
			return problem.Wrap(problem.Unavailable, "the backups could not be listed", err)
		case !found:
			slog.ErrorContext(r.Context(), "there is no complete backup; after the first run that is in order", slog.String(telemetry.Event, telemetry.BackupMissing))
		case age > b.cfg.MaxAge:
			slog.ErrorContext(r.Context(), "the newest complete backup is too old", slog.String(telemetry.Event, telemetry.BackupMissing), slog.Float64(telemetry.Seconds, age.Seconds()))
		}
		service.WriteJSON(w, http.StatusOK, map[string]string{"backup": made.name})
		return nil
	}))
}
