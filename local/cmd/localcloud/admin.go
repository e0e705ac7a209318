package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/cloudrun"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/provider"
	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/callrail"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/shared/topology"
)

var _ daemonapi.Daemon = (*localCloud)(nil)

// Status implements daemonapi.Daemon.
func (c *localCloud) Status(ctx context.Context) (daemonapi.Status, error) {
	counts := c.provider.Counts()
	s := daemonapi.Status{
		BuildID: c.opts.BuildID, PID: os.Getpid(), StartedAt: c.started,
		Gateway:   c.gatewayURL(),
		Database:  c.database(ctx),
		Emulator:  daemonapi.Emulator{State: "running", Address: c.spanner.Addr()},
		Services:  []daemonapi.Service{},
		Queues:    []daemonapi.Queue{},
		Resources: daemonapi.Resources{Live: counts[provider.Live], Recorded: counts[provider.Recorded]},
		Addresses: c.addresses,
		Faults:    []daemonapi.Fault{},
	}
	for _, v := range c.run.Status() {
		s.Services = append(s.Services, daemonapi.Service{
			Name: v.Name, Kind: v.Kind, Revision: v.Revision, Image: v.Image, URL: v.URL,
			State: v.State, Restarts: v.Restarts, Error: v.Error,
		})
	}
	for _, q := range c.tasks.Status() {
		s.Queues = append(s.Queues, daemonapi.Queue{Name: q.Name, Depth: q.Waiting + q.Running + q.Retrying, State: q.State})
	}
	for _, target := range slices.Sorted(maps.Keys(c.faults)) {
		if f, ok := c.faults[target].Current(); ok {
			s.Faults = append(s.Faults, daemonapi.Fault{Target: target, Mode: string(f.Mode), Count: f.Count})
		}
	}
	return s, nil
}

// gatewayURL is the base URL of the deployed gateway, "" before there is one.
func (c *localCloud) gatewayURL() string {
	for _, g := range c.gateway.Gateways() {
		return "http://" + g.DefaultHostname
	}
	return ""
}

// serviceURL is the address of a deployed service, "" before there is one.
func (c *localCloud) serviceURL(name string) string {
	for _, s := range c.run.Status() {
		if s.Name == name {
			return s.URL
		}
	}
	return ""
}

// database names the deployed database as the handlers' environment does, ""
// before there is one.
func (c *localCloud) database(ctx context.Context) string {
	for _, svc := range c.run.ListServices(ctx) {
		env := map[string]string{}
		for _, e := range svc.Template.Containers[0].Env {
			env[e.Name] = e.Value
		}
		if env["SPANNER_INSTANCE"] != "" {
			return fmt.Sprintf("projects/%s/instances/%s/databases/%s", c.project, env["SPANNER_INSTANCE"], env["SPANNER_DATABASE"])
		}
	}
	return ""
}

// Env implements daemonapi.Daemon.
func (c *localCloud) Env(ctx context.Context) (map[string]string, error) {
	endpoints, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		daemonapi.EnvSpannerEmulator: c.spanner.Addr(),
		daemonapi.EnvEndpoints:       string(endpoints),
		daemonapi.EnvSiteURL:         c.addresses["website"],
	}
	for name, url := range map[string]string{daemonapi.EnvGatewayURL: c.gatewayURL(), daemonapi.EnvChatURL: c.serviceURL(topology.ChatAPI)} {
		if url != "" {
			env[name] = url
		}
	}
	if p := strings.Split(c.database(ctx), "/"); len(p) == 6 {
		env[daemonapi.EnvSpannerProject], env[daemonapi.EnvSpannerInstance], env[daemonapi.EnvSpannerDatabase] = p[1], p[3], p[5]
	}
	return env, nil
}

// Secret implements daemonapi.Daemon.
func (c *localCloud) Secret(_ context.Context, id string) ([]byte, error) {
	value, _, err := c.secrets.Access(id, "latest")
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w (%w)", id, daemonapi.ErrNotFound, err)
	}
	return value, nil
}

