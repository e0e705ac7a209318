package store_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
)

// connect declares calendars of the first tenant's.
func connect(t *testing.T, db *store.DB, ids ...string) store.Changes {
	t.Helper()
	declared := storetest.Manifest().Tenants[0]
	for _, id := range ids {
		declared.Calendars = append(declared.Calendars, tenant.Calendar{ID: id, OfficeID: "north"})
	}
	changes, err := db.Tenant(declared.ID).Sync(t.Context(), declared)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func due(t *testing.T, db *store.DB) string {
	t.Helper()
	keys, err := db.DueCalendars(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(keys)
}

// TestCalendarTurns: a calendar is due when it is new, when its turn comes and
// when Google says that it changed, also while it is being read; one worker has
// it at a time, and one that was too slow writes nothing.
func TestCalendarTurns(t *testing.T) {
	t.Parallel()
	var hours atomic.Int64
	db := storetest.Open(t, store.WithClock(func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) }))
	h := db.Tenant(storetest.Acme)
	const id = "a@b.example"
	const isDue = "[{acme a@b.example}]"
	if diff := cmp.Diff(store.Changes{"calendar a@b.example added"}, connect(t, db, id)); diff != "" {
		t.Error(diff)
	}
	if changes := connect(t, db, id); len(changes) != 0 {
		t.Errorf("connected again: %v", changes)
	}
	take := func(want error) *store.Calendar {
		t.Helper()
		c, err := h.ClaimCalendar(t.Context(), id, time.Minute)
		if !errors.Is(err, want) {
			t.Fatalf("claim: %v, want %v", err, want)
		}
		return c
	}
	finish := func(c *store.Calendar, turn store.CalendarTurn, want error) {
		t.Helper()
		if err := h.FinishCalendar(t.Context(), c, turn); !errors.Is(err, want) {
			t.Fatalf("finish: %v, want %v", err, want)
		}
	}
	soon := func() time.Time { return time.Now().Add(time.Duration(hours.Load())*time.Hour + 30*time.Minute) }

	first := take(nil)
	if first.SyncToken != "" || !first.Active || first.OfficeID != "north" {
		t.Errorf("%+v", first)
	}
	take(store.ErrNotDue) // another has it
	hours.Store(1)
	second := take(nil) // its lease has run out
	finish(first, store.CalendarTurn{SyncToken: "stale", Next: soon()}, store.ErrLostClaim)
	if err := h.AddChannel(t.Context(), id, "ch", "token", "https://gateway.example"); err != nil {
		t.Fatal(err)
	}
	for _, number := range []int64{3, 2, 3} { // twice and out of order
		if err := h.Notified(t.Context(), id, "ch", number); err != nil {
			t.Fatal(err)
		}
	}
	finish(second, store.CalendarTurn{SyncToken: "one", Next: soon()}, nil)
	if got := due(t, db); got != isDue {
		t.Errorf("notified of while it was read: due are %s", got)
	}
	third := take(nil)
	if third.SyncToken != "one" {
		t.Errorf("the token is %q", third.SyncToken)
	}
	finish(third, store.CalendarTurn{Failure: "no access", Next: soon()}, nil)
	if got := due(t, db); got != "[]" {
		t.Errorf("read and quiet: due are %s", got)
	}
	take(store.ErrNotDue)
	hours.Store(2)
	fourth := take(nil)
	if fourth.SyncToken != "one" || fourth.Failures != 1 {
		t.Errorf("after a failure: %+v", fourth)
	}

	// Taken out of the config while it is read: there is one more turn, for its
	// channels, and nothing after that.
	connect(t, db)
	finish(fourth, store.CalendarTurn{SyncToken: "two", Next: soon()}, nil)
	if err := h.Notified(t.Context(), id, "ch", 4); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("notified of a calendar that left: %v", err)
	}
	last := take(nil)
	if last.Active {
		t.Error("a calendar that left is active")
	}
	finish(last, store.CalendarTurn{}, nil)
	hours.Store(100)
	if got := due(t, db); got != "[]" {
		t.Errorf("left: due are %s", got)
	}

	// And it begins anew if it comes back.
	connect(t, db, id)
	if back := take(nil); back.SyncToken != "" || !back.ConnectedAt.After(first.ConnectedAt) {
		t.Errorf("%+v", back)
	}
}

// TestChannelIsFoundByItsID, of any tenant, until it is closed.
func TestChannelIsFoundByItsID(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	connect(t, db, "a@b.example")
	h := db.Tenant(storetest.Acme)
	if err := h.AddChannel(t.Context(), "a@b.example", "ch", "token", "https://gateway.example"); err != nil {
		t.Fatal(err)
	}
	if err := h.OpenChannel(t.Context(), "a@b.example", "ch", "resource", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c, err := db.Directory().Channel(t.Context(), "ch")
	if err != nil || c.TenantID != storetest.Acme || c.ResourceID != "resource" {
		t.Fatalf("%+v, %v", c, err)
	}
	for token, want := range map[string]bool{"token": true, "tokeN": false, "": false} {
		if c.Proves(token) != want {
			t.Errorf("%q proves: %v", token, !want)
		}
	}
	if (store.KnownChannel{}).Proves("") {
		t.Error("no channel is proven by no token")
	}
	if all, err := h.Channels(t.Context(), "a@b.example"); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := db.Tenant(storetest.Bolt).Channels(t.Context(), "a@b.example"); err != nil || len(all) != 0 {
		t.Errorf("another tenant has %v, %v", all, err)
	}
	if err := h.CloseChannel(t.Context(), "a@b.example", "ch"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Directory().Channel(t.Context(), "ch"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a closed channel: %v", err)
	}
}

// TestOffboardedTenantsCalendarIsDisconnected, and one that left the config.
func TestOffboardedTenantsCalendarIsDisconnected(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*store.DB) error{
		"offboarded": func(db *store.DB) error {
			declared := storetest.Manifest().Tenants[0]
			declared.State, declared.Calendars = tenant.Offboarded, []tenant.Calendar{{ID: "a@b.example"}}
			_, err := db.Tenant(declared.ID).Sync(t.Context(), declared)
			return err
		},
		"gone": func(db *store.DB) error { return db.Tenant(storetest.Acme).Deactivate(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			connect(t, db, "a@b.example")
			if err := leave(db); err != nil {
				t.Fatal(err)
			}
			c, err := db.Tenant(storetest.Acme).ClaimCalendar(t.Context(), "a@b.example", time.Minute)
			if err != nil || c.Active {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}
