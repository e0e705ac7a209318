package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/cloud/cloudrun"
	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
	"ingestion.internal/local/internal/session"
)

// envFake says how the daemon of a test behaves. The test binary is its own
// daemon: startDaemon runs the present executable.
const envFake = "LOCALCLOUD_TEST_DAEMON"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == daemonCommand {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := serve(ctx, fakeDaemon)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeDaemon has a child in its own process group, as the real one has, and
// leaves it to whoever cleans up.
func fakeDaemon(ctx context.Context, o daemonOptions) error {
	if os.Getenv(envFake) == "broken" {
		return errors.New("the emulator does not start: no such file")
	}
	child := exec.Command("sleep", "600")
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, daemonapi.NewHandler(fakeAPI{cancel}, o.Token)) }()
	if err := o.Ready(daemonapi.Info{Admin: "http://" + l.Addr().String(), ProviderPort: 4711}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

type fakeAPI struct{ cancel func() }

func (fakeAPI) Status(context.Context) (daemonapi.Status, error) {
	return daemonapi.Status{PID: os.Getpid()}, nil
}
func (fakeAPI) Records(context.Context) ([]daemonapi.Record, error) { return nil, nil }
func (fakeAPI) Mail(context.Context) ([]daemonapi.Mail, error)      { return nil, nil }
func (fakeAPI) Logs(_ context.Context, _ daemonapi.LogQuery, w io.Writer) error {
	_, err := io.WriteString(w, "a line\n")
	return err
}
func (fakeAPI) Env(context.Context) (map[string]string, error) {
	return map[string]string{"GATEWAY_URL": "http://127.0.0.1:1", "INGESTION_ENDPOINTS": `{"storage":"it's"}`}, nil
}
func (fakeAPI) Secret(context.Context, string) ([]byte, error) { return nil, daemonapi.ErrNotFound }
func (fakeAPI) PutCall(context.Context, daemonapi.Call) (daemonapi.Recording, error) {
	return daemonapi.Recording{}, nil
}
func (fakeAPI) SetFault(context.Context, daemonapi.Fault) error { return nil }
func (fakeAPI) ClearFault(context.Context, string) error        { return nil }
func (fakeAPI) HoldQueues(context.Context) (func(), error)      { return func() {}, nil }
func (f fakeAPI) Shutdown()                                     { f.cancel() }

// newApp returns the client of an empty repository.
func newApp(t *testing.T) (*app, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"go.work", "local/go.mod"} {
		path := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	a := &app{repo: layout.Repo(dir), stdout: &out, stderr: io.Discard, workDir: dir, board: progress.NewPlain(io.Discard)}
	t.Cleanup(func() {
		if info, err := daemonapi.ReadInfo(a.repo.State()); err == nil {
			if err := session.End(info.PID, stopTimeout); err != nil {
				t.Error(err)
			}
		}
		a.board.Close()
	})
	return a, &out
}

func members(t *testing.T, sid int) int {
	t.Helper()
	pids, err := session.Members(sid)
	if err != nil {
		t.Fatal(err)
	}
	return len(pids)
}

func TestStartAndDown(t *testing.T) {
	t.Parallel()
	a, out := newApp(t)
	ctx := t.Context()

	if err := a.status(ctx); exitCode(ctx, err) != cli.ExitNotRunning {
		t.Fatalf("status of nothing: %v", err)
	}
	info, here, err := a.ensureDaemon(ctx)
	if err != nil || !here {
		t.Fatalf("ensureDaemon: %v, started here: %v", err, here)
	}
	if n := members(t, info.PID); n != 2 {
		t.Errorf("%d processes in the session, want the daemon and its child", n)
	}
	again, here, err := a.ensureDaemon(ctx)
	if err != nil || here || again.PID != info.PID {
		t.Errorf("second ensureDaemon: process %d, started here: %v, %v", again.PID, here, err)
	}
	if err := a.logs(ctx); err != nil || out.String() != "a line\n" {
		t.Errorf("logs: %q, %v", out, err)
	}
	for range 2 { // the second finds nothing and is content
		if err := a.down(ctx); err != nil {
			t.Fatal(err)
		}
		if n := members(t, info.PID); n != 0 {
			t.Errorf("%d processes are left", n)
		}
		if _, err := os.Stat(a.repo.State()); !os.IsNotExist(err) {
			t.Errorf("the state folder is left: %v", err)
		}
	}
}

func TestDownAfterACrash(t *testing.T) {
	t.Parallel()
	a, _ := newApp(t)
	info, _, err := a.ensureDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := a.down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := members(t, info.PID); n != 0 {
		t.Errorf("%d processes of the crashed daemon are left", n)
	}
}

func TestAnotherBuildRestarts(t *testing.T) {
	t.Parallel()
	a, _ := newApp(t)
	old, _, err := a.ensureDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.repo.State(), "daemon.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(old.BuildID), []byte("0123456789abcdef"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	info, here, err := a.ensureDaemon(t.Context())
	if err != nil || !here || info.PID == old.PID {
		t.Fatalf("process %d after %d, started here: %v, %v", info.PID, old.PID, here, err)
	}
	if n := members(t, old.PID); n != 0 {
		t.Errorf("%d processes of the old build are left", n)
	}
}

func TestDaemonThatDoesNotStart(t *testing.T) {
	t.Setenv(envFake, "broken")
	a, _ := newApp(t)
	_, _, err := a.ensureDaemon(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the emulator does not start: no such file") || !strings.Contains(err.Error(), "daemon.log") {
		t.Errorf("error %v: it must show the daemon's words and where its log is", err)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	a, out := newApp(t)
	if _, _, err := a.ensureDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.env(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), string(a.repo), "ROOT")
	want := `export GATEWAY_URL='http://127.0.0.1:1'
export INGESTION_ENDPOINTS='{"storage":"it'\''s"}'
export PULUMI_BACKEND_URL='file://ROOT/.local/state/pulumi'
export PULUMI_CONFIG_PASSPHRASE='local'
export PULUMI_DEBUG_PROVIDERS='gcp:4711'
export PULUMI_EXPERIMENTAL='true'
export PULUMI_HOME='ROOT/.local/pulumi'
export PULUMI_SKIP_CHECKPOINTS='true'
export PULUMI_SKIP_UPDATE_CHECK='true'
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("plain")
	f.Add(`it's "quoted" $HOME \ ` + "`id`\n\t!*")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // no environment can hold it
		}
		out, err := exec.Command("sh", "-c", "v="+quote(s)+"; printf %s \"$v\"").Output()
		if err != nil || string(out) != s {
			t.Errorf("the shell reads %q as %q (%v)", s, out, err)
		}
	})
}

