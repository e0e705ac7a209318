package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

// lotsOfDay is into how many lots a tenant's answers of a day are dealt, at least.
const lotsOfDay = 50

// allowance bounds how often the assistant is asked for a tenant in a day (UTC),
// by all instances together: conversations cost their visitors nothing, answers
// cost the tenant. An instance takes answers from the database by the lot, so
// that not every message waits for one row. What a stopped instance had left of
// its lot is not given that day.
type allowance struct {
	now func() time.Time

	mu   sync.Mutex
	lots map[string]*lot // by tenant
}

// lot is what this instance may give.
type lot struct {
	mu   sync.Mutex
	day  string
	most int64
	left int64
	over bool // the database has no more for this day
}

func newAllowance(now func() time.Time) *allowance {
	return &allowance{now: now, lots: map[string]*lot{}}
}

// take tells whether the assistant may be asked once more today, and counts it.
func (a *allowance) take(ctx context.Context, t *store.Tenant, most int64) (bool, error) {
	a.mu.Lock()
	l := a.lots[t.ID()]
	if l == nil {
		l = &lot{}
		a.lots[t.ID()] = l
	}
	a.mu.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.now()
	if day := now.UTC().Format(time.DateOnly); l.day != day || l.most != most {
		l.day, l.most, l.left, l.over = day, most, 0, false
	}
	if l.left == 0 && !l.over {
		granted, err := t.TakeChatAnswers(ctx, now, (most+lotsOfDay-1)/lotsOfDay, most)
		if err != nil {
			return false, err
		}
		l.left, l.over = granted, granted == 0
		if l.over {
			slog.WarnContext(logging.WithTenant(ctx, t.ID()), "the assistant has given its answers of the day",
				slog.String(telemetry.Event, telemetry.ChatExhausted), slog.Int64("answers", most))
		}
	}
	if l.left == 0 {
		return false, nil
	}
	l.left--
	return true, nil
}
