package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/deployment"
	"ingestion.internal/local/internal/launch"
	"ingestion.internal/local/internal/lock"
	"ingestion.internal/local/internal/progress"
	"ingestion.internal/local/standin/audio"
)

// upResult is the document of up --json.
type upResult struct {
	OK         bool                `json:"ok"`
	Gateway    string              `json:"gateway"`
	Addresses  map[string]string   `json:"addresses"`
	Services   []daemonapi.Service `json:"services"`
	Resources  daemonapi.Resources `json:"resources"`
	Deployment deployment.Result   `json:"deployment"`
	Proof      *told               `json:"proof"`
	Seconds    map[string]float64  `json:"seconds"` // by step, and total
}

func (a *app) up(ctx context.Context) error {
	started := launchedAt()
	timing := map[string]float64{}
	timed := func(name string, from time.Time) { timing[name] = round(time.Since(from)) }
	if now := time.Now(); now.Sub(started) > 0 {
		timing["build"] = round(now.Sub(started))
	}

	held, err := a.exclusive(ctx, "up")
	if err != nil {
		return err
	}
	defer held.Release()

	a.board.Println(a.board.Bold("Starting"))
	from := time.Now()
	info, startedHere, err := a.ensureDaemon(ctx)
	if err != nil {
		return err
	}
	timed("start", from)
	client := daemonapi.NewClient(info)
	if a.opts.NoDeploy {
		if a.opts.JSON {
			return writeJSON(a.stdout, upResult{OK: true, Seconds: timing})
		}
		a.board.Println(a.board.Good("Started") + ", with nothing deployed. Its addresses: go run ./local env; deploy with: go run ./local up")
		return nil
	}

	result, err := a.deployAndProve(ctx, info, client, timing, timed)
	if ctx.Err() != nil && startedHere {
		a.board.Println("interrupted: stopping the local cloud that this command started")
		_, stopErr := a.stopDaemon(context.WithoutCancel(ctx))
		return errors.Join(ctx.Err(), stopErr)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w\n\nThe local cloud goes on running as it is: go run ./local status, go run ./local logs. Mend it and run up again; only what changed is done. What cannot be mended is forgotten by: go run ./local down", err)
	}
	timing["total"] = round(time.Since(started))
	if result == nil {
		return err
	}
	result.OK, result.Seconds = err == nil, timing
	if a.opts.JSON {
		return errors.Join(err, writeJSON(a.stdout, result))
	}
	if err == nil {
		a.board.Println()
		a.board.Println(a.board.Good("Up") + " in " + progress.Seconds(time.Since(started)) +
			". Try: go run ./local call --scenario " + cli.ScenarioNames[1] + ", form, status, logs -f; stop it with: go run ./local down")
	}
	return err
}

// exclusive takes the lock of the commands that change the cloud. While
// another one has it, it says so and waits.
func (a *app) exclusive(ctx context.Context, purpose string) (*lock.Lock, error) {
	if err := os.MkdirAll(a.repo.Local(), 0o755); err != nil {
		return nil, err
	}
	return lock.Wait(ctx, a.repo.Lock(), "go run ./local "+purpose, func(h *lock.HeldError) {
		a.board.Println("waiting for " + cmp.Or(h.Holder, "another command") + ", which is changing the local cloud (Ctrl-C gives up)")
	})
}

// ensureDaemon returns the running daemon of this build, starting it if need
// be.
func (a *app) ensureDaemon(ctx context.Context) (info daemonapi.Info, startedHere bool, err error) {
	build, err := buildID()
	if err != nil {
		return info, false, err
	}
	info, err = daemonapi.Running(a.repo.State())
	switch {
	case err == nil && info.BuildID == build:
		it := a.board.Start("local cloud", "")
		it.Done("running since %s, process %d", info.StartedAt.Local().Format("15:04:05"), info.PID)
		return info, false, nil
	case err == nil:
		a.board.Println("  The local cloud itself has changed: it restarts, from empty.")
	case !errors.Is(err, daemonapi.ErrNotRunning):
		return info, false, err
	}
	// What a daemon that crashed left behind goes first.
	if _, err := a.stopDaemon(ctx); err != nil {
		return info, false, err
	}
	if err := os.RemoveAll(a.repo.State()); err != nil {
		return info, false, err
	}
	it := a.board.Start("local cloud", "starting the emulator and the services of the cloud")
	info, err = a.startDaemon(ctx)
	if err != nil {
		it.Fail("did not start")
		return info, false, err
	}
	it.Done("ready, process %d, log in %s", info.PID, a.relative(a.repo.Logs()))
	return info, true, nil
}

