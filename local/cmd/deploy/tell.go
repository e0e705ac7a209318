package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"

	"ingestion.internal/local/internal/deployment"
	"ingestion.internal/local/internal/plan"
	"ingestion.internal/local/internal/progress"
)

// teller turns the engine's events into lines and a result.
type teller struct {
	out     io.Writer
	now     func() time.Time
	started map[string]time.Time // by URN
	changes map[string]int
	changed []deployment.Change
	errors  []string // what failed and why, each told once
}

func newTeller(out io.Writer, now func() time.Time) *teller {
	return &teller{out: out, now: now, started: map[string]time.Time{}}
}

// verbs are the operations as people read them, done and planned.
var verbs = map[string][2]string{
	"create": {"+ created", "+ create"}, "update": {"~ updated", "~ update"}, "delete": {"- deleted", "- delete"},
	"replace": {"± replaced", "± replace"}, "create-replacement": {"+ created anew", "+ create anew"},
	"delete-replaced": {"- deleted the old", "- delete the old"}, "import": {"= imported", "= import"}, "read": {"> read", "> read"},
}

// event tells one event.
func (t *teller) event(e events.EngineEvent) {
	switch {
	case e.ResourcePreEvent != nil:
		t.started[e.ResourcePreEvent.Metadata.URN] = t.now()
	case e.ResOutputsEvent != nil:
		t.outputs(e.ResOutputsEvent.Metadata, e.ResOutputsEvent.Planning)
	case e.ResOpFailedEvent != nil:
		m := e.ResOpFailedEvent.Metadata
		t.say("✗ failed", m, "")
	case e.DiagnosticEvent != nil:
		t.diagnostic(e.DiagnosticEvent)
	case e.SummaryEvent != nil:
		t.changes = map[string]int{}
		for op, n := range e.SummaryEvent.ResourceChanges {
			t.changes[string(op)] = n
		}
	case e.ErrorEvent != nil:
		t.fail(e.ErrorEvent.Error)
	}
}

func (t *teller) outputs(m apitype.StepEventMetadata, planning bool) {
	op := string(m.Op)
	verb, ok := verbs[op]
	if !ok {
		return // same, refresh and what the engine does for itself
	}
	// A replacement is told by its parts and counted once, as the summary does.
	if op != "create-replacement" && op != "delete-replaced" {
		keys := slices.Clone(m.Diffs)
		slices.Sort(keys)
		t.changed = append(t.changed, deployment.Change{Op: op, Type: m.Type, Name: name(m.URN), Keys: keys})
		if op == "replace" && !planning {
			return
		}
	}
	detail := ""
	if len(m.Diffs) > 0 {
		detail = "(" + strings.Join(m.Diffs, ", ") + ")"
	}
	v := verb[0]
	if planning {
		v = verb[1]
	}
	t.say(v, m, detail)
}

func (t *teller) say(verb string, m apitype.StepEventMetadata, detail string) {
	took := ""
	if s, ok := t.started[m.URN]; ok && t.now().Sub(s) >= 500*time.Millisecond {
		took = progress.Seconds(t.now().Sub(s))
	}
	line := fmt.Sprintf("  %-12s %-34s %s", verb, plan.ShortType(m.Type), name(m.URN))
	for _, s := range []string{detail, took} {
		if s != "" {
			line += "  " + s
		}
	}
	fmt.Fprintln(t.out, line)
}

func (t *teller) diagnostic(d *apitype.DiagnosticEvent) {
	text := strings.TrimSpace(colors.Never.Colorize(d.Message))
	if d.Ephemeral || text == "" || strings.HasPrefix(d.Severity, "debug") {
		return
	}
	if d.URN != "" {
		if n := name(d.URN); n != "" {
			text = n + ": " + text
		}
	}
	if d.Severity == "error" {
		t.fail(text)
		return
	}
	fmt.Fprintf(t.out, "  %s\n", strings.ReplaceAll(d.Severity+": "+text, "\n", "\n    "))
}

// enginesFrame is what the engine and Pulumi's Go SDK put around the one error
// that the program returned.
var enginesFrame = regexp.MustCompile(`^(an unhandled error occurred: )?(program failed: )?1 error occurred:\s*\* `)

// fail keeps an error for the end, where it is read. The engine sums up at
// the end what it has said before; that says nothing new.
func (t *teller) fail(text string) {
	text = strings.TrimSpace(enginesFrame.ReplaceAllString(strings.TrimSpace(text), ""))
	if text == "" || text == "update failed" || strings.HasSuffix(text, ": update failed") || slices.Contains(t.errors, text) {
		return
	}
	t.errors = append(t.errors, text)
}

// failure is every error of the operation.
func (t *teller) failure() error {
	var b strings.Builder
	things := "things"
	if len(t.errors) == 1 {
		things = "thing"
	}
	fmt.Fprintf(&b, "\n%d %s failed:\n", len(t.errors), things)
	for _, e := range t.errors {
		fmt.Fprintf(&b, "\n  - %s\n", strings.ReplaceAll(e, "\n", "\n    "))
	}
	return fmt.Errorf("%s", strings.TrimRight(b.String(), "\n"))
}

// finished waits for the end of the events, for a moment: an operation that
// failed before it began sends none and closes nothing.
func (t *teller) finished(done <-chan struct{}) bool {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (t *teller) result() deployment.Result {
	changed := t.changed
	if changed == nil {
		changed = []deployment.Change{}
	}
	changes := maps.Clone(t.changes)
	if changes == nil {
		changes = map[string]int{}
	}
	return deployment.Result{Changes: changes, Changed: changed}
}

// summary tells how much was done.
func (t *teller) summary(r deployment.Result) {
	var parts []string
	for _, op := range []string{"create", "update", "replace", "delete", "import", "same"} {
		if n := r.Changes[op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, op))
		}
	}
	if len(r.Changed) == 0 {
		parts = append(parts, "nothing changed")
	}
	fmt.Fprintf(t.out, "  %s in %s\n", strings.Join(parts, ", "), progress.Seconds(time.Duration(r.Seconds*float64(time.Second))))
}

// name is the last part of a URN, the resource's name in the program.
func name(urn string) string {
	return urn[strings.LastIndex(urn, "::")+len("::"):]
}
