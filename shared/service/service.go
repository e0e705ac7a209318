// Package service is the frame of every handler in functions: configuration
// from the environment, logs, HTTP server, probes and orderly shutdown.
//
// A service's main is one line:
//
//	func main() { service.Main(topology.IntakeAPI, setup) }
//
// where setup mounts routes on the Service and registers what it must wait for
// and close. A job uses MainJob.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
	_ "time/tzdata" // the images have no base, so no time zones

	_ "golang.org/x/crypto/x509roots/fallback" // nor certificate roots

	"github.com/go-chi/chi/v5"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/telemetry"
)

// Cloud Run kills an instance 10 s after SIGTERM. Requests get most of that;
// those still running are then cancelled, so that they can record it.
const (
	drainTimeout  = 6 * time.Second
	cancelTimeout = 2 * time.Second
)

const (
	setupTimeout   = 60 * time.Second
	probeTimeout   = 3 * time.Second
	readyCacheTime = time.Second // /health is public; a burst of it must not reach the database
)

// Service is what setup builds on.
type Service struct {
	Router chi.Router

	maxBody int64
	log     *slog.Logger
	checks  []check
	closers []closer

	readyMu  sync.Mutex
	readyErr error
	readyAt  time.Time
}

type check struct {
	name string
	run  func(context.Context) error
}

type closer struct {
	name  string
	close func() error
}

// New returns a service with its probes and middleware. Main calls it; tests
// call it to serve a handler without a process.
func New(cfg Config, log *slog.Logger) *Service {
	s := &Service{Router: chi.NewRouter(), maxBody: cfg.MaxBodyBytes, log: log}
	s.Router.Use(s.withTrace, s.logRequests, s.recoverPanics, s.limitBody)
	s.Router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.NotFound, "there is no such route"))
	})
	s.Router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.MethodNotAllowed, ""))
	})
	s.Router.Get("/healthz", alive)
	s.Router.Get("/readyz", s.ready)
	// Cloud Run's front end keeps paths that end in z for itself; this is the
	// one that the gateway can reach.
	s.Router.Get("/health", s.ready)
	return s
}

// WaitFor makes readiness depend on the check, which gets 3 s.
func (s *Service) WaitFor(name string, run func(context.Context) error) {
	s.checks = append(s.checks, check{name, run})
}

// OnClose registers what is closed at the end, the last registered first.
func (s *Service) OnClose(name string, run func() error) {
	s.closers = append(s.closers, closer{name, run})
}

func (s *Service) closeAll() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.closers[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Main runs the service until SIGTERM or SIGINT and exits the process: with
// status 0 after an orderly shutdown, else 1.
func Main[C Configuration](name string, setup func(ctx context.Context, cfg C, s *Service) error) {
	exit(name, func(ctx context.Context) error {
		return Run(ctx, name, os.Environ(), os.Stdout, setup)
	})
}

// MainJob runs the job once and exits the process: with status 0 if it
// returned nil, else 1.
func MainJob[C Configuration](name string, job func(ctx context.Context, cfg C) error) {
	exit(name, func(ctx context.Context) error {
		return RunJob(ctx, name, os.Environ(), os.Stdout, job)
	})
}

func exit(name string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		Stopped(ctx, logging.New(os.Stderr, logging.Options{Service: name}), err)
		os.Exit(1)
	}
}

// Stopped writes the last line of a process that ends with an error.
func Stopped(ctx context.Context, log *slog.Logger, err error) {
	log.ErrorContext(ctx, "stopped", slog.String(telemetry.Event, telemetry.ServiceStopped), slog.Any("error", err))
}

// RunJob is MainJob without the process.
func RunJob[C Configuration](ctx context.Context, name string, environ []string, logs io.Writer, job func(ctx context.Context, cfg C) error) error {
	cfg, err := loadConfig[C](environ)
	if err != nil {
		return err
	}
	setLogger(name, cfg.Common(), logs)
	return job(ctx, cfg)
}

// Run is Main without the process: it returns after the shutdown that ctx's
// end begins.
func Run[C Configuration](ctx context.Context, name string, environ []string, logs io.Writer, setup func(ctx context.Context, cfg C, s *Service) error) (err error) {
	cfg, err := loadConfig[C](environ)
	if err != nil {
		return err
	}
	log := setLogger(name, cfg.Common(), logs)
	s := New(cfg.Common(), log)
	defer func() { err = errors.Join(err, s.closeAll()) }()

	setupCtx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := setup(setupCtx, cfg, s); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(cfg.Common().Port)))
	if err != nil {
		return err
	}
	return s.serve(ctx, listener)
}

func setLogger(name string, cfg Config, logs io.Writer) *slog.Logger {
	log := logging.New(logs, logging.Options{Service: name, Version: cfg.Revision, Project: cfg.Project, Level: cfg.LogLevel})
	slog.SetDefault(log)
	return log
}

// serve serves until ctx ends, then drains.
func (s *Service) serve(ctx context.Context, listener net.Listener) error {
	// Requests outlive ctx: they end by themselves or when the drain is over.
	requests, cancelRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelRequests(nil)
	server := &http.Server{
		Handler:           s.Router,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.log.InfoContext(ctx, "listening", slog.String("address", listener.Addr().String()))

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.log.InfoContext(requests, "shutting down")
	if err := shutdown(server, drainTimeout); err == nil {
		return nil
	}
	cancelRequests(errors.New("the instance is shutting down"))
	if err := shutdown(server, cancelTimeout); err != nil {
		return errors.Join(fmt.Errorf("shutdown: %w", err), server.Close())
	}
	return nil
}

func shutdown(server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return server.Shutdown(ctx)
}
