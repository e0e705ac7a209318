package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is a log entry in the API's form.
func entry() map[string]any {
	return map[string]any{
		"logName":     "projects/p/logs/run.googleapis.com%2Fstdout",
		"severity":    "WARNING",
		"resource":    map[string]any{"type": "cloud_run_revision", "labels": map[string]any{"service_name": "intake-api"}},
		"labels":      map[string]any{"tenant": "acme", "dotted.key": "x"},
		"httpRequest": map[string]any{"status": 503.0},
		"jsonPayload": map[string]any{"event": "stage.done", "seconds": 0.25, "stages": []any{"a", "b"}, "message": "Stage done"},
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`resource.type="cloud_run_revision"`:                 true,
		`resource.type=cloud_run_revision severity>=WARNING`: true,
		`severity>=ERROR`:   false,
		`severity>=warning`: true,
		`jsonPayload.event=("stage.done" OR "stage.retried")`:                true,
		`jsonPayload.event=("stage.dead_letter" OR "stage.retried")`:         false,
		`jsonPayload.stages=("a" AND "b")`:                                   true,
		`jsonPayload.stages=("a" AND "c")`:                                   false,
		`jsonPayload.event="STAGE.DONE"`:                                     true, // equality does not depend on case
		`jsonPayload.event=~"^stage\.(done|failed)$"`:                        true,
		`jsonPayload.event=~"^STAGE"`:                                        false,
		`jsonPayload.event!~"^stage"`:                                        false,
		`jsonPayload.message:"stage"`:                                        true,
		`jsonPayload.message:*`:                                              true,
		`jsonPayload.missing:*`:                                              false,
		`jsonPayload.missing="x"`:                                            false,
		`jsonPayload.missing!="x"`:                                           true,
		`NOT jsonPayload.missing="x"`:                                        true,
		`-jsonPayload.event="stage.done"`:                                    false,
		`httpRequest.status>=500`:                                            true,
		`httpRequest.status<500`:                                             false,
		`jsonPayload.seconds>=0.2 AND jsonPayload.seconds<=0.25`:             true,
		`labels.tenant="acme" AND NOT logName:"cloudaudit.googleapis.com"`:   true,
		`labels."dotted.key"="x"`:                                            true,
		`log_id("run.googleapis.com/stdout")`:                                true,
		`log_id("cloudaudit.googleapis.com/data_access")`:                    false,
		`severity=ERROR OR severity=WARNING AND labels.tenant="bolt"`:        false, // OR binds tighter than AND
		`severity=ERROR OR (severity=WARNING AND labels.tenant="acme")`:      true,
		"-- a comment\nseverity=WARNING -- another\nAND labels.tenant=acme":  true,
		`(resource.type="a" AND severity=ERROR) OR NOT (severity="WARNING")`: false,
	} {
		f, err := Parse(Logging, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := f.Match(entry()); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		"":                                "empty",
		`severity`:                        "operator",
		`severity>=`:                      "value",
		`severity>=ERROR AND`:             "field",
		`(severity=ERROR`:                 "not closed",
		`severity=ERROR)`:                 "unexpected",
		`a="b`:                            "no end",
		`a=("b" OR "c" AND "d")`:          "expected",
		`a=~"("`:                          "missing closing",
		`SEARCH("x")`:                     "not known",
		`a="b" OR OR c="d"`:               "operator",
		`a..b="c"`:                        "no field",
		`a={}`:                            "unexpected",
		`select_slo_burn_rate("x", "1h")`: "not known",
	} {
		if _, err := Parse(Logging, text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: error %v, want one with %q", text, err, part)
		}
	}
	for _, text := range []string{`metric.type=~"a"`, `metric.labels.x=no_such("a")`, `select_slo_burn_rate("x")`, `metric.type=("a" OR "b")`} {
		if _, err := Parse(Monitoring, text); err == nil {
			t.Errorf("monitoring takes %q", text)
		}
	}
}

func TestMonitoring(t *testing.T) {
	t.Parallel()
	f, err := Parse(Monitoring, `metric.type="a/b" AND resource.type="r" AND metric.labels.x=one_of("1","2") AND resource.labels.y=starts_with("z")`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"metric.labels.x", "metric.type", "resource.labels.y", "resource.type"}, f.Fields()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"1", "2"}, f.Values("metric.labels.x")); d != "" {
		t.Error(d)
	}
	if _, _, ok := f.Selector(); ok {
		t.Error("it is no selector")
	}
	f, err = Parse(Monitoring, `select_slo_burn_rate("projects/p/services/s/serviceLevelObjectives/o", "3600s")`)
	if err != nil {
		t.Fatal(err)
	}
	name, arguments, ok := f.Selector()
	if d := cmp.Diff([]string{"projects/p/services/s/serviceLevelObjectives/o", "3600s"}, arguments); !ok || name != "select_slo_burn_rate" || d != "" {
		t.Errorf("%s %t %s", name, ok, d)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`EXTRACT(jsonPayload.seconds)`:                              "0.25",
		`EXTRACT(labels.tenant)`:                                    "acme",
		`EXTRACT(labels.nobody)`:                                    "",
		`REGEXP_EXTRACT(jsonPayload.event, "^([a-z]+)\.")`:          "stage",
		`REGEXP_EXTRACT(resource.labels.service_name, "^(x[a-z])")`: "",
	} {
		if got, err := Extract(text, entry()); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "EXTRACT()", "jsonPayload.x", `REGEXP_EXTRACT(a, "no group")`, `REGEXP_EXTRACT(a, "(")`, `EXTRACT(a.b) x`} {
		if _, err := ParseExtractor(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`a.b="c" AND NOT (d:e OR f>=1)`, `x=~"^a\\.b$"`, `log_id("a/b")`, `select_slo_health("x")`, `a."b.c".d='e'`, `-a=-1`} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		for _, language := range []Language{Logging, Monitoring} {
			if parsed, err := Parse(language, text); err == nil {
				parsed.Match(entry())
				parsed.Fields()
			}
		}
		_, _ = ParseExtractor(text)
	})
}
