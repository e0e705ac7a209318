// Command localcloud is the local Google Cloud: its daemon, and the commands
// that talk to it. People run it through go run ./local, which builds it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
)

// daemonOptions is what a daemon is started with.
type daemonOptions struct {
	Root     string // the repository
	StateDir string // .local/state: everything that this daemon knows; it may write here
	LogDir   string // .local/logs
	BuildID  string
	Token    string // bearer token of the admin API, see daemonapi.NewHandler
	// Ready is called once, when everything answers. It completes info with
	// pid, build, token and start time and tells the waiting command.
	Ready func(info daemonapi.Info) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its exit code.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	if len(args) == 1 && args[0] == daemonCommand {
		// Told to end by POST /shutdown or by a signal.
		if err := serve(ctx, runDaemon); err != nil {
			fmt.Fprintln(stderr, "localcloud daemon:", err)
			return cli.ExitFailed
		}
		return cli.ExitOK
	}
	cmd, opts, err := cli.Parse(args)
	if errors.Is(err, cli.ErrHelp) {
		fmt.Fprint(stdout, cli.Help(cmd))
		return cli.ExitOK
	}
	if err != nil {
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
	a := &app{repo: repo, opts: opts, stdout: stdout, stderr: stderr, workDir: wd}
	// With --json, standard output is one document and nothing else; a preview
	// may be piped as it is. env is read by a shell.
	shown := stdout
	if opts.JSON || cmd.Name == "preview" {
		shown = stderr
	}
	a.board = progress.New(shown)
	defer a.board.Close()
	err = map[string]func(context.Context) error{
		"up": a.up, "down": a.down, "status": a.status, "logs": a.logs,
		"call": a.call, "form": a.form, "text": a.text, "booking": a.booking, "chat": a.chat, "load": a.load, "env": a.env, "fault": a.fault,
		"preview": a.preview, "inventory": a.inventory, "eval": a.eval,
		"request": a.request, "crm": a.crm, "inbox": a.inbox, "dry-run": a.dryRun, "template": a.template, "release": a.release,
	}[cmd.Name](ctx)
	a.board.Close()
	code := exitCode(ctx, err)
	switch {
	case code == cli.ExitInterrupted:
		fmt.Fprintln(stderr, "interrupted")
	case err != nil:
		fmt.Fprintln(stderr, a.board.Bad("Error:"), err)
	}
	return code
}

// app is one run of a client command.
type app struct {
	repo    layout.Repo
	opts    cli.Options
	board   *progress.Board
	stdout  io.Writer
	stderr  io.Writer
	workDir string
}

// codeError is an error with its exit code.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// coded gives err an exit code, nil for nil. One that it has already stays.
func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	if _, has := errors.AsType[*codeError](err); has {
		return err
	}
	return &codeError{code, err}
}

func exitCode(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		return cli.ExitInterrupted
	}
	if err == nil {
		return cli.ExitOK
	}
	if errors.Is(err, daemonapi.ErrNotRunning) {
		return cli.ExitNotRunning
	}
	if c, ok := errors.AsType[*codeError](err); ok {
		return c.code
	}
	return cli.ExitFailed
}

// daemon returns the running daemon, or an error that says how to start it.
func (a *app) daemon() (daemonapi.Info, *daemonapi.Client, error) {
	info, err := daemonapi.Running(a.repo.State())
	if err != nil {
		return info, nil, err
	}
	return info, daemonapi.NewClient(info), nil
}
