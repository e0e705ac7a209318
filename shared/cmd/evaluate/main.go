// Evaluate scores a Gemini model on the evaluation set, with application
// default credentials:
//
//	go run ./shared/cmd/evaluate --project my-project [--location us-central1] [--model gemini-3.5-flash-lite]
//
// It makes one request for each example and each attack, about 185, which costs
// about $0.25 with the default model. docs/evaluation.md explains what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"ingestion.internal/shared/analysis/eval"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "evaluate:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	s := eval.Defaults
	fs := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	fs.StringVar(&s.Project, "project", os.Getenv("GOOGLE_CLOUD_PROJECT"), "project whose Vertex AI is asked and billed")
	fs.StringVar(&s.Location, "location", s.Location, "location of Vertex AI")
	fs.StringVar(&s.Endpoint, "endpoint", s.Endpoint, "address of another server of the same API")
	fs.StringVar(&s.Model, "model", s.Model, "model to score")
	fs.StringVar(&s.Examples, "examples", s.Examples, "file of examples instead of the project's own")
	fs.IntVar(&s.Threshold, "threshold", s.Threshold, "spam likelihood from which on it is spam")
	fs.IntVar(&s.AtOnce, "at-once", s.AtOnce, "requests at the same time")
	fs.BoolVar(&s.NoAttacks, "no-attacks", s.NoAttacks, "leave out the attacks")
	fs.BoolVar(&s.JSON, "json", s.JSON, "print one JSON document")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if s.Project == "" {
		return errors.New("--project is missing")
	}
	return eval.Execute(ctx, s, stdout)
}
