// Command deploy runs the program of infra/stack against the local cloud with
// the Pulumi engine, through the Automation API: the program runs in this
// process, so no language plugin is needed. It is a binary of its own because
// it takes minutes to compile. go run ./local up runs it, with the environment
// that go run ./local env prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ingestion.internal/local/internal/layout"
)

const usage = `Runs the program of infra/stack on the local cloud.

Usage:
  deploy up|preview|outputs [--json]
  deploy adopt
  deploy plan STACK FOLDER

Without a running local cloud and its environment (eval "$(go run ./local env)")
the first two cannot work; go run ./local up does all of that. The second brings
a database that was made by hand under the stack's management, as
infra/cmd/adopt does in the cloud (docs/adopt.md). The third prints what any
stack consists of, as JSON, and leaves its traces in FOLDER; it is what
go run ./local preview runs.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "deploy: interrupted; the engine has ended what it was doing")
		os.Exit(130)
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 1 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
		_, err := fmt.Fprint(stdout, usage)
		return err
	}
	asJSON := len(args) == 2 && args[1] == "--json"
	planning := len(args) == 3 && args[0] == "plan"
	if !planning && (len(args) == 0 || len(args) > 2 || len(args) == 2 && !asJSON) {
		return errUsage
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	repo, err := layout.Find(wd)
	if err != nil {
		return err
	}
	if os.Getenv("PULUMI_DEBUG_PROVIDERS") == "" {
		return errors.New(`PULUMI_DEBUG_PROVIDERS is not set: run go run ./local up, or eval "$(go run ./local env)" first`)
	}
	d := &deployer{repo: repo, progress: stderr}
	var result any
	switch args[0] {
	case "up":
		result, err = d.up(ctx)
	case "preview":
		result, err = d.preview(ctx)
	case "outputs":
		result, err = d.outputs(ctx)
	case "adopt":
		if asJSON {
			return errUsage
		}
		return d.adopt(ctx)
	case "plan":
		if !planning {
			return errUsage
		}
		result, err = d.plan(ctx, args[1], args[2])
	default:
		return errUsage
	}
	if err != nil {
		return err
	}
	if !asJSON && !planning && args[0] != "outputs" {
		return nil
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(result)
}
