package documents

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/intake"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg  intake.Config
		docs []Document
		want map[string]Found
	}{
		"nothing": {docs: []Document{{Object: "a", Fields: []Field{{"Room", "Kitchen", 0.9}}}}},
		"everything": {
			docs: []Document{{Object: "a", Fields: []Field{
				{"Full name", "Kim Lee", 0.9}, {"Phone", "(310) 555-0123", 0.8}, {"E-mail", "Kim@Example.com", 0.7}, {"ZIP Code", "90210", 0.6},
			}}},
			want: map[string]Found{
				"name":  {Value: "Kim Lee", Confidence: 0.9, Object: "a", Field: "Full name"},
				"phone": {Value: "+13105550123", Confidence: 0.8, Object: "a", Field: "Phone"},
				"email": {Value: "kim@example.com", Confidence: 0.7, Object: "a", Field: "E-mail"},
				"zip":   {Value: "90210", Confidence: 0.6, Object: "a", Field: "ZIP Code"},
			},
		},
		"not_what_its_name_says": {docs: []Document{{Object: "a", Fields: []Field{{"Phone", "none", 0.9}, {"Email", "at home", 0.9}, {"ZIP", "see above", 0.9}}}}},
		"by_the_tenants_own_names": {
			cfg:  intake.Config{Aliases: map[string]string{"reach_me_at": intake.Phone}},
			docs: []Document{{Object: "a", Fields: []Field{{"Reach me at", "310 555 0123", 0.9}}}},
			want: map[string]Found{"phone": {Value: "+13105550123", Confidence: 0.9, Object: "a", Field: "Reach me at"}},
		},
		"the_surest_of_two": {
			docs: []Document{
				{Object: "a", Fields: []Field{{"Phone", "310 555 0111", 0.5}, {"Mobile", "310 555 0222", 0.6}}},
				{Object: "b", Fields: []Field{{"Phone", "310 555 0333", 0.6}, {"Tel", "310 555 0444", 0.4}}},
			},
			want: map[string]Found{"phone": {Value: "+13105550222", Confidence: 0.6, Object: "a", Field: "Mobile"}},
		},
		"halves_of_a_name": {
			docs: []Document{{Object: "a", Fields: []Field{{"First name", "Kim", 0.9}, {"Last name", "Lee", 0.7}, {"First name", "Sam", 0.99}}}},
			want: map[string]Found{"name": {Value: "Kim Lee", Confidence: 0.7, Object: "a", Field: "First name, Last name"}},
		},
	} {
		r := &Reading{Documents: tt.docs, Contact: map[string]Found{"name": {Value: "of an attempt before"}}}
		r.Find(tt.cfg)
		if diff := cmp.Diff(tt.want, r.Contact); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// What the customer said himself stays, and so does what is not sure.
func TestUse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		have  string
		least float64
		want  string
	}{
		"taken over": {"", 0.8, "+13105550123"},
		"said":       {"+13105559999", 0.8, ""},
		"not sure":   {"", 0.9, ""},
	} {
		r := &Reading{Contact: map[string]Found{"phone": {Value: "+13105550123", Confidence: 0.8}}}
		if got := r.Use("phone", tt.have, tt.least); got != tt.want || r.Contact["phone"].Used != (tt.want != "") {
			t.Errorf("%s: %q, %+v", name, got, r.Contact)
		}
		if got := r.Use("email", "", 0); got != "" {
			t.Errorf("an address from nowhere: %q", got)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := &Reading{Processor: "p", Documents: []Document{{Object: "a", Status: StatusRead, Text: "x"}, {Object: "b", Status: StatusFailed, Cause: "damaged"}}}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if read := got.Read(); len(read) != 1 || read[0].Object != "a" {
		t.Errorf("read %+v", read)
	}
	if none, err := Parse(nil); err != nil || len(none.Read()) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := Parse([]byte("[]")); err == nil {
		t.Error("a list is no reading")
	}
}

// Whatever a document says, what the customer said himself stays, what is not
// sure is left out, and what is taken over fits its column.
func FuzzFind(f *testing.F) {
	f.Add("Phone", "310 555 0142", 0.9, "")
	f.Add("E-mail", "Kim@Example.com", 0.79, "")
	f.Add("First name", "Kim", 0.8, "Sam")
	f.Add("zip", "0-0", 2.0, "")
	f.Fuzz(func(t *testing.T, name, value string, confidence float64, have string) {
		r := &Reading{Documents: []Document{{Object: "a", Fields: []Field{{name, value, confidence}}}}}
		r.Find(intake.Config{}.WithDefaults())
		for what, limit := range map[string]int{intake.Name: 200, intake.Phone: 40, intake.Email: 320, intake.Zip: 16} {
			got := r.Use(what, have, 0.8)
			if got != "" && (have != "" || !(confidence >= 0.8)) || utf8.RuneCountInString(got) > limit {
				t.Errorf("%s: %q takes the place of %q with confidence %v", what, got, have, confidence)
			}
		}
	})
}
