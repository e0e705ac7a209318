// Command adopt takes a stack whose database exists already through its first
// steps: see docs/adopt.md. It needs what pulumi up needs (the Pulumi CLI with
// its Go language plugin, a backend, credentials of Google Cloud), and runs the
// program of this repository through it.
//
//	go run ./infra/cmd/adopt -stack prod
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"

	"ingestion.internal/infra/adopt"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "adopt:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("adopt", flag.ContinueOnError)
	name := flags.String("stack", "", "the stack, such as prod; it exists (pulumi stack init)")
	dir := flags.String("C", ".", "the folder of Pulumi.yaml")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name == "" || flags.NArg() > 0 {
		return errors.New("say which stack: -stack prod")
	}
	if _, err := os.Stat(filepath.Join(*dir, "Pulumi.yaml")); err != nil {
		return fmt.Errorf("not the repository's folder: %w", err)
	}
	s, err := auto.SelectStackLocalSource(ctx, *name, *dir)
	if err != nil {
		return fmt.Errorf("open the stack %s: %w", *name, err)
	}
	if err := adopt.Run(ctx, s, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "next      pulumi up --stack %s\n", *name)
	return nil
}
