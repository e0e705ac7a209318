package provider

import (
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

// TestPreviewNeedsNoServices: every kind checks, diffs and plans without
// anything to make it with.
func TestPreviewNeedsNoServices(t *testing.T) {
	t.Parallel()
	s := New(testEnv, Kinds(testEnv, Core{}, Runtime{}))
	for typ := range s.Types() {
		urn := "urn:pulumi:prod::ingestion::" + typ + "::some-name"
		in, err := structpb.NewStruct(map[string]any{"name": "some-name", "location": "us-central1", "labels": map[string]any{"a": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		checked, err := s.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn, News: in})
		if err != nil {
			t.Errorf("%s: check: %v", typ, err)
			continue
		}
		if _, err := s.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: checked.GetInputs(), Preview: true}); err != nil {
			t.Errorf("%s: preview of create: %v", typ, err)
		}
		if _, err := s.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: urn, OldInputs: in, News: checked.GetInputs()}); err != nil {
			t.Errorf("%s: diff: %v", typ, err)
		}
	}
}
