package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
)

func (a *app) down(ctx context.Context) error {
	held, err := a.exclusive(ctx, "down")
	if err != nil {
		return err
	}
	defer held.Release()
	it := a.board.Start("local cloud", "stopping")
	ran, err := a.stopDaemon(ctx)
	if err != nil {
		it.Fail("not stopped")
		return err
	}
	if err := os.RemoveAll(a.repo.State()); err != nil {
		it.Fail("state not deleted")
		return err
	}
	if ran {
		it.Done("stopped, nothing of it is left running; its state is deleted")
	} else {
		it.Done("nothing was running; its state is deleted")
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, map[string]any{"stopped": ran, "running": false})
	}
	return nil
}

func (a *app) status(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, s)
	}
	a.printStatus(s)
	return nil
}

func (a *app) printStatus(s daemonapi.Status) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
	gateway := s.Gateway
	if gateway == "" {
		gateway = "(nothing is deployed yet: go run ./local up)"
	}
	fmt.Fprintf(w, "gateway\t%s\n", gateway)
	fmt.Fprintf(w, "website\t%s\ta sample tenant's page, with its form and chat\n", s.Addresses["website"])
	fmt.Fprintf(w, "spanner\t%s\t%s\n", s.Emulator.Address, cmpOr(s.Database, s.Emulator.State))
	for _, svc := range s.Services {
		name := svc.Name
		detail := svc.State
		if svc.Restarts > 0 {
			detail += ", restarted " + times(svc.Restarts)
		}
		if svc.Error != "" {
			detail += ": " + svc.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, cmpOr(svc.URL, "("+svc.Kind+")"), svc.Revision, detail)
	}
	for _, q := range s.Queues {
		detail := fmt.Sprintf("%d waiting", q.Depth)
		if q.State != "" && q.State != "RUNNING" {
			detail += ", " + q.State
		}
		fmt.Fprintf(w, "%s\t(queue)\t\t%s\n", q.Name, detail)
	}
	for _, f := range s.Faults {
		until := "until it is cleared"
		if f.Count > 0 {
			until = times(f.Count) + " more"
		}
		fmt.Fprintf(w, "%s\t(stand-in)\t\tset to %s %s\n", f.Target, f.Mode, until)
	}
	fmt.Fprintf(w, "resources\t%d live, %d recorded\n", s.Resources.Live, s.Resources.Recorded)
	_ = w.Flush()
	for line := range strings.Lines(b.String()) {
		a.board.Println("  " + strings.TrimRight(line, " \n"))
	}
}

// times counts in words.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// cmpOr returns the first that is not empty.
func cmpOr(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

func (a *app) logs(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	q := daemonapi.LogQuery{Follow: a.opts.Follow, Tail: a.opts.Tail}
	if len(a.opts.Args) > 0 {
		q.Service = a.opts.Args[0]
	}
	err = client.Logs(ctx, q, a.stdout)
	if ctx.Err() != nil && q.Follow {
		return nil
	}
	return misused(err)
}

// misused is for a command whose arguments the local cloud refuses: they are
// wrong, and its words say how.
func misused(err error) error {
	if refused, ok := errors.AsType[*daemonapi.Refusal](err); ok {
		return coded(cli.ExitUsage, refused)
	}
	return err
}

// environment is what a program needs to use this cloud, the deployment and a
// plain pulumi included.
func (a *app) environment(ctx context.Context, info daemonapi.Info, client *daemonapi.Client) (map[string]string, error) {
	env, err := client.Env(ctx)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(env)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range map[string]string{
		"PULUMI_HOME":              a.repo.Local("pulumi"),
		"PULUMI_BACKEND_URL":       "file://" + a.repo.State() + "/pulumi",
		"PULUMI_CONFIG_PASSPHRASE": "local", // the local stack's secrets are samples
		"PULUMI_DEBUG_PROVIDERS":   fmt.Sprintf("gcp:%d", info.ProviderPort),
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		// A checkpoint for each step makes the file backend quadratic. The
		// local stack is disposable.
		"PULUMI_EXPERIMENTAL":     "true",
		"PULUMI_SKIP_CHECKPOINTS": "true",
	} {
		out[k] = v
	}
	return out, os.MkdirAll(a.repo.State()+"/pulumi", 0o700)
}

func (a *app) env(ctx context.Context) error {
	info, client, err := a.daemon()
	if err != nil {
		return err
	}
	env, err := a.environment(ctx, info, client)
	if err != nil {
		return err
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, env)
	}
	return writeExports(a.stdout, env)
}

// writeExports writes export lines for a POSIX shell, ordered by name.
func writeExports(w io.Writer, env map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if _, err := fmt.Fprintf(w, "export %s=%s\n", k, quote(env[k])); err != nil {
			return err
		}
	}
	return nil
}

// quote makes one POSIX shell word of s: in single quotes, which take
// everything literally but the single quote.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (a *app) fault(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	target, mode := a.opts.Args[0], a.opts.Args[1]
	if mode == "clear" {
		if err := client.ClearFault(ctx, target); err != nil {
			return misused(err)
		}
		a.board.Println(target + " behaves again")
		return nil
	}
	if err := client.SetFault(ctx, daemonapi.Fault{Target: target, Mode: mode, Count: a.opts.Count}); err != nil {
		return misused(err)
	}
	a.board.Println(target + " is set to " + mode)
	return nil
}
