// Package spannerlocal finds, starts and stops the Cloud Spanner emulator. It
// is the one place that knows where the emulator may be installed; the local
// cloud and the tests of everything that touches Spanner start theirs here.
//
// The emulator keeps everything in memory, allows one read-write transaction
// at a time per database, and knows neither IAM nor database roles.
package spannerlocal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// EnvBinary names the environment variable that points at the emulator, and so
// wins over every other place.
const EnvBinary = "SPANNER_EMULATOR_BIN"

const (
	startTimeout = 30 * time.Second // from exec to the first answered call; about one second is usual
	stopTimeout  = 5 * time.Second  // from SIGTERM to SIGKILL
)

// HowToInstall tells an operator what is missing on this machine.
const HowToInstall = "install it with one of\n" +
	"  gcloud components install cloud-spanner-emulator\n" +
	"  apt-get install google-cloud-cli-spanner-emulator\n" +
	"or unpack a release of github.com/GoogleCloudPlatform/cloud-spanner-emulator and set " + EnvBinary + " to its emulator_main"

// Find returns the path of the emulator: $SPANNER_EMULATOR_BIN (the file, or a
// folder that holds emulator_main), emulator_main on PATH, or the one in the
// Google Cloud SDK of the gcloud on PATH. The error says how to install it.
func Find() (string, error) {
	const name = "emulator_main"
	if set := os.Getenv(EnvBinary); set != "" {
		path := set
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, name)
		}
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s=%s is not the Spanner emulator: %w", EnvBinary, set, err)
		}
		return found, nil
	}
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	if gcloud, err := exec.LookPath("gcloud"); err == nil {
		if real, err := filepath.EvalSymlinks(gcloud); err == nil {
			// Packages link /usr/bin/gcloud to <sdk>/bin/gcloud.
			path := filepath.Join(filepath.Dir(real), "cloud_spanner_emulator", name)
			if found, err := exec.LookPath(path); err == nil {
				return found, nil
			}
		}
	}
	return "", errors.New("the Cloud Spanner emulator is not on this machine: " + HowToInstall)
}

// Options say how to start an emulator. The zero value is good.
type Options struct {
	Binary string    // default: Find
	Addr   string    // host:port to serve on; default 127.0.0.1:0, a free port
	Log    io.Writer // what the emulator prints; default: kept for error messages only
}

// Emulator is a running emulator.
type Emulator struct {
	addr  string
	cmd   *exec.Cmd
	lives io.Closer     // closing it ends the supervisor, and so the emulator
	done  chan struct{} // closed when the process has ended
	tail  *tail

	mu       sync.Mutex
	stopping bool
	err      error // why the process ended; valid when done is closed
}

// supervise runs the emulator and ends it when the standard input reaches its
// end, which the kernel brings about even if this process is killed. It collects
// what it started, so the group is gone when it is.
const supervise = `exec 3<&0
"$@" </dev/null 3<&- & child=$!
(while read -r _; do :; done <&3; kill "$child") >/dev/null 2>&1 & watch=$!
wait "$child"; status=$?
kill "$watch" 2>/dev/null
wait "$watch" 2>/dev/null
exit $status`

// address matches the line by which the emulator tells where it serves.
var address = regexp.MustCompile(`Server address: (\S+)`)

// Start starts an emulator in its own process group and returns when it
// answers calls. It ends with Stop, or with this process, however that ends.
func Start(ctx context.Context, o Options) (*Emulator, error) {
	if o.Binary == "" {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		o.Binary = found
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer within %s", startTimeout))
	defer cancel()

	e := &Emulator{done: make(chan struct{}), tail: &tail{to: o.Log}}
	e.cmd = exec.Command("/bin/sh", "-c", supervise, "spanner-emulator", o.Binary, "--host_port="+o.Addr)
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the Spanner emulator: %w", err)
	}
	e.lives = stdin
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the Spanner emulator: %w", err)
	}
	e.cmd.Stdout, e.cmd.Stderr = w, w
	err = e.cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("starting the Spanner emulator: %w", err)
	}

	found := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer out.Close()
		lines := bufio.NewReader(io.TeeReader(out, e.tail))
		for {
			line, err := lines.ReadString('\n')
			if m := address.FindStringSubmatch(line); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		<-read // all output first: it explains the end
		err := e.cmd.Wait()
		e.mu.Lock()
		if !e.stopping {
			e.err = fmt.Errorf("the Spanner emulator ended on its own (%v); its last words:\n%s", exitOf(err), e.tail)
		}
		e.mu.Unlock()
		close(e.done)
	}()

	fail := func(err error) (*Emulator, error) {
		e.Stop()
		return nil, fmt.Errorf("starting the Spanner emulator %s: %w", o.Binary, err)
	}
	select {
	case <-e.done:
		return nil, e.err
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	case e.addr = <-found:
	}
	if err := e.ready(ctx); err != nil {
		return fail(err)
	}
	return e, nil
}

// ready waits until the emulator answers a call.
func (e *Emulator) ready(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-e.done:
			cancel(e.err)
		case <-ctx.Done():
		}
	}()
	conn, err := grpc.NewClient("passthrough:///"+e.addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{
			BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond,
		}, MinConnectTimeout: time.Second}))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = instancepb.NewInstanceAdminClient(conn).ListInstanceConfigs(ctx,
		&instancepb.ListInstanceConfigsRequest{Parent: "projects/ready"}, grpc.WaitForReady(true))
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// Addr returns the host:port of the emulator's gRPC endpoint, the value of
// SPANNER_EMULATOR_HOST.
func (e *Emulator) Addr() string {
	if host, port, err := net.SplitHostPort(e.addr); err == nil {
		return net.JoinHostPort(host, port)
	}
	return e.addr
}

// PID returns the id of the emulator's process group.
func (e *Emulator) PID() int { return e.cmd.Process.Pid }

// Done is closed when the emulator has ended; Err then says why.
func (e *Emulator) Done() <-chan struct{} { return e.done }

// Err returns nil while the emulator runs and after Stop, otherwise why it
// ended.
func (e *Emulator) Err() error {
	select {
	case <-e.done:
	default:
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Stop ends the emulator and everything in it, and returns when its processes
// are gone. It may be called more than once.
func (e *Emulator) Stop() {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	e.lives.Close()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
		// The group is ours alone, so this reaches nothing else.
		_ = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
		<-e.done
	}
}

// exitOf words the end of a process.
func exitOf(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// tail forwards what it is given and keeps the last part.
type tail struct {
	to  io.Writer
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - keep; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	if t.to != nil {
		// A log that cannot be written must not stop the emulator.
		_, _ = t.to.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
