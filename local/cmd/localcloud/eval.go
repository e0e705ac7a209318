package main

import (
	"cmp"
	"context"

	"ingestion.internal/local/internal/evaluation"
	"ingestion.internal/shared/analysis/eval"
)

// eval scores a model.
func (a *app) eval(ctx context.Context) error {
	s := eval.Defaults
	s.Model, s.Location = cmp.Or(a.opts.Model, s.Model), cmp.Or(a.opts.Location, s.Location)
	s.Project, s.Endpoint, s.Examples = a.opts.Project, a.opts.Endpoint, a.opts.Examples
	s.Threshold, s.NoAttacks, s.JSON = a.opts.Threshold, a.opts.NoAttacks, a.opts.JSON
	return evaluation.Run(ctx, s, a.stdout)
}
