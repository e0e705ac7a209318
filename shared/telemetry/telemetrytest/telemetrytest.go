// Package telemetrytest captures what a service logs in a test, and keeps it as
// a golden file: testdata/log.jsonl beside the test. The tests of infra/stack
// read these files and hold each line against the filter of each log-based
// metric and sink, so neither side of package telemetry's contract can move
// alone.
package telemetrytest

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/telemetry"
)

var update = flag.Bool("update-log", false, "write testdata/log.jsonl anew")

// Log is a writer of log lines.
type Log struct {
	t   testing.TB
	mu  sync.Mutex
	buf bytes.Buffer
}

// Capture makes the default logger write in the service's form, as
// service.Main does, to the log that it returns, until the test ends. The test
// must not be parallel.
func Capture(t testing.TB, service string) *Log {
	t.Helper()
	l := &Log{t: t}
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(logging.New(l, logging.Options{Service: service, Version: service + "-00001", Project: "p", Level: slog.LevelInfo}))
	return l
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

var _ io.Writer = (*Log)(nil)

// Golden compares the lines that are events with testdata/log.jsonl, each kind
// of line once, sorted. What differs from run to run is replaced by samples.
func (l *Log) Golden() {
	l.t.Helper()
	l.mu.Lock()
	text := l.buf.String()
	l.mu.Unlock()
	lines := map[string]bool{}
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			l.t.Fatalf("%v: %s", err, line)
		}
		if _, ok := fields[telemetry.Event]; !ok {
			continue
		}
		steady, err := json.Marshal(still("", fields))
		if err != nil {
			l.t.Fatal(err)
		}
		lines[string(steady)] = true
	}
	var sorted []string
	for line := range lines {
		sorted = append(sorted, line)
	}
	slices.Sort(sorted)
	got := strings.Join(sorted, "\n") + "\n"

	file := filepath.Join("testdata", "log.jsonl")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		l.t.Errorf("%s differs (-want +got); if that is meant, run with -update-log, and then infra/stack's tests:\n%s", file, diff)
	}
}

// samples stand for the values of fields that differ from run to run.
var samples = map[string]any{
	"time":                          "2026-01-02T03:04:05.678901234Z",
	"latency":                       "0.125000s",
	telemetry.Seconds:               0.125,
	"first_word_seconds":            0.125,
	"first_sentence_seconds":        0.125,
	"logging.googleapis.com/trace":  "projects/p/traces/105445aa7843bc8bf206b12000100000",
	"logging.googleapis.com/spanId": "00000000000000ff",
	"stack_trace":                   "goroutine 1 [running]:",
	"error":                         "sample", // its text is for people, and no filter reads it
	"cause":                         "sample",
	"responseSize":                  "100",
	"until":                         "2026-01-09T03:04:05Z",
}

var (
	ids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	ports = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// still replaces what differs from run to run.
func still(key string, value any) any {
	if sample, ok := samples[key]; ok {
		return sample
	}
	switch v := value.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = still(k, item)
		}
	case []any:
		for i, item := range v {
			v[i] = still("", item)
		}
	case string:
		v = ids.ReplaceAllString(v, "00000000-0000-0000-0000-000000000000")
		return ports.ReplaceAllString(v, "127.0.0.1:0")
	}
	return value
}
