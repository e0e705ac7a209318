package tenant

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/workflow"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string // every mistake, in order
	}{
		"empty_list": {`{"protect":true,"tenants":[]}`, nil},
		"good":       {`{"tenants":[{"id":"acme","name":"A","state":"active","offices":[{"id":"o","callrailCompanyId":"1","workflow":{}}]}]}`, nil},
		"no_list":    {`{}`, []string{"tenants is missing"}},
		"two_values": {`{"tenants":[]} {}`, []string{"more than one JSON value"}},
		"not_json":   {`x`, []string{"invalid character"}},
		"unknown":    {`{"tenants":[],"more":1}`, []string{`unknown field "more"`}},
		"workflow_by_its_schema": {
			`{"tenants":[{"id":"acme","name":"A","state":"active","offices":[{"id":"o","workflow":{"service_area":{"enabled":true,"buffer":3}}},{"id":"p","workflow":[]}]}]}`,
			[]string{
				"tenants[0].offices[0].workflow.service_area.buffer: unknown field",
				"tenants[0].offices[0].workflow.service_area.allowed_areas: must list at least one area",
				"tenants[0].offices[1].workflow: must be an object, not a list",
			},
		},
		"intake": {
			`{"tenants":[{"id":"acme","name":"A","state":"active","intake":{"origins":["acme.example"]},"offices":[]}]}`,
			[]string{"tenants[0].intake.origins[0]: must be an origin"},
		},
		"calendars": {
			`{"tenants":[{"id":"acme","name":"A","state":"active","offices":[{"id":"o","workflow":{}}],"calendars":[{"id":"a@b.example","officeId":"o"},{"id":"A@b.example","officeId":"p","ownDomains":["b.example","B"]},{"id":"primary"}]}]}`,
			[]string{
				`tenants[0].calendars[1].id: "A@b.example" is there twice`, `tenants[0].calendars[1].officeId: the tenant has no office "p"`,
				`tenants[0].calendars[1].ownDomains[1]: must be the domain`, `tenants[0].calendars[2].id: must be a calendar's id`,
			},
		},
		"five_at_once": {
			`{"tenants":[{"id":"A","state":"active"},{"id":"bb","state":"odd"},{"id":"bb","state":"active","offices":[{"id":"o","callrailCompanyId":"1"},{"id":"o","callrailCompanyId":"1"},{"id":"/"}]}]}`,
			[]string{
				`tenants[0]: bad id "A"`, `tenants[1] (bb): bad state "odd"`, `tenants[2]: "bb" is there twice`,
				`tenants[2].offices[1]: "o" is there twice`, `bb/o: CallRail company "1" is also that of bb/o`, `tenants[2].offices[2]: bad id "/"`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.text))
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d mistakes, want %d: %v", len(lines), len(tt.want), err)
			}
			for i, line := range lines {
				if !strings.Contains(line, tt.want[i]) {
					t.Errorf("%s; want %s", line, tt.want[i])
				}
			}
		})
	}
}

// What the program writes is what the job reads, field by field: a field that
// one side does not know would be refused, or be lost.
func TestParseReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	var want Manifest
	fill(reflect.ValueOf(&want).Elem())
	want.Tenants[0].ID, want.Tenants[0].State = "acme", Active
	want.Tenants[0].Offices[0].Workflow = workflow.Default()
	want.Tenants[0].Intake = intake.Config{
		Origins: []string{"https://a.example"}, Redirects: []string{"https://a.example/thanks"}, Aliases: map[string]string{"tel-1": intake.Phone},
		Honeypot: "x", MinSeconds: 1, PerMinute: 2, PerAddress: 3,
	}
	want.Tenants[0].Calendars = []Calendar{{ID: "a@b.example", OfficeID: "x", OwnDomains: []string{"b.example"}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

// fill gives every field a value that is not its zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	}
}
