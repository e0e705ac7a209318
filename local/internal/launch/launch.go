// Package launch builds what a command needs, side by side and with progress,
// and then becomes that command. It uses the standard library only and keeps
// clear of its heavy parts: go run compiles it before the first line appears.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
)

// EnvStarted carries the launcher's start to the command that it becomes, in
// Unix milliseconds, so that the total counts the builds.
const EnvStarted = "LOCALCLOUD_STARTED_MS"

// Main runs the launcher and returns its exit code; when all is well it does
// not return, because this process has become the command.
func Main(args []string, stdout, stderr *os.File) int {
	started := time.Now()
	cmd, opts, err := cli.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Help(cmd))
		return cli.ExitOK
	case err != nil:
		fmt.Fprintln(stderr, err)
		return cli.ExitUsage
	}
	wd, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return cli.ExitFailed
	}
	repo, err := layout.Find(wd)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return cli.ExitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := os.MkdirAll(repo.Bin(""), 0o755); err != nil {
		fmt.Fprintln(stderr, err)
		return cli.ExitFailed
	}
	if cmd.Name == "preview" {
		// Known at once, and not after minutes of building.
		if stacks, err := repo.Stacks(); err == nil && !slices.Contains(stacks, opts.Args[0]) {
			fmt.Fprintf(stderr, "there is no stack %q; there are %s\n", opts.Args[0], strings.Join(stacks, ", "))
			return cli.ExitUsage
		}
	}
	err = build(ctx, repo, cmd.Name, opts, stderr, stdout)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "interrupted: the builds are stopped; the next run goes on from what is compiled")
		return cli.ExitInterrupted
	}
	if err != nil {
		// The board has shown what failed and why.
		fmt.Fprintln(stderr, err)
		return cli.ExitBuild
	}
	stop()
	env := append(os.Environ(), fmt.Sprintf("%s=%d", EnvStarted, started.UnixMilli()))
	bin := repo.Bin("localcloud")
	err = syscall.Exec(bin, append([]string{bin}, args...), env)
	fmt.Fprintf(stderr, "%s does not start: %v (delete .local/bin and run this again)\n", bin, err)
	return cli.ExitFailed
}

// build brings .local/bin up to date: everything for the commands that run the
// program, the command alone, and silently if it is quick, for the others.
func build(ctx context.Context, repo layout.Repo, command string, opts cli.Options, stderr, stdout *os.File) error {
	out := stdout
	if opts.JSON || command != "up" {
		out = stderr
	}
	switch command {
	case "up", "preview", "inventory":
	default:
		return buildOne(ctx, repo, out)
	}
	board := progress.New(out)
	defer board.Close()
	board.Println(board.Bold("Building") + " (the first time takes minutes: the engine and the program are compiled from source)")
	steps := []step{
		{"engine", engine},
		{"local cloud", goBuild(repo.Path("local"), nil, noSymbols, "-o", repo.Bin("localcloud"), "./cmd/localcloud")},
		{"program", goBuild(repo.Path("local"), nil, noSymbols, "-o", repo.Bin("deploy"), "./cmd/deploy")},
		{"functions", functions},
	}
	return runAll(ctx, repo, board, steps)
}

// noSymbols leaves out what only debuggers read, which is most of the work of
// linking a large program. Stack traces stay whole.
const noSymbols = "-ldflags=-s -w"

// step is one thing to build.
type step struct {
	name string
	run  func(ctx context.Context, repo layout.Repo, it *progress.Item) (result string, err error)
}

// runAll runs the steps side by side and reports every one that failed, with
// its output, after all have ended.
func runAll(ctx context.Context, repo layout.Repo, board *progress.Board, steps []step) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, s := range steps {
		it := board.Start(s.name, "starting")
		wg.Go(func() {
			result, err := s.run(ctx, repo, it)
			switch {
			case err == nil:
				it.Done("%s", result)
			case ctx.Err() != nil:
				it.Fail("stopped")
			default:
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
				it.Fail("failed")
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// quiet is how long the build of a small command may take before it is shown.
const quiet = 2 * time.Second

// buildOne builds localcloud for a command other than up. It is seconds at
// most once up has run, so it shows itself only if it takes longer.
func buildOne(ctx context.Context, repo layout.Repo, out *os.File) error {
	hidden := progress.NewPlain(io.Discard)
	defer hidden.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(quiet, func() {
		fmt.Fprintln(out, "building the local cloud's command (the first time takes a minute or two) ...")
	})
	defer timer.Stop()
	_, err := goBuild(repo.Path("local"), nil, noSymbols, "-o", repo.Bin("localcloud"), "./cmd/localcloud")(ctx, repo, hidden.Start("local cloud", ""))
	return err
}

// functions compiles the services the way infra/image does, so that the
// images of the deployment come out of the build cache.
func functions(ctx context.Context, repo layout.Repo, it *progress.Item) (string, error) {
	matches, err := filepath.Glob(repo.Path("functions", "*", "main.go"))
	if err != nil {
		return "", err
	}
	// go list -export compiles like go build but leaves the linking, which is
	// not cached, to infra/image, which knows what it has linked before.
	run := goCommand(repo.Path("functions"), []string{"GOWORK=off", "CGO_ENABLED=0"}, "list", "-export", "-f", "{{/* nothing */}}", "-trimpath", "./...")
	result, err := run(ctx, repo, it)
	return fmt.Sprintf("%d, %s", len(matches), result), err
}
