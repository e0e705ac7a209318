package store_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
)

// A database that goes away in the middle of a transaction does not hold its
// caller for the half minute that the client would try to roll back.
func TestDatabaseGoesAwayInTheMiddle(t *testing.T) {
	db := storetest.Open(t)
	emulator := spannertest.Emulator(t)
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(-emulator.PID(), s); err != nil {
			t.Error(err)
		}
	}
	defer signal(syscall.SIGCONT)
	refused := errors.New("refused")
	ended := make(chan error, 1)
	go func() {
		_, err := db.Tenant(storetest.Acme).Record(context.Background(), store.RequestID(storetest.Acme, store.SourceCallRail, "C1"),
			store.Event{ID: store.EventID(storetest.Acme, store.SourceCallRail, "E1"), Type: "post-call", Source: store.SourceCallRail, Payload: []byte("{}")},
			func(*store.Request, []store.Event) (store.Revision, error) {
				signal(syscall.SIGSTOP) // the transaction has begun, and has to be rolled back
				return store.Revision{}, refused
			})
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, refused) {
			t.Errorf("error %v, want %v", err, refused)
		}
	case <-time.After(20 * time.Second):
		t.Error("still rolling back after 20 s")
	}
}
