package scheduler_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "google.golang.org/api/cloudscheduler/v1"

	"ingestion.internal/local/cloud/scheduler"
)

type identity struct{}

func (identity) AccessToken(string) (string, time.Duration)      { return "", 0 }
func (identity) Caller(*http.Request) (string, error)            { return "", errors.ErrUnsupported }
func (identity) VerifyIDToken(string, ...string) (string, error) { return "", errors.ErrUnsupported }
func (identity) IDToken(account, audience string) (string, error) {
	return account + "@" + audience, nil
}

// clock stands still; every wait is reported and ends when the test says so.
type clock struct {
	now   time.Time
	waits chan time.Duration
	fire  chan time.Time
}

func (c *clock) Now() time.Time { return c.now }
func (c *clock) After(d time.Duration) <-chan time.Time {
	c.waits <- d
	return c.fire
}

func newJob(uri string) *api.Job {
	return &api.Job{
		Name: "projects/p/locations/us-central1/jobs/sweep", Schedule: "30 2 * * *", TimeZone: "America/Chicago",
		RetryConfig: &api.RetryConfig{RetryCount: 2, MinBackoffDuration: "7s"},
		HttpTarget: &api.HttpTarget{
			Uri: uri, Body: "e30=", Headers: map[string]string{"Content-Type": "application/json"},
			OidcToken: &api.OidcToken{ServiceAccountEmail: "cron", Audience: "aud"},
		},
	}
}

func TestScheduleAndRetry(t *testing.T) {
	t.Parallel()
	calls := make(chan string, 1)
	answers := make(chan int, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls <- r.Method + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-CloudScheduler-JobName")
		w.WriteHeader(<-answers)
	}))
	t.Cleanup(srv.Close)
	c := &clock{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), waits: make(chan time.Duration), fire: make(chan time.Time)}
	s := scheduler.New(scheduler.Options{Identity: identity{}, Clock: c})
	if _, err := s.Put(newJob(srv.URL)); err != nil {
		t.Fatal(err)
	}
	// 08:00 UTC is 02:00 in Chicago: half an hour to go.
	if d := <-c.waits; d != 30*time.Minute {
		t.Errorf("first wait %s, want 30m", d)
	}
	c.fire <- c.now
	for i, step := range []struct {
		answer int
		wait   time.Duration // before the next call
	}{{500, 7 * time.Second}, {503, 14 * time.Second}, {200, 30 * time.Minute}} {
		if got, want := <-calls, "POST Bearer cron@aud sweep"; got != want {
			t.Errorf("call %d: %q, want %q", i, got, want)
		}
		answers <- step.answer
		if d := <-c.waits; d != step.wait {
			t.Errorf("wait %d: %s, want %s", i, d, step.wait)
		}
		if i < 2 {
			c.fire <- c.now
		}
	}
	// Closing ends the wait.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(newJob(srv.URL)); err == nil {
		t.Error("a closed scheduler took a job")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := scheduler.New(scheduler.Options{Identity: identity{}})
	t.Cleanup(func() { _ = s.Close() })
	bad := newJob("")
	bad.Name, bad.Schedule, bad.TimeZone, bad.AttemptDeadline = "j", "every day", "Mars/Base", "1s"
	bad.RetryConfig.RetryCount = 9
	_, err := s.Put(bad)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"name", "schedule", "timeZone", "attemptDeadline", "uri", "retryCount"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s:\n%v", want, err)
		}
	}
	if err := s.Run(t.Context(), "x"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("run of an unknown job: %v", err)
	}
	j, err := s.Put(newJob("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{j.Name}, names(s)); d != "" {
		t.Error(d)
	}
	if err := s.Delete(j.Name); err != nil || len(names(s)) != 0 {
		t.Errorf("delete: %v, left %v", err, names(s))
	}
}

func names(s *scheduler.Service) (all []string) {
	for _, j := range s.Jobs() {
		all = append(all, j.Name)
	}
	return all
}
