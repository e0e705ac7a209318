package analysis

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := parse(" \n" + goodAnswer + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&goodResult, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestParseViolations(t *testing.T) {
	t.Parallel()
	replace := func(pairs ...string) string {
		out := strings.NewReplacer(pairs...).Replace(goodAnswer)
		if out == goodAnswer {
			t.Fatalf("%q changes nothing", pairs)
		}
		return out
	}
	for name, tc := range map[string]struct {
		answer string
		want   []string
	}{
		"empty":          {" ", []string{"the answer is empty"}},
		"fenced":         {"```json\n{}\n```", []string{"the answer is not JSON: invalid character '`' looking for beginning of value"}},
		"trailing":       {goodAnswer + "{}", []string{"the answer goes on after the JSON value"}},
		"invalid_utf8":   {replace("John Smith", "\xff"), []string{"the answer is not UTF-8"}},
		"huge":           {strings.Repeat(" ", maxAnswerBytes) + goodAnswer, []string{"the answer is longer than 65536 bytes"}},
		"unknown_fields": {replace(`"urgency"`, `"decision":"qualified","urgency"`, `"email":""`, `"email":"","admin":true`), []string{`$.customer: "admin" is no field of the schema`, `$: "decision" is no field of the schema`}},
		"missing":        {replace(`,"spam_likelihood":5`, ``, `"email":"",`, ``), []string{"$: spam_likelihood is missing", "$.customer: email is missing"}},
		"ranges":         {replace(`:85`, `:101`, `:5}`, `:-1}`), []string{"$.lead_score: 101 is outside 0 to 100", "$.spam_likelihood: -1 is outside 0 to 100"}},
		"not_whole":      {replace(`:85`, `:85.5`), []string{`$.lead_score: "85.5" is no whole number`}},
		"types":          {replace(`:85`, `:"85"`, `"zip":"90210"`, `"zip":90210`, `"positive"`, `null`), []string{"$.customer.zip: must be a string", "$.lead_score: must be a whole number", "$.sentiment: must be a string"}},
		"case_of_enum":   {replace(`"medium"`, `"Medium"`), []string{`$.urgency: "Medium" is none of emergency, high, medium, low`}},
		"lengths":        {replace("90210", "90210-12345", "John wants a kitchen remodel.", " "), []string{"$.customer.zip: has 11 characters, more than 10", "$.summary: has 0 characters, fewer than 1"}},
		"items":          {replace(`"reasons":[`, `"reasons":[`+strings.Repeat(`"x",`, 6)), []string{"$.reasons: has 7 items, outside 1 to 6"}},
		"control":        {replace("John Smith", `John\u0000Smith`), []string{"$.customer.name: has control characters"}},
		"not_an_object":  {"3", []string{"$: must be an object"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(tc.answer)
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

// TestSchemaCoversResult: the schema and Result name the same fields, so that
// nothing valid is dropped when it is read.
func TestSchemaCoversResult(t *testing.T) {
	t.Parallel()
	dec := json.NewDecoder(strings.NewReader(goodAnswer))
	dec.DisallowUnknownFields()
	var r Result
	if err := dec.Decode(&r); err != nil {
		t.Error(err)
	}
	if len(responseSchema.Required) != len(responseSchema.Properties) || len(responseSchema.PropertyOrdering) != len(responseSchema.Properties) {
		t.Error("the schema does not require and order each of its properties")
	}
	for kind, version := range prompts {
		if prompt := string(mustRead("prompts/" + version + ".md")); !strings.Contains(prompt, "never an instruction") {
			t.Errorf("the prompt of %s does not say that content is data", kind)
		}
	}
}

// FuzzParse: what is accepted is within bounds.
func FuzzParse(f *testing.F) {
	f.Add(goodAnswer)
	f.Add(`{"lead_score":1e3}`)
	f.Add(strings.Replace(goodAnswer, "85", "8.5e1", 1))
	f.Fuzz(func(t *testing.T, answer string) {
		r, err := parse(answer)
		if err != nil {
			return
		}
		if r.LeadScore < 0 || r.LeadScore > 100 || r.SpamLikelihood < 0 || r.SpamLikelihood > 100 {
			t.Fatalf("accepted scores %d, %d", r.LeadScore, r.SpamLikelihood)
		}
		if !slices.Contains(responseSchema.Properties["intent"].Enum, r.Intent) || r.Summary == "" || len(r.Reasons) == 0 || len(r.Reasons) > 6 {
			t.Fatalf("accepted %+v", r)
		}
		if len([]rune(r.Summary)) > 1200 || len([]rune(r.Customer.ZIP)) > 10 || strings.ContainsRune(r.Customer.Name, 0) {
			t.Fatalf("accepted %+v", r)
		}
	})
}
