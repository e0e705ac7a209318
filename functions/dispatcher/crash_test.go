package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

// process is a process that is killed at a step: a commit to the database or an
// exchange with a provider. Nothing that it does after that has an effect.
type process struct {
	mu     sync.Mutex
	steps  []string
	killAt int  // the step's number, from 1; 0 = never
	after  bool // the step is done, and its answer is lost; else it is not done
	dead   bool
}

var errKilled = errors.New("killed")

// step runs f as the next step, unless the process is dead.
func (p *process) step(name string, f func() error) error {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return errKilled
	}
	p.steps = append(p.steps, name)
	kill := len(p.steps) == p.killAt
	p.dead = kill
	p.mu.Unlock()
	if kill && !p.after {
		return errKilled
	}
	err := f()
	if kill {
		return errKilled
	}
	return err
}

// RoundTrip implements http.RoundTripper.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	var resp *http.Response
	err := p.step(r.Method+" "+r.URL.Path, func() (err error) {
		resp, err = http.DefaultTransport.RoundTrip(r)
		return err
	})
	if err != nil && resp != nil {
		resp.Body.Close()
	}
	return resp, err
}

// intercept makes commits steps. Everything else is forbidden to the dead, but
// to give up what they began, which the emulator would wait for.
func (p *process) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	call := func() error { return invoke(ctx, method, req, reply, cc, opts...) }
	var err error
	switch {
	case strings.HasSuffix(method, "/Commit"):
		err = p.step("commit", call)
	case strings.HasSuffix(method, "/Rollback"):
		return call()
	default:
		p.mu.Lock()
		dead := p.dead
		p.mu.Unlock()
		if dead {
			err = errKilled
		} else {
			return call()
		}
	}
	if errors.Is(err, errKilled) {
		return status.Error(codes.PermissionDenied, "killed") // a code that no client retries
	}
	return err
}

// run delivers the request in the process, and returns when it ended or died.
func (p *process) run(w *world, id string) {
	db, err := store.OpenWith(w.t.Context(), w.cfg, []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(p.intercept))}, store.WithClock(w.clock.now))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	w.deliver(db, w.dispatcher(db, p), id)
}

// TestCrashes kills the dispatcher at every step of a delivery, before it and
// after it, and lets the queue and the schedule go on: there is one record in
// the CRM, with one note, and one mail for each recipient.
func TestCrashes(t *testing.T) {
	t.Parallel()
	two := func(c *workflow.Config) {
		c.EmailNotifications.Recipients = []string{"boss@acme.example", "sales@acme.example"}
	}
	whole := newWorld(t, two)
	p := &process{}
	p.run(whole, whole.decided("k"))
	// The stage's claim; claim, contact, note, association, result of the CRM;
	// claim, three questions, mail, result of each recipient; the stage's end.
	if len(p.steps) != 1+5+2*6+1 {
		t.Fatalf("%d steps: %q", len(p.steps), p.steps)
	}
	for step := range p.steps {
		for _, after := range []bool{false, true} {
			when := map[bool]string{false: "before", true: "after"}[after]
			t.Run(fmt.Sprintf("%s_step_%d", when, step+1), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, two)
				id := w.decided("k")
				p := &process{killAt: step + 1, after: after}
				p.run(w, id)
				if !p.dead {
					t.Fatalf("it was not killed: %q", p.steps)
				}
				w.recovers(id, "crm sent, email sent, email sent")
				if len(w.vendors.contacts) != 1 || len(w.vendors.notes) != 1 || len(w.vendors.mails) != 2 {
					t.Errorf("killed %s %s: %d contacts, %d notes, %d mails: %+v", when, p.steps[step],
						len(w.vendors.contacts), len(w.vendors.notes), len(w.vendors.mails), w.vendors.mails)
				}
				sent := 0
				for _, action := range w.trail(id) {
					if strings.HasSuffix(action, ".sent") {
						sent++
					}
				}
				if sent != 3 {
					t.Errorf("the audit trail says %q", w.trail(id))
				}
			})
		}
	}
}

// recovers lets the queue bring the task again and the schedule run until
// nothing is left to do, and a little longer, and says what became of the
// request's effects.
func (w *world) recovers(id, want string) {
	w.t.Helper()
	w.clock.advance(time.Minute)
	for quiet := 0; quiet < 2; {
		if time.Until(w.clock.now()) > time.Hour {
			w.t.Fatalf("after an hour: %s", w.states(id))
		}
		w.deliver(w.db, w.d, id)
		w.tick(time.Minute)
		if w.states(id) == want {
			quiet++
		}
	}
	if r, err := w.acme.Request(w.t.Context(), id); err != nil || r.Status != store.StatusCompleted {
		w.t.Errorf("request %+v, %v", r, err)
	}
}

// TestTwoDeliveriesAtOnce: the queue and the schedule may carry the same
// request out side by side.
func TestTwoDeliveriesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.decided("k")
	w.clock.advance(time.Minute)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := w.d.dispatch(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { w.deliver(w.db, w.d, id) })
	}
	wg.Wait()
	w.want(id, "crm sent, email sent")
	if len(w.vendors.pushes) != 1 || len(w.vendors.mails) != 1 {
		t.Errorf("pushes %q, mails %+v", w.vendors.pushes, w.vendors.mails)
	}
}