// PutCall implements daemonapi.Daemon.
func (c *localCloud) PutCall(_ context.Context, call daemonapi.Call) (daemonapi.Recording, error) {
	turns := make([]audio.Turn, len(call.Script))
	for i, t := range call.Script {
		turns[i] = audio.Turn{Speaker: t.Speaker, Text: t.Text}
	}
	err := c.callrail.Register(callrail.Call{
		ID: call.ID, AccountID: call.AccountID, CompanyID: call.CompanyID, CompanyName: call.CompanyName,
		CustomerName: call.CustomerName, CustomerPhone: call.CustomerPhone,
		CustomerCity: call.CustomerCity, CustomerState: call.CustomerState,
		TrackingPhone: call.TrackingPhone, StartTime: call.StartTime, DurationSeconds: call.DurationSeconds,
		Voicemail: call.Voicemail, Turns: turns, Recording: callrail.RecordingMode(call.Recording), RedirectTo: call.RedirectTo,
	})
	if err != nil {
		return daemonapi.Recording{}, err
	}
	return daemonapi.Recording{URL: c.callrail.RecordingURL(c.addresses["callrail"], call.ID)}, nil
}

// SetFault implements daemonapi.Daemon.
func (c *localCloud) SetFault(_ context.Context, f daemonapi.Fault) error {
	in, err := c.injector(f.Target)
	if err != nil {
		return err
	}
	return in.Set(fault.Fault{Mode: fault.Mode(f.Mode), Count: f.Count})
}

// ClearFault implements daemonapi.Daemon.
func (c *localCloud) ClearFault(_ context.Context, target string) error {
	in, err := c.injector(target)
	if err != nil {
		return err
	}
	in.Clear()
	return nil
}

func (c *localCloud) injector(target string) (*fault.Injector, error) {
	if in := c.faults[target]; in != nil {
		return in, nil
	}
	return nil, fmt.Errorf("stand-in %q: %w (there are %s)", target, daemonapi.ErrNotFound,
		strings.Join(slices.Sorted(maps.Keys(c.faults)), ", "))
}

// HoldQueues implements daemonapi.Daemon.
func (c *localCloud) HoldQueues(ctx context.Context) (func(), error) { return c.tasks.Hold(ctx) }

// Shutdown implements daemonapi.Daemon.
func (c *localCloud) Shutdown() { c.shutdown() }

// Logs implements daemonapi.Daemon.
func (c *localCloud) Logs(ctx context.Context, q daemonapi.LogQuery, w io.Writer) error {
	if q.Service != "" && !slices.ContainsFunc(c.run.Status(), func(s cloudrun.Status) bool { return s.Name == q.Service }) {
		var known []string
		for _, s := range c.run.Status() {
			known = append(known, s.Name)
		}
		return fmt.Errorf("service %q: %w (there are %s)", q.Service, daemonapi.ErrNotFound, strings.Join(known, ", "))
	}
	// Subscribed before the old lines are read, so that none is lost between.
	lines, stop := c.run.Subscribe()
	defer stop()
	own, stopOwn := c.diary.subscribe()
	defer stopOwn()
	var old []cloudrun.Line
	for _, s := range c.run.Status() {
		if q.Service == "" || q.Service == s.Name {
			old = append(old, c.run.Tail(s.Name, tailLength(q.Tail))...)
		}
	}
	if q.Service == "" {
		old = append(old, c.diary.tail(tailLength(q.Tail))...)
	}
	slices.SortStableFunc(old, func(a, b cloudrun.Line) int { return a.Time.Compare(b.Time) })
	var last cloudrun.Line
	for _, l := range old {
		if _, err := io.WriteString(w, render(l)+"\n"); err != nil {
			return err
		}
		last = l
	}
	for q.Follow {
		var l cloudrun.Line
		var ok bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case l, ok = <-lines:
		case l, ok = <-own:
		}
		if !ok {
			return nil // the cloud is stopping
		}
		if q.Service != "" && l.Resource != q.Service || !l.Time.After(last.Time) {
			continue
		}
		if _, err := io.WriteString(w, render(l)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// tailLength turns "negative = all" into a number that is.
func tailLength(n int) int {
	if n < 0 {
		return 1 << 20
	}
	return n
}
