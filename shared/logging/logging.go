// Package logging writes logs in the JSON form that Cloud Logging takes apart:
// severity, trace, labels and service context in their own fields.
// https://cloud.google.com/logging/docs/structured-logging
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Options describe the writer of the logs.
type Options struct {
	Service string // a name of package topology
	Version string // the Cloud Run revision; may be empty
	Project string // completes trace names; may be empty
	Level   slog.Leveler
}

// New returns a logger that adds to each line what the line's context carries,
// see With, WithTrace and WithTenant.
func New(w io.Writer, opts Options) *slog.Logger {
	base := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: opts.Level, ReplaceAttr: cloudForm})
	serviceContext := []any{slog.String("service", opts.Service)}
	if opts.Version != "" {
		serviceContext = append(serviceContext, slog.String("version", opts.Version))
	}
	return slog.New(&handler{
		Handler: base.WithAttrs([]slog.Attr{slog.Group("serviceContext", serviceContext...)}),
		service: opts.Service,
		project: opts.Project,
	})
}

// maxField is how much of one field is written, in bytes. Paths, agents and what
// is wrong with a request are strangers' words, and a line above 256 KiB is
// refused (https://docs.cloud.google.com/logging/quotas, 2026-11-26).
const maxField = 16 << 10

// cloudForm renames slog's own fields to Cloud Logging's, writes durations in
// seconds, and cuts what is too long.
func cloudForm(groups []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		// As in httpRequest.latency; slog would write nanoseconds.
		return slog.String(a.Key, fmt.Sprintf("%.6fs", a.Value.Duration().Seconds()))
	case slog.KindString:
		a.Value = slog.StringValue(cut(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(cut(err.Error()))
		}
	}
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String("severity", severity(level))
	case slog.MessageKey:
		a.Key = "message"
	case slog.TimeKey:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
	}
	return a
}

func cut(s string) string {
	if len(s) <= maxField {
		return s
	}
	return strings.ToValidUTF8(s[:maxField], "") + "..."
}

func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// handler adds the context's fields. They must stay at the top of the line,
// so loggers of this package are not to be given groups.
type handler struct {
	slog.Handler
	service, project string
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	f := fieldsOf(ctx)
	labels := []any{slog.String("service", h.service)}
	tenant := f.tenant
	if tenant == "" && f.request != nil {
		tenant = f.request.tenant()
	}
	if tenant != "" {
		labels = append(labels, slog.String("tenant", tenant))
	}
	r = r.Clone()
	r.AddAttrs(slog.Group("logging.googleapis.com/labels", labels...))
	if f.trace != "" {
		trace := f.trace
		if h.project != "" {
			trace = "projects/" + h.project + "/traces/" + trace
		}
		r.AddAttrs(slog.String("logging.googleapis.com/trace", trace))
	}
	if f.span != "" {
		r.AddAttrs(slog.String("logging.googleapis.com/spanId", f.span))
	}
	r.AddAttrs(f.attrs...)
	return h.Handler.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{Handler: h.Handler.WithAttrs(attrs), service: h.service, project: h.project}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name), service: h.service, project: h.project}
}

type fields struct {
	trace, span, tenant string
	attrs               []slog.Attr
	request             *request // nil outside of a request
}

// request remembers whose a request turned out to be, for the lines that are
// written after its handler has returned.
type request struct {
	mu    sync.Mutex
	named string
	mixed bool // it named several tenants, so it is nobody's
}

func (r *request) name(tenantID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mixed = r.mixed || r.named != "" && r.named != tenantID
	r.named = tenantID
}

func (r *request) tenant() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mixed {
		return ""
	}
	return r.named
}

type contextKey struct{}

func fieldsOf(ctx context.Context) fields {
	f, _ := ctx.Value(contextKey{}).(fields)
	return f
}

// WithTrace returns a context whose lines belong to the trace (32 hex digits)
// and span (16 hex digits, or empty). It begins a request: once one tenant, and
// one only, was named by WithTenant below it, the request's own lines carry
// that tenant's label too.
func WithTrace(ctx context.Context, trace, span string) context.Context {
	f := fieldsOf(ctx)
	f.trace, f.span = trace, span
	f.request = &request{}
	return context.WithValue(ctx, contextKey{}, f)
}

// Traceparent returns the context's trace as the header of that name (W3C
// Trace Context), for work that is handed on; "" if there is none.
func Traceparent(ctx context.Context) string {
	f := fieldsOf(ctx)
	if f.trace == "" {
		return ""
	}
	span := f.span
	if span == "" {
		span = f.trace[len(f.trace)-16:] // any: this process writes no spans
	}
	return "00-" + f.trace + "-" + span + "-01"
}

// WithTenant returns a context whose lines carry the tenant's label.
func WithTenant(ctx context.Context, tenantID string) context.Context {
	f := fieldsOf(ctx)
	f.tenant = tenantID
	if f.request != nil {
		f.request.name(tenantID)
	}
	return context.WithValue(ctx, contextKey{}, f)
}

// Apart returns a context that no longer names the tenant of its request: for
// the work of a request that is done for several tenants, whose own lines are
// nobody's.
func Apart(ctx context.Context) context.Context {
	f := fieldsOf(ctx)
	f.request = nil
	return context.WithValue(ctx, contextKey{}, f)
}

// With returns a context whose lines carry the attributes too.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	f := fieldsOf(ctx)
	f.attrs = append(f.attrs[:len(f.attrs):len(f.attrs)], attrs...)
	return context.WithValue(ctx, contextKey{}, f)
}
