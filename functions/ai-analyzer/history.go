package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ingestion.internal/shared/store"
)

// mostTold bounds how many earlier requests the model is shown.
const mostTold = 10

// earlier finds the other requests of the person that a request is of.
type earlier func(ctx context.Context, request *store.Request) ([]store.Link, error)

// within finds those of the window before now; nil for no window.
func within(db *store.DB, window time.Duration, now func() time.Time) earlier {
	if window <= 0 {
		return nil
	}
	return func(ctx context.Context, request *store.Request) ([]store.Link, error) {
		return db.Tenant(request.TenantID).History(ctx, request, now().Add(-window))
	}
}

// tell says in a few words what became of earlier requests, the latest first.
// There is nothing in it that a customer wrote: day, channel, and what the
// platform made of them.
func tell(links []store.Link) string {
	var told []string
	for _, l := range links[:min(len(links), mostTold)] {
		what := []string{l.ReceivedAt.UTC().Format(time.DateOnly) + " " + strings.ReplaceAll(l.CommunicationMode, "_", " ")}
		for _, fact := range []struct{ name, value string }{{"intent", l.Intent}, {"decision", l.Decision}} {
			if fact.value != "" {
				what = append(what, fact.name+" "+strings.ReplaceAll(fact.value, "_", " "))
			}
		}
		told = append(told, strings.Join(what, ", "))
	}
	if more := len(links) - mostTold; more > 0 {
		told = append(told, fmt.Sprintf("and %d before", more))
	}
	return strings.Join(told, "; ")
}
