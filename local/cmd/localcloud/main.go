// Command localcloud is the local Google Cloud: its daemon, and the commands
// that talk to it. People run it through go run ./local.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ingestion.internal/local/internal/daemonapi"
)

// daemonOptions is what a daemon is started with.
type daemonOptions struct {
	Root     string // the repository
	StateDir string // .local/state: everything that this daemon knows; it may write here
	LogDir   string // .local/logs
	BuildID  string
	Token    string // bearer token of the admin API, see daemonapi.NewHandler
	// Ready is called once, when everything answers. It completes info with
	// pid and start time and tells the waiting command.
	Ready func(info daemonapi.Info) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runDaemon(ctx, daemonOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, "localcloud:", err)
		os.Exit(1)
	}
}
