package crm

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/analysis"
)

// TestAnalysisTypes holds the table against the analysis as it is stored, so
// that a field cannot be added there and stay unknown here.
func TestAnalysisTypes(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(leaves(t, "", reflect.TypeFor[analysis.Analysis]()), analysisTypes); d != "" {
		t.Errorf("analysisTypes (-the analysis +the table):\n%s", d)
	}
}

// leaves are the types of a document's values by their paths.
func leaves(t *testing.T, prefix string, of reflect.Type) map[string]Type {
	t.Helper()
	found := map[string]Type{}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case f.Anonymous:
			maps.Copy(found, leaves(t, prefix, typ))
		case typ.Kind() == reflect.Struct:
			maps.Copy(found, leaves(t, prefix+name+".", typ))
		default:
			k, ok := map[reflect.Kind]Type{reflect.String: String, reflect.Int: Int, reflect.Int32: Int, reflect.Int64: Int,
				reflect.Float32: Number, reflect.Float64: Number, reflect.Bool: Bool, reflect.Slice: List}[typ.Kind()]
			if !ok {
				t.Fatalf("%s%s is a %v, which no property takes", prefix, name, typ)
			}
			found[prefix+name] = k
		}
	}
	return found
}

func TestAnalysisPathsAreChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ source, target, want string }{
		"budget_is_a_number":   {"analysis.budget.max_usd", "AnnualRevenue", ""},
		"timing_is_text":       {"analysis.timing.start", "AnnualRevenue", "takes a value of type number, not string"},
		"location_is_text":     {"analysis.location.city", "City", ""},
		"next_step":            {"analysis.next_step.action", "DoNotCall", "takes a value of type boolean, not string"},
		"confidence":           {"analysis.communication.confidence", "NumberOfEmployees", ""},
		"a_list_is_no_number":  {"analysis.spam_signals", "NumberOfEmployees", "takes a value of type integer, not list"},
		"made_a_number":        {"analysis.customer.zip|int", "NumberOfEmployees", ""},
		"upper_of_a_number":    {"analysis.lead_score|upper", "City", "upper cannot be applied to a value of type integer"},
		"default_of_a_number":  {"analysis.budget.min_usd|default:none", "City", "is no integer"},
		"unknown_is_not_known": {"analysis.of_a_later_version", "AnnualRevenue", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(map[string]string{tc.source: tc.target, "=A": "LastName", "=B": "Company"}, "salesforce")
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Compile = %v, want %q", err, tc.want)
			}
		})
	}
}
