package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLine(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, Options{Service: "svc", Version: "svc-1", Project: "p", Level: slog.LevelInfo})
	ctx := With(WithTenant(WithTrace(t.Context(), "105445aa7843bc8bf206b12000100000", ""), "acme"), slog.String("stage", "s"))
	log.DebugContext(ctx, "not shown")
	log.WarnContext(ctx, "attempt failed", "took", 1500*time.Millisecond, slog.Group("in", "wait", time.Second))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	at, _ := got["time"].(string)
	if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
		t.Errorf("time: %v", err)
	}
	delete(got, "time")
	want := map[string]any{
		"severity": "WARNING", "message": "attempt failed", "stage": "s",
		"took": "1.500000s", "in": map[string]any{"wait": "1.000000s"},
		"serviceContext":                map[string]any{"service": "svc", "version": "svc-1"},
		"logging.googleapis.com/labels": map[string]any{"service": "svc", "tenant": "acme"},
		"logging.googleapis.com/trace":  "projects/p/traces/105445aa7843bc8bf206b12000100000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got)\n%s", diff)
	}
}

// What strangers send may stand in a line, and each field of it is bounded: they
// do not fill the log, and no line is lost for its length.
func TestLongFields(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("é", 1<<20)
	New(&out, Options{Service: "svc"}).Info(long, "error", errors.New(long), "text", long, slog.Group("in", "text", long))
	if !json.Valid(out.Bytes()) || out.Len() > 5*maxField {
		t.Errorf("a line of %d bytes", out.Len())
	}
	if n := strings.Count(out.String(), "..."); n != 4 || strings.ContainsRune(out.String(), '\uFFFD') {
		t.Errorf("%d fields are cut, want 4, between characters", n)
	}
}

// The lines of a request that its handler does not write know its tenant, if
// it had just one.
func TestRequestLineCarriesItsTenant(t *testing.T) {
	for name, tc := range map[string]struct {
		named []string
		want  any // of the label; nil = none
	}{
		"none":       {nil, nil},
		"one":        {[]string{"acme"}, "acme"},
		"one, twice": {[]string{"acme", "acme"}, "acme"},
		"several":    {[]string{"acme", "zenith", "acme"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := New(&out, Options{Service: "svc"})
			ctx := WithTrace(t.Context(), "105445aa7843bc8bf206b12000100000", "")
			for _, id := range tc.named {
				WithTenant(ctx, id)
			}
			log.InfoContext(ctx, "POST /x")
			var got struct {
				Labels map[string]any `json:"logging.googleapis.com/labels"`
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, &out)
			}
			if got.Labels["service"] != "svc" || got.Labels["tenant"] != tc.want {
				t.Errorf("labels %v, want tenant %v", got.Labels, tc.want)
			}
		})
	}
}
