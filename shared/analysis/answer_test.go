package analysis

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genai"
)

var callSchema = kinds[Call].schema

func TestParse(t *testing.T) {
	t.Parallel()
	var got Result
	clipped, err := parse(callSchema, " \n"+goodAnswer+"\n", &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goodResult, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if clipped != nil {
		t.Errorf("clipped %q", clipped)
	}
}

// replaced is goodAnswer with each pair's first replaced by its second.
func replaced(t *testing.T, pairs ...string) string {
	t.Helper()
	out := goodAnswer
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(out, pairs[i]) {
			t.Fatalf("there is no %q", pairs[i])
		}
		out = strings.Replace(out, pairs[i], pairs[i+1], 1)
	}
	return out
}

func TestParseViolations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer string
		want   []string
	}{
		"empty":          {" ", []string{"the answer is empty"}},
		"fenced":         {"```json\n{}\n```", []string{"the answer is not JSON: invalid character '`' looking for beginning of value"}},
		"cut_off":        {goodAnswer[:len(goodAnswer)-2], []string{"the answer is not JSON: unexpected EOF"}},
		"trailing":       {goodAnswer + "{}", []string{"the answer goes on after the JSON value"}},
		"invalid_utf8":   {replaced(t, "John Smith", "\xff"), []string{"the answer is not UTF-8"}},
		"huge":           {strings.Repeat(" ", maxAnswerBytes) + goodAnswer, []string{"the answer is longer than 65536 bytes"}},
		"unknown_fields": {replaced(t, `"urgency"`, `"decision":"qualified","urgency"`, `"email":""`, `"email":"","admin":true`), []string{`$.customer: "admin" is no field of the schema`, `$: "decision" is no field of the schema`}},
		"missing":        {replaced(t, `,"spam_likelihood":5`, ``, `"email":"",`, ``), []string{"$: spam_likelihood is missing", "$.customer: email is missing"}},
		"ranges":         {replaced(t, `:85`, `:101`, `:5}`, `:-1}`, `"max_usd":40000`, `"max_usd":900000000`), []string{"$.budget.max_usd: 900000000 is outside 0 to 1e+08", "$.lead_score: 101 is outside 0 to 100", "$.spam_likelihood: -1 is outside 0 to 100"}},
		"not_whole":      {replaced(t, `:85`, `:85.5`), []string{`$.lead_score: "85.5" is no whole number`}},
		"types":          {replaced(t, `:85`, `:"85"`, `"zip":"90210"`, `"zip":90210`, `"sentiment":"positive"`, `"sentiment":null`, `"reasons":[`, `"reasons":1,"spam_signals":[`, `"next_step":{`, `"next_step":7,"budget":{`), []string{"$.budget: \"action\" is no field of the schema", "$.budget: \"detail\" is no field of the schema", "$.budget: evidence is missing", "$.budget: max_usd is missing", "$.budget: min_usd is missing", "$.customer.zip: must be a string", "$.lead_score: must be a whole number", "$.next_step: must be an object", "$.reasons: must be an array", "$.sentiment: must be a string"}},
		"case_of_enum":   {replaced(t, `"medium"`, `"Medium"`), []string{`$.urgency: "Medium" is none of emergency, high, medium, low`}},
		"nothing_said":   {replaced(t, "John wants a kitchen remodel.", " \u200b "), []string{"$.summary: has 0 characters, fewer than 1"}},
		"too_few":        {replaced(t, `["\"a kitchen remodel\" states the work"]`, `[]`), []string{"$.reasons: has 0 items, outside 1 to 6"}},
		"not_an_object":  {"3", []string{"$: must be an object"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(callSchema, tc.answer, &Result{})
			if err == nil {
				t.Fatal("parse accepted it")
			}
			got := strings.Split(err.Error(), "\n")
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseClips: what is too long or cannot be seen is cut to its bound, and
// said so; it costs no second request.
func TestParseClips(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer string
		paths  []string
		got    func(r Result) any
		want   any
	}{
		"zip":       {replaced(t, `"zip":"90210"}`, `"zip":"90210-12345"}`), []string{"$.customer.zip"}, func(r Result) any { return r.Customer.ZIP }, "90210-123…"},
		"summary":   {replaced(t, "John wants a kitchen remodel.", strings.Repeat("é", 1201)), []string{"$.summary"}, func(r Result) any { return r.Summary }, strings.Repeat("é", 1199) + "…"},
		"at_bound":  {replaced(t, "John wants a kitchen remodel.", strings.Repeat("é", 1200)), nil, func(r Result) any { return len([]rune(r.Summary)) }, 1200},
		"items":     {replaced(t, `"reasons":[`, `"reasons":[`+strings.Repeat(`"x",`, 6)), []string{"$.reasons"}, func(r Result) any { return r.Reasons }, []string{"x", "x", "x", "x", "x", "x"}},
		"item":      {replaced(t, `"spam_signals":[`, `"spam_signals":["`+strings.Repeat("y", 301)+`"`), []string{"$.spam_signals[0]"}, func(r Result) any { return r.SpamSignals[0] }, strings.Repeat("y", 299) + "…"},
		"control":   {replaced(t, `"name":"John Smith"`, `"name":"John\u0000\u001b[31m Smith"`), []string{"$.customer.name"}, func(r Result) any { return r.Customer.Name }, "John[31m Smith"},
		"invisible": {replaced(t, `"name":"John Smith"`, `"name":"John\u202e Sm\u200bith"`), []string{"$.customer.name"}, func(r Result) any { return r.Customer.Name }, "John Smith"},
		"link":      {replaced(t, "John wants a kitchen remodel.", "See https://evil.example/?d=1"), nil, func(r Result) any { return r.Summary }, "See https[:]//evil.example/?d=1"},
		"spaces":    {replaced(t, `"name":"John Smith"`, `"name":" John Smith\n"`), nil, func(r Result) any { return r.Customer.Name }, "John Smith"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Result
			clipped, err := parse(callSchema, tc.answer, &r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.paths, clipped); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, tc.got(r)); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckPanicsOnForeignSchemas: the package's own schemas use four types.
func TestCheckPanicsOnForeignSchemas(t *testing.T) {
	t.Parallel()
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "NUMBER at $") {
			t.Errorf("recovered %q", v)
		}
	}()
	var violations []error
	check(&genai.Schema{Type: genai.TypeNumber}, json.Number("1"), "$", &violations)
}

func TestBoundsInWords(t *testing.T) {
	t.Parallel()
	var violations []error
	check(&genai.Schema{Type: genai.TypeInteger, Minimum: genai.Ptr(5.)}, json.Number("1"), "$", &violations)
	check(&genai.Schema{Type: genai.TypeArray, MinItems: genai.Ptr[int64](2)}, []any{}, "$", &violations)
	check(&genai.Schema{Type: genai.TypeString, MaxLength: genai.Ptr[int64](1)}, "ab", "$", &violations)
	var got []string
	for _, v := range violations {
		got = append(got, v.Error())
	}
	if diff := cmp.Diff([]string{"$: 1 is outside 5 to +Inf", "$: has 0 items, outside 2 to 0", "$: has 2 characters, more than 1"}, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// FuzzParse: what is accepted is within every bound of the schema, and is
// accepted again as it was read.
func FuzzParse(f *testing.F) {
	f.Add(goodAnswer)
	f.Add(`{"lead_score":1e3}`)
	f.Add(strings.Replace(goodAnswer, "85", "8.5e1", 1))
	f.Add(strings.Replace(goodAnswer, "John Smith", strings.Repeat("\u200b", 300)+"\u0000", 1))
	f.Add(strings.Replace(goodAnswer, `"spam_signals":[]`, `"spam_signals":["","","","","","","","","x"]`, 1))
	f.Fuzz(func(t *testing.T, answer string) {
		var r Result
		if _, err := parse(callSchema, answer, &r); err != nil {
			return
		}
		if r.LeadScore < 0 || r.LeadScore > 100 || r.SpamLikelihood < 0 || r.SpamLikelihood > 100 || r.Communication.Confidence > 100 || r.Budget.MinUSD < 0 {
			t.Fatalf("accepted numbers of %+v", r)
		}
		if !slices.Contains(callSchema.Properties["intent"].Enum, r.Intent) || r.Summary == "" || len(r.Reasons) == 0 || len(r.Reasons) > 6 || len(r.SpamSignals) > 6 {
			t.Fatalf("accepted %+v", r)
		}
		if len([]rune(r.Summary)) > 1200 || len([]rune(r.Customer.ZIP)) > 10 || strings.ContainsFunc(r.Customer.Name+r.Summary, invisible) || strings.ContainsRune(r.Customer.Name, 0) || strings.Contains(r.Summary, "://") {
			t.Fatalf("accepted %+v", r)
		}
		var value any
		whole, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(whole, &value); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		var r Result
		if _, err := parse(callSchema, goodAnswer, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnverified(b *testing.B) {
	content := newEvidence(talk.words() + strings.Repeat("and so on and so forth, ", 2000))
	for b.Loop() {
		if got := goodResult.unverified(content, content); got != nil {
			b.Fatal(got)
		}
	}
}
