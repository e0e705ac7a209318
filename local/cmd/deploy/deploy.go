package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"ingestion.internal/infra/adopt"
	"ingestion.internal/infra/stack"
	"ingestion.internal/local/internal/deployment"
	"ingestion.internal/local/internal/layout"
)

// stackName is the stack that the local cloud runs.
const stackName = "local"

// deployer drives one stack. Progress goes to progress, one line at a time.
type deployer struct {
	repo     layout.Repo
	progress io.Writer
}

// open selects the stack, creating it in an empty backend.
func (d *deployer) open(ctx context.Context) (auto.Stack, error) {
	// .local/bin/pulumi, or a link to the one on PATH. One built from its
	// module reports no version, so the check cannot be made here.
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: d.repo.Local(), SkipVersionCheck: true})
	if err != nil {
		return auto.Stack{}, fmt.Errorf("%w (build it with: go run ./local up)", err)
	}
	ws, err := auto.NewLocalWorkspace(ctx,
		auto.Pulumi(cli),
		auto.WorkDir(string(d.repo)),
		auto.Program(stack.Deploy),
	)
	if err != nil {
		return auto.Stack{}, err
	}
	s, err := auto.UpsertStack(ctx, stackName, ws)
	if err != nil {
		return s, fmt.Errorf("open the stack %s: %w", stackName, err)
	}
	return s, nil
}

func (d *deployer) up(ctx context.Context) (deployment.Result, error) {
	var outputs auto.OutputMap
	result, err := d.watch(ctx, func(s auto.Stack, ch chan<- events.EngineEvent) error {
		if err := d.dropStaleLocks(ctx, s); err != nil {
			return err
		}
		r, err := s.Up(ctx, optup.EventStreams(ch), optup.SuppressProgress(), optup.Parallel(16))
		outputs = r.Outputs
		return err
	})
	result.Outputs = plain(outputs)
	return result, err
}

// adopt imports a database that exists, as an operator does in the cloud.
func (d *deployer) adopt(ctx context.Context) error {
	return d.guarded(func() error {
		s, err := d.open(ctx)
		if err != nil {
			return err
		}
		return said(adopt.Run(ctx, s, d.progress))
	})
}

func (d *deployer) preview(ctx context.Context) (deployment.Result, error) {
	return d.watch(ctx, func(s auto.Stack, ch chan<- events.EngineEvent) error {
		_, err := s.Preview(ctx, optpreview.EventStreams(ch), optpreview.SuppressProgress(), optpreview.Parallel(16))
		return err
	})
}

func (d *deployer) outputs(ctx context.Context) (map[string]any, error) {
	var out map[string]any
	err := d.guarded(func() error {
		s, err := d.open(ctx)
		if err != nil {
			return err
		}
		m, err := s.Outputs(ctx)
		out = plain(m)
		return err
	})
	return out, err
}

// watch runs an operation and tells its events. A failure names the resources
// that failed with the provider's reasons, not the engine's whole output.
func (d *deployer) watch(ctx context.Context, op func(auto.Stack, chan<- events.EngineEvent) error) (deployment.Result, error) {
	started := time.Now()
	t := newTeller(d.progress, time.Now)
	err := d.guarded(func() error {
		s, err := d.open(ctx)
		if err != nil {
			return err
		}
		ch := make(chan events.EngineEvent)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range ch {
				t.event(e)
			}
		}()
		err = op(s, ch)
		// The Automation API closes the channel when it ran the engine; before
		// that it leaves it open.
		if t.finished(done) && err != nil && len(t.errors) > 0 {
			return t.failure()
		}
		return said(err)
	})
	result := t.result()
	result.Seconds = float64(time.Since(started).Milliseconds()) / 1000
	if err == nil {
		t.summary(result)
	}
	return result, err
}

// said cuts an error of the Automation API, which shows everything that the
// engine printed, down to what it said of the error.
func said(err error) error {
	if err == nil {
		return nil
	}
	_, text, ok := strings.Cut(err.Error(), "\nstderr: ")
	if text = strings.TrimPrefix(strings.TrimSpace(text), "error: "); !ok || text == "" {
		return err
	}
	return fmt.Errorf("the engine refused: %s", text)
}

// guarded runs f and puts the tracked stack file back if the engine rewrote
// it: it adds an encryption salt or reorders keys when it thinks best, and a
// deployment must not change the repository.
func (d *deployer) guarded(f func() error) error {
	path := d.repo.Path("Pulumi." + stackName + ".yaml")
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = f()
	after, readErr := os.ReadFile(path)
	if readErr == nil && bytes.Equal(before, after) {
		return err
	}
	return errors.Join(err, os.WriteFile(path, before, 0o644))
}

// dropStaleLocks removes the stack's locks of engines that are gone: one that
// was killed cannot do it itself, and the next run would be refused.
func (d *deployer) dropStaleLocks(ctx context.Context, s auto.Stack) error {
	stale := false
	err := filepath.WalkDir(filepath.Join(d.repo.State(), "pulumi", ".pulumi", "locks"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var lock struct {
			PID int `json:"pid"`
		}
		if json.Unmarshal(b, &lock) == nil && lock.PID > 0 && errors.Is(syscall.Kill(lock.PID, 0), syscall.ESRCH) {
			stale = true
		}
		return nil
	})
	if err != nil || !stale {
		return err
	}
	fmt.Fprintln(d.progress, "  an engine was killed before it could unlock the stack: unlocking it")
	return s.Cancel(ctx)
}

// plain returns outputs as JSON values, secret ones hidden.
func plain(m auto.OutputMap) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if v.Secret {
			out[k] = "[secret]"
			continue
		}
		out[k] = v.Value
	}
	return out
}
