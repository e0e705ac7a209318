package main

import (
	"context"
	"errors"
)

// runDaemon runs the local cloud until ctx is done.
func runDaemon(context.Context, daemonOptions) error {
	return errors.New("the daemon is not wired yet")
}
