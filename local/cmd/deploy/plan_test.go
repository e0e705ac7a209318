package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"ingestion.internal/local/internal/plan"
)

func TestCopyConfig(t *testing.T) {
	t.Parallel()
	repo, folder := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"Pulumi.yaml": `name: ingestion
runtime: go
main: infra
config:
  logLevel: {type: string, default: info}
  hook: {type: string, secret: true}
  other: {type: string, secret: true, default: x}
`,
		"Pulumi.prod.yaml": `# by hand
secretsprovider: gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k
encryptedkey: abc
config:
  gcp:project: p
  ingestion:limits: {n: 007, list: [a, "1"]}
  ingestion:whole: {secure: v1:a:b}
  ingestion:tenants:
    acme-1:
      name: Acme
      secrets:
        callrailApiKey: {secure: v1:c:d}
`,
		"Pulumi.empty.yaml": "",
	} {
		if err := os.WriteFile(filepath.Join(repo, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := copyConfig(repo, folder, "prod")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ingestion:hook", "ingestion:tenants.acme-1.secrets.callrailApiKey", "ingestion:whole"}, secrets); d != "" {
		t.Errorf("secrets (-want +got):\n%s", d)
	}
	got, err := os.ReadFile(filepath.Join(folder, "Pulumi.prod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(`config:
    gcp:project: p
    ingestion:limits:
        list:
            - a
            - "1"
        "n": 7
    ingestion:tenants:
        acme-1:
            name: Acme
            secrets: {}
`, string(got)); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
	if st, err := os.Stat(filepath.Join(folder, "infra")); err != nil || !st.IsDir() {
		t.Errorf("the program's folder: %v, %v", st, err)
	}

	if secrets, err = copyConfig(repo, folder, "empty"); err != nil || len(secrets) != 1 {
		t.Errorf("an empty file: %v, %v", secrets, err)
	}
	if _, err := copyConfig(repo, folder, "staging"); err == nil || !strings.Contains(err.Error(), "Pulumi.staging.yaml") {
		t.Errorf("a stack without a file: %v", err)
	}
}

func TestResourceOf(t *testing.T) {
	t.Parallel()
	const prefix = "urn:pulumi:prod::ingestion::"
	meta := func(typ, name, parent string) apitype.StepEventMetadata {
		return apitype.StepEventMetadata{URN: prefix + typ + "::" + name, Type: typ[strings.LastIndexByte(typ, '$')+1:],
			New: &apitype.StepEventStateMetadata{Parent: parent, Protect: true, Inputs: map[string]any{
				"id": "known", "uri": "04da6b54-80e4-46f7-96ec-b56ff0331ba9", "n": 1.0,
				"list": []any{"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2", map[string]any{"a": "b"}},
			}}}
	}
	root := prefix + "pulumi:pulumi:Stack::ingestion-prod"
	inputs := map[string]any{"id": "known", "n": 1.0, "list": []any{map[string]any{"a": "b"}}}
	for _, tc := range []struct {
		name string
		in   apitype.StepEventMetadata
		want plan.Resource
		none bool
	}{
		{"child of the stack", meta("gcp:a/b:B", "x", root), plan.Resource{Type: "gcp:a/b:B", Name: "x", Protect: true, Inputs: inputs}, false},
		{"child of a component", meta("i:t:T$gcp:a/b:B", "x", prefix+"i:o:O$i:t:T::acme"),
			plan.Resource{Type: "gcp:a/b:B", Name: "x", Parent: "i:t:T acme", Protect: true, Inputs: inputs}, false},
		{"the stack", meta("pulumi:pulumi:Stack", "ingestion-prod", ""), plan.Resource{}, true},
		{"a provider", meta("pulumi:providers:gcp", "default", root), plan.Resource{}, true},
		{"a deletion", apitype.StepEventMetadata{Type: "gcp:a/b:B"}, plan.Resource{}, true},
	} {
		got, ok := resourceOf(tc.in)
		if ok == tc.none {
			t.Errorf("%s: a resource: %t", tc.name, ok)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}
