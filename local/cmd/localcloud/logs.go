package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ingestion.internal/local/cloud/cloudrun"
)

// diary keeps the daemon's own log lines, writes them on, and lets readers
// follow them. It is an io.Writer of whole lines.
type diary struct {
	next io.Writer

	mu      sync.Mutex
	lines   []cloudrun.Line
	readers map[chan cloudrun.Line]bool
}

// diarySize is how many lines are kept.
const diarySize = 1000

func newDiary(next io.Writer) *diary {
	return &diary{next: next, readers: map[chan cloudrun.Line]bool{}}
}

// Write implements io.Writer for a logger, which writes one line at a time.
func (d *diary) Write(p []byte) (int, error) {
	l := cloudrun.Line{Time: time.Now(), Resource: "localcloud", Stream: "system", Text: string(bytes.TrimRight(p, "\n"))}
	d.mu.Lock()
	d.lines = append(d.lines, l)
	if len(d.lines) > diarySize {
		d.lines = d.lines[len(d.lines)-diarySize:]
	}
	for r := range d.readers {
		select {
		case r <- l:
		default: // a reader that does not keep up misses lines
		}
	}
	d.mu.Unlock()
	return d.next.Write(p)
}

func (d *diary) tail(n int) []cloudrun.Line {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines[max(0, len(d.lines)-n):])
}

func (d *diary) subscribe() (<-chan cloudrun.Line, func()) {
	r := make(chan cloudrun.Line, 64)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers[r] = true
	return r, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.readers, r)
	}
}

// hidden are the fields of a structured line that a reader of one machine's
// logs does not need, or that stand elsewhere in the line.
var hidden = []string{"severity", "message", "time", "timestamp", "serviceContext", "logging.googleapis.com/sourceLocation", "logging.googleapis.com/spanId", "logging.googleapis.com/trace_sampled"}

// render formats a line for people: a structured one, in Cloud Logging's form,
// as time, severity, service, message and its fields; any other as it is.
func render(l cloudrun.Line) string {
	head := l.Time.Local().Format("15:04:05.000")
	var fields map[string]any
	if json.Unmarshal([]byte(l.Text), &fields) != nil || fields["message"] == nil {
		return fmt.Sprintf("%s %-8s %-17s %s", head, l.Stream, l.Resource, l.Text)
	}
	severity, _ := fields["severity"].(string)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s %-17s %v", head, severity, l.Resource, fields["message"])
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(hidden, k) {
			continue
		}
		v := fields[k]
		if k == "logging.googleapis.com/labels" {
			labels, _ := v.(map[string]any)
			if tenant, ok := labels["tenant"].(string); ok {
				fmt.Fprintf(&b, " tenant=%s", tenant)
			}
			continue
		}
		if k == "logging.googleapis.com/trace" {
			k = "trace"
		}
		text, ok := v.(string)
		if !ok {
			raw, err := json.Marshal(v)
			if err != nil {
				continue
			}
			text = string(raw)
		}
		if strings.ContainsAny(text, " \t\n") && ok {
			text = fmt.Sprintf("%q", text)
		}
		fmt.Fprintf(&b, " %s=%s", k, text)
	}
	return b.String()
}
