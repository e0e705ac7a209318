package pipeline

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"ingestion.internal/shared/store"
)

const minLease = 2 * time.Second

// Runner serves one stage's tasks.
type Runner struct {
	db       *store.DB
	worker   Worker
	enqueuer *Enqueuer
	cfg      StageConfig
}

// NewRunner returns the runner of the worker's stage. The enqueuer reaches the
// stages that the worker names as next; it is nil where there is none.
func NewRunner(db *store.DB, worker Worker, enqueuer *Enqueuer, cfg StageConfig) *Runner {
	return &Runner{db: db, worker: worker, enqueuer: enqueuer, cfg: cfg}
}

// Mount routes the stage's tasks to the runner.
func (r *Runner) Mount(router chi.Router) {
	router.Method(http.MethodPost, r.worker.Stage().Path(), http.NotFoundHandler())
}
