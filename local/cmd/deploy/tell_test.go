package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"ingestion.internal/local/internal/deployment"
)

const urn = "urn:pulumi:local::ingestion::gcp:cloudrunv2/service:Service::ai-analyzer"

func step(op apitype.OpType, diffs ...string) apitype.StepEventMetadata {
	return apitype.StepEventMetadata{Op: op, URN: urn, Type: "gcp:cloudrunv2/service:Service", Diffs: diffs}
}

func TestTeller(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var out bytes.Buffer
	tell := newTeller(&out, func() time.Time { return now })
	send := func(e apitype.EngineEvent) { tell.event(events.EngineEvent{EngineEvent: e}) }

	send(apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: step("update")}})
	now = now.Add(1500 * time.Millisecond)
	send(apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: step("update", "template")}})
	send(apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: step("same")}})
	for _, op := range []apitype.OpType{"create-replacement", "replace", "delete-replaced"} {
		send(apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: step(op, "name")}})
	}
	send(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: urn, Severity: "info", Message: "<{%fg 1%}>pushing<{%reset%}>\n"}})
	send(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Severity: "info", Message: "passing", Ephemeral: true}})
	for range 2 {
		send(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: urn, Severity: "error", Message: "image not found\nask the registry"}})
	}
	send(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Severity: "error", Message: "update failed"}})
	send(apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{ResourceChanges: map[apitype.OpType]int{"same": 4, "update": 1}}})

	want := []string{
		"~ updated cloudrunv2.Service ai-analyzer (template) 1.5s",
		"+ created anew cloudrunv2.Service ai-analyzer (name) 1.5s",
		"- deleted the old cloudrunv2.Service ai-analyzer (name) 1.5s",
		"info: ai-analyzer: pushing",
	}
	var got []string
	for l := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(l), " "))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	result := deployment.Result{
		Changes: map[string]int{"same": 4, "update": 1},
		Changed: []deployment.Change{
			{Op: "update", Type: "gcp:cloudrunv2/service:Service", Name: "ai-analyzer", Keys: []string{"template"}},
			{Op: "replace", Type: "gcp:cloudrunv2/service:Service", Name: "ai-analyzer", Keys: []string{"name"}},
		},
	}
	if d := cmp.Diff(result, tell.result()); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"ai-analyzer: image not found\nask the registry"}, tell.errors); d != "" {
		t.Errorf("errors (-want +got):\n%s", d)
	}
	if text := tell.failure().Error(); !strings.Contains(text, "1 thing failed") || !strings.Contains(text, "ask the registry") {
		t.Errorf("failure %q", text)
	}
}

func TestFailLeavesOutTheEnginesFrame(t *testing.T) {
	t.Parallel()
	tell := &teller{}
	tell.fail("an unhandled error occurred: 1 error occurred:\n\t* config of stack local, mistakes: 2\nthis\nand that\n\n")
	tell.fail("an unhandled error occurred: 2 errors occurred:\n\t* a\n\t* b\n\n")
	if d := cmp.Diff([]string{
		"config of stack local, mistakes: 2\nthis\nand that",
		"an unhandled error occurred: 2 errors occurred:\n\t* a\n\t* b",
	}, tell.errors); d != "" {
		t.Errorf("errors (-want +got):\n%s", d)
	}
}

func TestSaid(t *testing.T) {
	t.Parallel()
	plain := errors.New("no such file")
	if got := said(plain); got != plain { //nolint:errorlint // the very same error
		t.Errorf("%v", got)
	}
	got := said(errors.New("failed to run update: exit status 255\ncode: 255\nstdout: \nstderr: error: validating stack config: 'x' is missing\n\n"))
	if got == nil || got.Error() != "the engine refused: validating stack config: 'x' is missing" {
		t.Errorf("%v", got)
	}
}