// deployAndProve runs the program and the proof call. Its result is nil until
// the deployment succeeded.
func (a *app) deployAndProve(ctx context.Context, info daemonapi.Info, client *daemonapi.Client, timing map[string]float64, timed func(string, time.Time)) (*upResult, error) {
	a.board.Println(a.board.Bold("Deploying") + " the stack local")
	from := time.Now()
	deployed, err := a.deploy(ctx, info, client)
	timed("deploy", from)
	if err != nil {
		return nil, coded(cli.ExitDeploy, err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	result := &upResult{
		Gateway: status.Gateway, Addresses: status.Addresses, Services: status.Services,
		Resources: status.Resources, Deployment: deployed,
	}
	if !a.opts.JSON {
		a.board.Println()
		a.printStatus(status)
	}
	if bad := notReady(status); len(bad) > 0 {
		return result, coded(cli.ExitDeploy, fmt.Errorf("not ready: %s", strings.Join(bad, "; ")))
	}
	if a.opts.NoProof {
		return result, nil
	}
	a.board.Println()
	a.board.Println(a.board.Bold("Proving it") + " with one signed phone call")
	from = time.Now()
	said, err := audio.Script(cli.ScenarioNames[0])
	if err != nil {
		return result, err
	}
	story, err := a.placeCall(ctx, client, callSpec{tenant: cli.DefaultTenant, sample: said})
	if story != nil {
		var outcomeErr error
		result.Proof, outcomeErr = a.told(ctx, story)
		err = errors.Join(err, outcomeErr)
		if !a.opts.JSON {
			a.printStory(result.Proof)
		}
	}
	timed("proof", from)
	return result, errors.Join(err, result.Proof.undelivered())
}

// notReady lists the services that do not serve, and why.
func notReady(s daemonapi.Status) []string {
	var bad []string
	if s.Gateway == "" {
		bad = append(bad, "the gateway is not deployed")
	}
	for _, svc := range s.Services {
		if svc.State != "ready" && svc.State != "succeeded" {
			bad = append(bad, strings.TrimSuffix(fmt.Sprintf("%s is %s: %s", svc.Name, svc.State, svc.Error), ": "))
		}
	}
	return bad
}

// deploy runs .local/bin/deploy up, whose progress lines appear as they come.
func (a *app) deploy(ctx context.Context, info daemonapi.Info, client *daemonapi.Client) (deployment.Result, error) {
	var result deployment.Result
	env, err := a.environment(ctx, info, client)
	if err != nil {
		return result, err
	}
	cmd := exec.CommandContext(ctx, a.repo.Bin("deploy"), "up", "--json")
	cmd.Dir = string(a.repo)
	// In its own process group: Ctrl-C reaches it once, through Cancel, and
	// the engine gets the time to end what it is doing.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	it := a.board.Start("pulumi up", "building images, comparing resources")
	cmd.Stderr = lineWriter(func(line string) {
		a.board.Println(line)
		it.Note("last: %s", strings.Join(strings.Fields(line), " "))
	})
	if err = cmd.Run(); err != nil {
		it.Fail("failed")
	}
	if ctx.Err() != nil && cmd.Process != nil {
		// Its group ended with it, but for what did not obey in time.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return result, ctx.Err()
	}
	if err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); exited {
			return result, errors.New("the deployment failed, see above")
		}
		return result, fmt.Errorf("run the deployment: %w", err)
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		it.Fail("failed")
		return result, fmt.Errorf("result of the deployment: %w", err)
	}
	if len(result.Changed) == 0 {
		it.Done("%d resources, nothing to change", result.Changes["same"])
	} else {
		it.Done("%d changes, %d resources as they were", len(result.Changed), result.Changes["same"])
	}
	return result, nil
}

// lineWriter calls itself with every whole line.
func lineWriter(f func(string)) io.Writer { return &lines{each: f} }

type lines struct {
	each func(string)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.each(string(l.part[:i]))
		l.part = l.part[i+1:]
	}
}

// launchedAt is when the launcher began, or now if this was started directly.
func launchedAt() time.Time {
	ms, err := strconv.ParseInt(os.Getenv(launch.EnvStarted), 10, 64)
	if err != nil {
		return time.Now()
	}
	return time.UnixMilli(ms)
}

func round(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// relative shortens a path for people.
func (a *app) relative(path string) string {
	if rel, err := filepath.Rel(a.workDir, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}
