package provider

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
	"ingestion.internal/local/cloud/secretmanager"
	"ingestion.internal/local/cloud/spanner"
	"ingestion.internal/local/cloud/storage"
)

var testEnv = Env{Project: "p-123", ProjectNumber: "123", Region: "us-central1"}

// harness is a provider on a real connection, before a whole core.
type harness struct {
	t       *testing.T
	rpc     pulumirpc.ResourceProviderClient
	server  *Server
	core    Core
	notices []string
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t}
	id, err := identity.New(identity.Config{Project: testEnv.Project, ProjectNumber: testEnv.ProjectNumber})
	if err != nil {
		t.Fatal(err)
	}
	h.core.IAM = iam.New(testEnv.Project, testEnv.ProjectNumber)
	h.core.Secrets = secretmanager.New(testEnv.Project, testEnv.ProjectNumber, h.core.IAM, id)
	h.core.Notice = func(text string) { h.notices = append(h.notices, text) }
	if h.core.Storage, err = storage.New(storage.Config{
		Project: testEnv.Project, ProjectNumber: testEnv.ProjectNumber, URL: "http://storage", IAM: h.core.IAM, Identity: id,
	}); err != nil {
		t.Fatal(err)
	}
	if h.core.Spanner, err = spanner.Start(t.Context(), testEnv.Project, spanner.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.core.Spanner.Stop)
	h.server = New(testEnv, CoreKinds(testEnv, h.core))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h.rpc = pulumirpc.NewResourceProviderClient(conn)
	if _, err := h.rpc.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: h.message(Object{"project": testEnv.Project})}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) message(o Object) *structpb.Struct {
	h.t.Helper()
	s, err := structpb.NewStruct(o)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func urn(typ string) string { return "urn:pulumi:local::ingestion::parent$" + typ + "::x" }

// check returns the checked inputs and the failures.
func (h *harness) check(typ string, in Object) (Object, []string) {
	h.t.Helper()
	resp, err := h.rpc.Check(h.t.Context(), &pulumirpc.CheckRequest{Urn: urn(typ), News: h.message(in)})
	if err != nil {
		h.t.Fatal(err)
	}
	var failures []string
	for _, f := range resp.Failures {
		failures = append(failures, f.Reason)
	}
	return resp.Inputs.AsMap(), failures
}

func (h *harness) diff(typ string, old, in Object) *pulumirpc.DiffResponse {
	h.t.Helper()
	resp, err := h.rpc.Diff(h.t.Context(), &pulumirpc.DiffRequest{Urn: urn(typ), OldInputs: h.message(old), News: h.message(in)})
	if err != nil {
		h.t.Fatal(err)
	}
	return resp
}

func (h *harness) create(typ string, in Object, preview bool) (string, Object, error) {
	h.t.Helper()
	resp, err := h.rpc.Create(h.t.Context(), &pulumirpc.CreateRequest{Urn: urn(typ), Properties: h.message(in), Preview: preview})
	return resp.GetId(), resp.GetProperties().AsMap(), err
}

// made checks and creates a resource that must be good.
func (h *harness) made(typ string, in Object) (id string, inputs, out Object) {
	h.t.Helper()
	inputs, failures := h.check(typ, in)
	if len(failures) > 0 {
		h.t.Fatalf("Check of %s: %q", typ, failures)
	}
	id, out, err := h.create(typ, inputs, false)
	if err != nil {
		h.t.Fatalf("Create of %s: %v", typ, err)
	}
	return id, inputs, out
}

func (h *harness) update(typ, id string, old, oldIn, in Object, preview bool) (Object, error) {
	h.t.Helper()
	resp, err := h.rpc.Update(h.t.Context(), &pulumirpc.UpdateRequest{
		Urn: urn(typ), Id: id, Olds: h.message(old), OldInputs: h.message(oldIn), News: h.message(in), Preview: preview,
	})
	return resp.GetProperties().AsMap(), err
}

func (h *harness) delete(typ, id string, old Object) error {
	h.t.Helper()
	_, err := h.rpc.Delete(h.t.Context(), &pulumirpc.DeleteRequest{Urn: urn(typ), Id: id, Properties: h.message(old)})
	return err
}

const (
	accountType  = "gcp:serviceaccount/account:Account"
	bucketType   = "gcp:storage/bucket:Bucket"
	objectType   = "gcp:storage/bucketObject:BucketObject"
	secretType   = "gcp:secretmanager/secret:Secret"
	versionType  = "gcp:secretmanager/secretVersion:SecretVersion"
	grantType    = "gcp:secretmanager/secretIamMember:SecretIamMember"
	instanceType = "gcp:spanner/instance:Instance"
	databaseType = "gcp:spanner/database:Database"
)

func TestUnknownTypeIsRefusedByName(t *testing.T) {
	h := newHarness(t)
	const typ = "gcp:pubsub/topic:Topic"
	_, failures := h.check(typ, Object{})
	if len(failures) != 1 || !strings.Contains(failures[0], typ) || !strings.Contains(failures[0], "local/provider") {
		t.Errorf("Check = %q, want the type and where to add it", failures)
	}
	if _, _, err := h.create(typ, Object{}, false); err == nil || !strings.Contains(err.Error(), typ) {
		t.Errorf("Create = %v", err)
	}
}

func TestCheckReportsEverything(t *testing.T) {
	h := newHarness(t)
	for _, test := range []struct {
		name, typ string
		in        Object
		want      []string // in each failure, in order
	}{
		{"good account", accountType, Object{"accountId": "webhook-processor"}, nil},
		{"account", accountType, Object{"accountId": "-a"}, []string{"lower-case letter", "6 to 30"}},
		{"nothing given", secretType, Object{}, []string{"replication: is required", "secretId: is required"}},
		{"unknown values are not missing", secretType, Object{"replication": unknownValue, "secretId": unknownValue}, nil},
		{"secret", secretType, Object{"secretId": "a.b", "replication": Object{}, "labels": Object{"A": "b"}}, []string{"labels.A", "secretId", "replication"}},
		{"bucket", bucketType, Object{
			"name": "B", "location": "us", "publicAccessPrevention": "never", "storageClass": "HOT",
			"retentionPolicy": Object{"retentionPeriod": 0.0},
		}, []string{"publicAccessPrevention", "bucket", "retentionPolicy.retentionPeriod", "storageClass", "publicAccessPrevention"}},
		{"grant", grantType, Object{
			"secretId": "s", "role": "roles/secretmanager.nobody", "member": "robot",
			"condition": Object{"title": "t", "expression": "resource.name.startsWith("},
		}, []string{"member", "role", "condition"}},
		{"grant to a member that is not known yet", grantType, Object{"secretId": "s", "role": "roles/secretmanager.secretAccessor", "member": unknownValue}, nil},
		{"instance", instanceType, Object{"name": "I", "config": "regional-us-central1", "displayName": "x", "processingUnits": 150.0, "numNodes": 1.0},
			[]string{"name", "displayName", "exactly one", "150"}},
		{"database", databaseType, Object{"instance": "i", "name": "D", "databaseDialect": "MYSQL", "versionRetentionPeriod": "week"},
			[]string{"name", "databaseDialect", "versionRetentionPeriod"}},
		{"object", objectType, Object{"bucket": "b", "name": "n"}, []string{"exactly one of content and source"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, failures := h.check(test.typ, test.in)
			if len(failures) != len(test.want) {
				t.Fatalf("failures = %q, want %d", failures, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(failures[i], want) {
					t.Errorf("failure %q does not say %q", failures[i], want)
				}
			}
		})
	}
}

func TestCheckNormalizes(t *testing.T) {
	h := newHarness(t)
	in, _ := h.check(bucketType, Object{"name": "audio-1", "location": "us-central1"})
	want := Object{
		"name": "audio-1", "location": "US-CENTRAL1", "project": "p-123", "storageClass": "STANDARD",
		"forceDestroy": false, "publicAccessPrevention": "inherited",
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("checked inputs (-want +got):\n%s", diff)
	}
	again, _ := h.check(bucketType, in)
	if diff := cmp.Diff(in, again); diff != "" {
		t.Errorf("checking twice (-once +twice):\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	h := newHarness(t)
	type kinds = map[string]string
	for _, test := range []struct {
		name     string
		typ      string
		old, new Object
		want     kinds
		replaces []string
		first    bool // the old is deleted first
	}{
		{name: "nothing", typ: bucketType, old: Object{"name": "b", "labels": Object{"a": "b"}}, new: Object{"name": "b", "labels": Object{"a": "b"}}, want: kinds{}},
		{name: "null is absent", typ: bucketType, old: Object{"name": "b"}, new: Object{"name": "b", "versioning": nil}, want: kinds{}},
		{
			name: "nested", typ: bucketType,
			old:  Object{"labels": Object{"a.b": "1", "c": "2"}, "lifecycleRules": []any{Object{"action": Object{"type": "Delete"}}}},
			new:  Object{"labels": Object{"a.b": "2", "d": "3"}, "lifecycleRules": []any{Object{"action": Object{"type": "Keep"}}, Object{}}},
			want: kinds{`labels["a.b"]`: "UPDATE", "labels.c": "DELETE", "labels.d": "ADD", "lifecycleRules[0].action.type": "UPDATE", "lifecycleRules[1]": "ADD"},
		},
		{name: "another id", typ: bucketType, old: Object{"name": "a"}, new: Object{"name": "b"}, want: kinds{"name": "UPDATE_REPLACE"}, replaces: []string{"name"}},
		{name: "the same id", typ: bucketType, old: Object{"name": "a", "location": "US"}, new: Object{"name": "a", "location": "EU"}, want: kinds{"location": "UPDATE_REPLACE"}, replaces: []string{"location"}, first: true},
		{name: "inside a replacing property", typ: secretType, old: Object{"secretId": "s", "replication": Object{"auto": Object{}}}, new: Object{"secretId": "s", "replication": Object{"userManaged": Object{"replicas": []any{Object{"location": "eu"}}}}},
			want: kinds{"replication.auto": "DELETE_REPLACE", "replication.userManaged": "ADD_REPLACE"}, replaces: []string{"replication"}, first: true},
		{name: "not known yet", typ: secretType, old: Object{"secretId": "s"}, new: Object{"secretId": unknownValue, "labels": unknownValue},
			want: kinds{"secretId": "UPDATE_REPLACE", "labels": "ADD"}, replaces: []string{"secretId"}},
		{name: "a secret's value", typ: versionType, old: Object{"secretData": "a"}, new: Object{"secretData": "b"}, want: kinds{"secretData": "UPDATE_REPLACE"}, replaces: []string{"secretData"}},
		{name: "a statement appended", typ: databaseType, old: Object{"ddls": []any{"a"}}, new: Object{"ddls": []any{"a", "b"}}, want: kinds{"ddls[1]": "ADD"}},
		{name: "a statement edited", typ: databaseType, old: Object{"ddls": []any{"a"}}, new: Object{"ddls": []any{"b"}}, want: kinds{"ddls[0]": "UPDATE_REPLACE"}, replaces: []string{"ddls"}, first: true},
		{name: "a statement removed", typ: databaseType, old: Object{"ddls": []any{"a", "b"}}, new: Object{"ddls": []any{"a"}}, want: kinds{"ddls[1]": "DELETE_REPLACE"}, replaces: []string{"ddls"}, first: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp := h.diff(test.typ, test.old, test.new)
			got := kinds{}
			for at, d := range resp.DetailedDiff {
				got[at] = d.Kind.String()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("detailed diff (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.replaces, resp.Replaces); diff != "" {
				t.Errorf("replaces (-want +got):\n%s", diff)
			}
			if some := resp.Changes == pulumirpc.DiffResponse_DIFF_SOME; some != (len(test.want) > 0) {
				t.Errorf("changes = %v", resp.Changes)
			}
			if resp.DeleteBeforeReplace != test.first {
				t.Errorf("delete before replace = %v, want %v", resp.DeleteBeforeReplace, test.first)
			}
		})
	}
}

func TestSecretsAndGrants(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()

	in, _ := h.check(accountType, Object{"accountId": "webhook"})
	if _, out, err := h.create(accountType, in, true); err != nil || out["email"] != "webhook@p-123.iam.gserviceaccount.com" {
		t.Errorf("preview of an account: email %v, %v", out["email"], err)
	}
	_, _, account := h.made(accountType, Object{"accountId": "webhook"})
	if _, _, err := h.create(accountType, in, false); err == nil {
		t.Error("creating an account twice succeeded")
	}

	in, _ = h.check(secretType, Object{"secretId": "key", "replication": Object{"auto": Object{}}})
	_, out, err := h.create(secretType, in, true)
	if err != nil || out["name"] != unknownValue || out["secretId"] != "key" {
		t.Errorf("preview of a secret = %v, %v", out, err)
	}
	if _, err := h.core.Secrets.Get("key"); err == nil {
		t.Error("a preview made the secret")
	}
	secretID, secretIn, secret := h.made(secretType, Object{"secretId": "key", "replication": Object{"auto": Object{}}})
	if secretID != "projects/p-123/secrets/key" || secret["name"] != "projects/123/secrets/key" {
		t.Errorf("secret = %s, %v", secretID, secret)
	}
	v1, _, version := h.made(versionType, Object{"secret": secretID, "secretData": "one"})
	v2, _, _ := h.made(versionType, Object{"secret": secretID, "secretData": "two"})
	if err := h.delete(versionType, v1, version); err != nil {
		t.Error(err)
	}

	principal := account["member"].(string)
	read := func() error {
		got, err := h.core.Secrets.AccessSecret(ctx, principal, secretID+"/versions/latest")
		if err == nil && string(got) != "two" {
			t.Errorf("latest = %q, want two", got)
		}
		return err
	}
	if _, ok := errors.AsType[*cloud.Denied](read()); !ok {
		t.Errorf("reading without a grant: %v, want it denied", read())
	}
	grantID, _, grant := h.made(grantType, Object{"secretId": secretID, "role": "roles/secretmanager.secretAccessor", "member": principal})
	if err := read(); err != nil {
		t.Errorf("reading with a grant: %v", err)
	}
	if got := h.server.Counts(); got[Live] != 2 || got[Recorded] != 2 {
		t.Errorf("counts = %v, want 2 live and 2 recorded", got)
	}
	if err := h.delete(grantType, grantID, grant); err != nil {
		t.Error(err)
	}
	if _, ok := errors.AsType[*cloud.Denied](read()); !ok {
		t.Errorf("reading after the grant was removed: %v, want it denied", read())
	}

	changed := clone(secretIn)
	changed["labels"] = Object{"tenant": "acme"}
	after, err := h.update(secretType, secretID, secret, secretIn, changed, false)
	if err != nil || after["name"] != secret["name"] || !cmp.Equal(after["effectiveLabels"], any(Object{"tenant": "acme"})) {
		t.Errorf("update = %v, %v", after, err)
	}
	if _, err := h.rpc.Read(ctx, &pulumirpc.ReadRequest{Urn: urn(versionType), Id: v2, Properties: h.message(Object{"secret": secretID})}); err != nil {
		t.Error(err)
	}
	if err := h.delete(secretType, secretID, after); err != nil {
		t.Error(err)
	}
	resp, err := h.rpc.Read(ctx, &pulumirpc.ReadRequest{Urn: urn(secretType), Id: secretID, Properties: h.message(after)})
	if err != nil || resp.Id != "" {
		t.Errorf("Read of a deleted secret = %v, %v, want that it is gone", resp, err)
	}
}

func TestBucketsAndObjects(t *testing.T) {
	h := newHarness(t)
	id, in, bucket := h.made(bucketType, Object{
		"name": "audio-1", "location": "us-central1", "retentionPolicy": Object{"retentionPeriod": 3600.0, "isLocked": true},
	})
	if bucket["url"] != "gs://audio-1" || bucket["projectNumber"] != 123.0 {
		t.Errorf("bucket = %v", bucket)
	}
	shorter := clone(in)
	shorter["retentionPolicy"] = Object{"retentionPeriod": 60.0, "isLocked": true}
	if _, err := h.update(bucketType, id, bucket, in, shorter, false); err == nil {
		t.Error("shortening a locked retention succeeded")
	}
	_, _, _ = h.made(bucketType, Object{"name": "config-1", "location": "US", "forceDestroy": false})

	fileIn, _ := h.check(objectType, Object{"bucket": "config-1", "name": "a/b.json", "content": "{}", "contentType": "application/json"})
	if _, out, err := h.create(objectType, fileIn, true); err != nil || out["md5hash"] != unknownValue || out["outputName"] != "a/b.json" {
		t.Errorf("preview of an object = %v, %v", out, err)
	}
	fileID, fileIn, file := h.made(objectType, fileIn)
	longer := clone(fileIn)
	longer["content"] = "{ }"
	preview, err := h.update(objectType, fileID, file, fileIn, longer, true)
	if err != nil || preview["md5hash"] != unknownValue || preview["content"] != "{ }" || preview["selfLink"] != file["selfLink"] {
		t.Errorf("preview of an update = %v, %v", preview, err)
	}
	after, err := h.update(objectType, fileID, file, fileIn, longer, false)
	if err != nil || after["md5hash"] == file["md5hash"] {
		t.Errorf("update = %v, %v, want another checksum", after, err)
	}
	if _, content, err := h.core.Storage.Object("config-1", "a/b.json"); string(content) != "{ }" || err != nil {
		t.Errorf("content = %q, %v", content, err)
	}
	if err := h.delete(bucketType, "config-1", Object{}); err == nil {
		t.Error("deleting a bucket that holds an object succeeded")
	}
	if err := h.delete(objectType, fileID, after); err != nil {
		t.Error(err)
	}
	if err := h.delete(bucketType, "config-1", Object{}); err != nil {
		t.Error(err)
	}
}

func TestDatabase(t *testing.T) {
	h := newHarness(t)
	h.made(instanceType, Object{"name": "inst", "config": "regional-us-central1", "displayName": "instance", "processingUnits": 100.0})
	id, in, out := h.made(databaseType, Object{
		"instance": "inst", "name": "db-1", "versionRetentionPeriod": "1d",
		"ddls": []any{"CREATE TABLE IF NOT EXISTS T (id INT64 NOT NULL) PRIMARY KEY (id)", "CREATE ROLE reader"},
	})
	if id != "inst/db-1" || out["state"] != "READY" {
		t.Errorf("database = %s, %v", id, out)
	}
	if len(h.notices) != 1 || !strings.Contains(h.notices[0], "CREATE ROLE") {
		t.Errorf("notices = %q, want one about roles", h.notices)
	}
	more := clone(in)
	more["ddls"] = append(more["ddls"].([]any), "ALTER TABLE T ADD COLUMN name STRING(10)")
	after, err := h.update(databaseType, id, out, in, more, false)
	if err != nil {
		t.Fatal(err)
	}
	wrong := clone(more)
	wrong["ddls"] = append(wrong["ddls"].([]any), "CREATE TABLE")
	if _, err := h.update(databaseType, id, after, more, wrong, false); err == nil || !strings.Contains(err.Error(), "schema") {
		t.Errorf("a statement that is not SQL: %v", err)
	}
	if err := h.delete(databaseType, id, after); err == nil || !strings.Contains(err.Error(), "deletionProtection") {
		t.Errorf("deleting a protected database: %v", err)
	}
	after["deletionProtection"] = false
	if err := h.delete(databaseType, id, after); err != nil {
		t.Error(err)
	}
}

func TestConfigureAndInvoke(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()
	if _, err := h.rpc.Configure(ctx, &pulumirpc.ConfigureRequest{Args: h.message(Object{"project": "other"})}); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("Configure for another project: %v", err)
	}
	got, err := h.rpc.Invoke(ctx, &pulumirpc.InvokeRequest{Tok: "gcp:organizations/getProject:getProject", Args: h.message(Object{})})
	if err != nil || got.Return.AsMap()["number"] != "123" || got.Return.AsMap()["projectId"] != "p-123" {
		t.Errorf("getProject = %v, %v", got, err)
	}
	if _, err := h.rpc.Invoke(ctx, &pulumirpc.InvokeRequest{Tok: "gcp:compute/getZones:getZones"}); err == nil || !strings.Contains(err.Error(), "getZones") {
		t.Errorf("an unknown function: %v", err)
	}
	if _, err := h.rpc.Cancel(ctx, &emptypb.Empty{}); err != nil {
		t.Error(err)
	}
	if _, _, err := h.create(accountType, Object{"accountId": "after-cancel", "project": "p-123"}, false); err != nil {
		t.Errorf("the next deployment after a cancelled one: %v", err)
	}
}
