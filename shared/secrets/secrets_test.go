package secrets

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"ingestion.internal/shared/agecache"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/wirefake"
)

func TestManager(t *testing.T) {
	wirefake.Credentials(t)
	google := wirefake.New(t, map[string]string{"key": "one"})
	client, err := gcp.SecretManager(t.Context(), google.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now := time.Now()
	m := newManager(client, Config{Project: "p", MaxAge: time.Minute}, func() time.Time { return now })
	want := func(id, value string, calls int) {
		t.Helper()
		before := google.Calls()
		got, err := m.Access(t.Context(), id)
		if value == "" {
			if !IsNotFound(err) {
				t.Errorf("%s: %q, %v; want not found", id, got, err)
			}
		} else if err != nil || string(got) != value {
			t.Errorf("%s: %q, %v; want %q", id, got, err, value)
		}
		if n := google.Calls() - before; n != calls {
			t.Errorf("%s: %d calls, want %d", id, n, calls)
		}
	}

	want("key", "one", 1)
	google.SetSecret("key", "two")
	now = now.Add(59 * time.Second)
	want("key", "one", 0)
	now = now.Add(time.Second)
	want("key", "two", 1)

	want("absent", "", 1)
	google.SetSecret("absent", "there")
	want("absent", "", 0)
	now = now.Add(agecache.NegativeAge)
	want("absent", "there", 1)

	// What may be over in a moment is not remembered.
	google.SetSecret("other", "value")
	google.Fail(http.StatusInternalServerError)
	if _, err := m.Access(t.Context(), "other"); err == nil || IsNotFound(err) {
		t.Errorf("error %v", err)
	}
	google.Fail(0)
	want("other", "value", 1)

	google.SetSecret("burst", "x")
	before := google.Calls()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := m.Access(t.Context(), "burst"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := google.Calls() - before; n != 1 {
		t.Errorf("%d calls for a burst, want 1", n)
	}
}
