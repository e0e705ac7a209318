package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/plan"
	"ingestion.internal/local/provider"
)

// preview shows what a stack consists of.
func (a *app) preview(ctx context.Context) error {
	s, err := a.plan(ctx, a.opts.Args[0])
	if err != nil {
		return err
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, plan.Summarize(s))
	}
	return plan.Text(a.stdout, plan.Summarize(s))
}

// inventory writes, or with --check compares, the page of each stack.
func (a *app) inventory(ctx context.Context) error {
	var stale []string
	for _, name := range cli.InventoryStacks {
		s, err := a.plan(ctx, name)
		if err != nil {
			return err
		}
		want := []byte(plan.Markdown(s))
		path := a.repo.Path("docs", "inventory-"+name+".md")
		have, err := os.ReadFile(path)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case bytes.Equal(have, want):
			fmt.Fprintf(a.stdout, "%s is current\n", a.relative(path))
		case a.opts.Check:
			stale = append(stale, fmt.Sprintf("%s%s", a.relative(path), firstDifference(have, want)))
		default:
			if err := os.WriteFile(path, want, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s is written\n", a.relative(path))
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("not current:\n  %s\nwrite them with: go run ./local inventory", strings.Join(stale, "\n  "))
	}
	return nil
}

// firstDifference shows the first line that differs.
func firstDifference(have, want []byte) string {
	h, w := strings.Split(string(have), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(h), len(w)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "nothing"
		}
		if line(h) != line(w) {
			return fmt.Sprintf(", line %d: %q should be %q", i+1, line(h), line(w))
		}
	}
	return ""
}

// plan runs .local/bin/deploy plan on a stack, with a provider that serves for
// this one preview and a state that is thrown away. Nothing has to run, and
// nobody's account, state or secrets are touched.
func (a *app) plan(ctx context.Context, name string) (planned plan.Stack, err error) {
	if stacks, err := a.repo.Stacks(); err != nil {
		return planned, err
	} else if !slices.Contains(stacks, name) {
		return planned, coded(cli.ExitUsage, fmt.Errorf("there is no stack %q; there are %s", name, strings.Join(stacks, ", ")))
	}
	project, region, err := stackProject(string(a.repo), name)
	if err != nil {
		return planned, err
	}
	it := a.board.Start("preview "+name, "starting the provider")
	defer func() {
		if err != nil {
			it.Fail("failed")
		} else {
			it.Done("%d resources", len(planned.Resources))
		}
	}()

	if err := os.MkdirAll(a.repo.Local(), 0o755); err != nil {
		return planned, err
	}
	scratch, err := os.MkdirTemp(a.repo.Local(), "preview-")
	if err != nil {
		return planned, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := os.Mkdir(filepath.Join(scratch, "state"), 0o700); err != nil {
		return planned, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return planned, err
	}
	env := provider.Env{Project: project, ProjectNumber: projectNumber, Region: region}
	server := provider.New(env, provider.Kinds(env, provider.Core{}, provider.Runtime{}))
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, listener) }()
	defer func() { stop(); err = errors.Join(err, <-served) }()

	cmd := exec.CommandContext(ctx, a.repo.Bin("deploy"), "plan", name, scratch)
	cmd.Dir = string(a.repo)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
	cmd.Env = append(previewEnviron(os.Environ()),
		"PULUMI_HOME="+a.repo.Local("pulumi"),
		"PULUMI_BACKEND_URL=file://"+filepath.Join(scratch, "state"),
		"PULUMI_CONFIG_PASSPHRASE=preview", // what it encrypts is placeholders
		fmt.Sprintf("PULUMI_DEBUG_PROVIDERS=gcp:%d", listener.Addr().(*net.TCPAddr).Port),
		"PULUMI_SKIP_UPDATE_CHECK=true",
	)
	var out, said bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = lineWriter(func(line string) {
		fmt.Fprintln(&said, line)
		it.Note("%s", strings.Join(strings.Fields(line), " "))
	})
	it.Note("building images, registering resources")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return planned, ctx.Err()
		}
		if _, exited := errors.AsType[*exec.ExitError](err); exited {
			return planned, coded(cli.ExitDeploy, fmt.Errorf("the preview of the stack %s failed:\n%s", name, strings.TrimRight(said.String(), "\n")))
		}
		return planned, fmt.Errorf("run the preview: %w", err)
	}
	if said.Len() > 0 {
		a.board.Println(strings.TrimRight(said.String(), "\n"))
	}
	if err := json.Unmarshal(out.Bytes(), &planned); err != nil {
		return planned, fmt.Errorf("result of the preview: %w", err)
	}
	return planned, nil
}

// previewEnviron is the environment without what would make a preview say
// something else than the stack's file does, or reach an account.
func previewEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "PULUMI_") || strings.HasPrefix(name, "GOOGLE_") || name == "INGESTION_ENDPOINTS"
	})
}
