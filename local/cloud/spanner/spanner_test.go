package spanner

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestService(t *testing.T) {
	ctx := t.Context()
	s, err := Start(ctx, "p", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)

	check := func(what string, want bool, get func() (bool, error)) {
		t.Helper()
		if got, err := get(); got != want || err != nil {
			t.Errorf("%s exists: %v, %v, want %v", what, got, err, want)
		}
	}
	hasInstance := func() (bool, error) { return s.HasInstance(ctx, "inst") }
	hasDatabase := func() (bool, error) { return s.HasDatabase(ctx, "inst", "data-base") }

	check("instance", false, hasInstance)
	if err := s.CreateInstance(ctx, "inst", "instance", 100, map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	check("instance", true, hasInstance)
	check("database", false, hasDatabase)
	skipped, err := s.CreateDatabase(ctx, "inst", "data-base", false, []string{
		"CREATE TABLE T (id INT64 NOT NULL) PRIMARY KEY (id)",
		"CREATE ROLE reader",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"CREATE ROLE reader"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	check("database", true, hasDatabase)
	if _, err := s.ApplyDDL(ctx, "inst", "data-base", []string{"ALTER TABLE T ADD COLUMN name STRING(10)"}); err != nil {
		t.Error(err)
	}
	if _, err := s.ApplyDDL(ctx, "inst", "data-base", []string{"ALTER TABLE none ADD COLUMN name STRING(10)"}); err == nil {
		t.Error("altering a table that is not there succeeded")
	}
	for range 2 {
		if err := s.DropDatabase(ctx, "inst", "data-base"); err != nil {
			t.Error(err)
		}
	}
	check("database", false, hasDatabase)
	for range 2 {
		if err := s.DeleteInstance(ctx, "inst"); err != nil {
			t.Error(err)
		}
	}
	check("instance", false, hasInstance)
}

func TestSupported(t *testing.T) {
	apply := []string{
		"CREATE TABLE grants (id INT64) PRIMARY KEY (id)",
		"CREATE TABLE T (role STRING(10), id INT64) PRIMARY KEY (id)",
		"CREATE VIEW v SQL SECURITY INVOKER AS SELECT 1 AS one",
	}
	skip := []string{
		"CREATE ROLE reader",
		"-- who may read\ngrant SELECT ON TABLE T TO ROLE reader",
		"/* gone */ DROP ROLE reader",
		"REVOKE SELECT ON TABLE T FROM ROLE reader",
		"CREATE OR REPLACE VIEW v SQL SECURITY DEFINER AS SELECT 1 AS one",
	}
	gotApply, gotSkip := Supported(append(append([]string{}, skip...), apply...))
	if diff := cmp.Diff(apply, gotApply); diff != "" {
		t.Errorf("apply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(skip, gotSkip); diff != "" {
		t.Errorf("skip (-want +got):\n%s", diff)
	}
}

func TestNotice(t *testing.T) {
	got := Notice([]string{"CREATE ROLE a", "CREATE ROLE b", "GRANT SELECT ON TABLE T TO ROLE a"})
	want := "skipped 3 statements about database roles (CREATE ROLE, GRANT): the Spanner emulator has none"
	if got != want || Notice(nil) != "" {
		t.Errorf("Notice = %q, want %q", got, want)
	}
}