func TestRender(t *testing.T) {
	t.Parallel()
	line := cloudrun.Line{Time: time.Now(), Resource: "ai-analyzer", Text: `{"severity":"INFO","message":"stage done","took":"0.1s","why":"two words","logging.googleapis.com/labels":{"service":"ai-analyzer","tenant":"acme"},"logging.googleapis.com/trace":"t"}`}
	_, got, _ := strings.Cut(render(line), " ")
	if want := `INFO     ai-analyzer       stage done tenant=acme trace=t took=0.1s why="two words"`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	got := notReady(daemonapi.Status{Services: []daemonapi.Service{
		{Name: "a", State: "ready"}, {Name: "b", State: "failed", Error: "exit 1"}, {Name: "c", State: "succeeded"}, {Name: "d", State: "starting"},
	}})
	want := []string{"the gateway is not deployed", "b is failed: exit 1", "d is starting"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var answer string
	code := http.StatusAccepted
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Signature") != "s" {
			t.Errorf("headers %v", r.Header)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	for _, tc := range []struct {
		code          int
		answer        string
		want, wantErr string
	}{
		{202, `{"request_id":"r1","status":"received"}`, "r1", ""},
		{401, `{"title":"Unauthorized"}`, "", `refused it: 401 Unauthorized: {"title":"Unauthorized"}`},
		{200, `hello`, "", "names no request_id: hello"},
	} {
		code, answer = tc.code, tc.answer
		id, _, err := post(t.Context(), "http://"+l.Addr().String()+"/x", []byte("{}"), http.Header{"Signature": {"s"}})
		if id != tc.want || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%d %s: %q, %v", tc.code, tc.answer, id, err)
		}
	}
}
