package daemonapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake records what the handler passed on.
type fake struct {
	status   Status
	logs     LogQuery
	call     Call
	fault    Fault
	cleared  string
	shutdown bool
	held     chan bool
}

func (f *fake) Status(context.Context) (Status, error) { return f.status, nil }
func (f *fake) Env(context.Context) (map[string]string, error) {
	return map[string]string{EnvGatewayURL: "http://127.0.0.1:1"}, nil
}
func (f *fake) Secret(_ context.Context, id string) ([]byte, error) {
	if id != "known" {
		return nil, fmt.Errorf("secret %q: %w", id, ErrNotFound)
	}
	return []byte{0, 1, 0xff}, nil
}
func (f *fake) PutCall(_ context.Context, c Call) (Recording, error) {
	f.call = c
	return Recording{URL: "http://rec/" + c.ID}, nil
}
func (f *fake) SetFault(_ context.Context, v Fault) error    { f.fault = v; return nil }
func (f *fake) ClearFault(_ context.Context, t string) error { f.cleared = t; return nil }
func (f *fake) Records(context.Context) ([]Record, error) {
	return []Record{{Tenant: "acme", ID: "1"}}, nil
}
func (f *fake) Mail(context.Context) ([]Mail, error) { return []Mail{{Tenant: "acme", ID: "m"}}, nil }
func (f *fake) HoldQueues(context.Context) (func(), error) {
	f.held <- true
	return func() { f.held <- false }, nil
}
func (f *fake) Shutdown() { f.shutdown = true }
func (f *fake) Logs(ctx context.Context, q LogQuery, w io.Writer) error {
	f.logs = q
	if _, err := io.WriteString(w, "line 1\n"); err != nil {
		return err
	}
	if q.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.New("disk gone")
}

func start(t *testing.T) (*fake, *Client, string) {
	t.Helper()
	f := &fake{}
	srv := httptest.NewServer(NewHandler(f, "sesame"))
	t.Cleanup(srv.Close)
	return f, NewClient(Info{Admin: srv.URL, Token: "sesame"}), srv.URL
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	f, c, _ := start(t)
	ctx := t.Context()

	f.status = Status{Gateway: "http://g", Services: []Service{{Name: "ai-analyzer", Restarts: 2}}, Resources: Resources{Live: 3, Recorded: 4}}
	got, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.status, got); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}

	secret, err := c.Secret(ctx, "known")
	if err != nil || string(secret) != "\x00\x01\xff" {
		t.Errorf("secret = %q, %v", secret, err)
	}
	if _, err := c.Secret(ctx, "other"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("unknown secret: %v", err)
	}

	call := Call{ID: "CAL 1/2", CompanyID: "155920786", StartTime: time.Unix(1, 0).UTC(), Script: []Turn{{1, "hello"}}}
	rec, err := c.PutCall(ctx, call)
	if err != nil || rec.URL != "http://rec/CAL 1/2" {
		t.Errorf("recording %v, %v", rec, err)
	}
	if d := cmp.Diff(call, f.call); d != "" {
		t.Errorf("call (-want +got):\n%s", d)
	}

	if err := c.SetFault(ctx, Fault{Target: "speech", Mode: ModeStall, Count: 2}); err != nil || f.fault.Count != 2 {
		t.Errorf("fault %v, %v", f.fault, err)
	}
	if err := c.SetFault(ctx, Fault{Target: "speech", Mode: "explode"}); err == nil || !strings.Contains(err.Error(), ModeStall) {
		t.Errorf("an unknown mode was taken: %v", err)
	}
	if err := c.ClearFault(ctx, "speech"); err != nil || f.cleared != "speech" {
		t.Errorf("cleared %q, %v", f.cleared, err)
	}
	if err := c.Shutdown(ctx); err != nil || !f.shutdown {
		t.Errorf("shutdown %v, %v", f.shutdown, err)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	f, c, _ := start(t)
	var b strings.Builder
	if err := c.Logs(t.Context(), LogQuery{Service: "ai-analyzer", Tail: 7}, &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(LogQuery{Service: "ai-analyzer", Tail: 7}, f.logs); d != "" {
		t.Errorf("query (-want +got):\n%s", d)
	}
	if got, want := b.String(), "line 1\nlocalcloud: the log ends here: disk gone\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}

	// A followed line arrives while the answer goes on.
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- c.Logs(ctx, LogQuery{Follow: true}, w) }()
	line := make([]byte, len("line 1\n"))
	if _, err := io.ReadFull(r, line); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("follow ended with %v", err)
	}
}

// Queues are held as long as their holder is there.
func TestHoldQueues(t *testing.T) {
	t.Parallel()
	f, c, _ := start(t)
	f.held = make(chan bool, 1)
	release, err := c.HoldQueues(t.Context())
	if err != nil || !<-f.held {
		t.Fatal(err)
	}
	release()
	if <-f.held {
		t.Error("still held")
	}
}

func TestTokenIsRequired(t *testing.T) {
	t.Parallel()
	f, _, url := start(t)
	for _, token := range []string{"", "sesam", "sesame2"} {
		if err := NewClient(Info{Admin: url, Token: token}).Shutdown(t.Context()); err == nil || f.shutdown {
			t.Errorf("token %q was let in (%v)", token, err)
		}
	}
	resp, err := http.Get(url + "/status")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("no header: %s", resp.Status)
	}
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Running(dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("an empty folder runs: %v", err)
	}
	release, err := Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Running(dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("it runs before it is announced: %v", err)
	}
	if err := Announce(dir, Info{Admin: "http://a", BuildID: "b1", ProviderPort: 4}); err != nil {
		t.Fatal(err)
	}
	info, err := Running(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.BuildID != "b1" || info.ProviderPort != 4 || info.PID == 0 || info.StartedAt.IsZero() {
		t.Errorf("info %+v", info)
	}
	release()
	if _, err := Running(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("it runs after the release: %v", err)
	}
}
