package analysis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/fault"
)

// longTalk has a marker at the start of each of n turns, and fits into about
// n/60 parts.
func longTalk(n int) Content {
	c := Content{Details: map[string]string{"duration": "long"}}
	for i := range n {
		c.Turns = append(c.Turns, Turn{fmt.Sprint(1 + i%2), fmt.Sprintf("marker%d ", i) + strings.Repeat("and on it goes ", 64)})
	}
	return c
}

// isCondensing tells a request for excerpts from one for a description.
func isCondensing(req request) bool {
	return strings.HasPrefix(req.SystemInstruction.Parts[0].Text, "You shorten one part")
}

// excerpt answers a part with its first turn's marker, and one quote that is
// not in the part.
func excerpt(t *testing.T, req request) answer {
	var part struct{ Transcript []Turn }
	if err := json.Unmarshal([]byte(dataOf(t, req)), &part); err != nil {
		t.Error(err)
	}
	first := part.Transcript[0]
	marker, _, _ := strings.Cut(first.Text, " ")
	out, err := json.Marshal(map[string]any{"excerpts": []Turn{{first.Speaker, marker}, {"1", "I never said a word of this"}}})
	if err != nil {
		t.Error(err)
	}
	return says(string(out))
}

func TestLongContentIsCondensed(t *testing.T) {
	t.Parallel()
	a, v, logs := newAnalyzer(t)
	v.respond = func(req request) answer {
		if isCondensing(req) {
			return excerpt(t, req)
		}
		return says(goodAnswer)
	}
	got, err := a.Analyze(t.Context(), Call, longTalk(150), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Condensed{Parts: 3, PromptVersion: "condense.v1", SchemaVersion: "condense.v1", Excerpts: 3, Unfounded: 3}
	if diff := cmp.Diff(want, got.Condensed); diff != "" {
		t.Errorf("condensed (-want +got):\n%s", diff)
	}
	if got.ContentCut != nil || got.Requests != 4 || got.Tokens != (Tokens{Input: 400, Output: 92}) || *got.CostMicros != 350 {
		t.Errorf("cut %v, %d requests, tokens %+v, cost %d", got.ContentCut, got.Requests, got.Tokens, *got.CostMicros)
	}
	if !strings.Contains(logs.String(), "requests=4") || !strings.Contains(logs.String(), "input_tokens=400") {
		t.Errorf("logged %s", logs)
	}
	// The description is made of the excerpts, in the order of the talk.
	var last struct {
		Details    map[string]string
		Transcript []Turn
		Condensed  bool
	}
	final := v.requests[len(v.requests)-1]
	if err := json.Unmarshal([]byte(dataOf(t, final)), &last); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Turn{{"1", "marker0"}, {"2", "marker59"}, {"1", "marker118"}}, last.Transcript); diff != "" || !last.Condensed || last.Details["duration"] != "long" {
		t.Errorf("described %+v (-want +got):\n%s", last, diff)
	}
	// Nothing that was said is missing from the parts.
	var all strings.Builder
	for _, req := range v.requests {
		if isCondensing(req) {
			all.WriteString(dataOf(t, req))
			if n := len([]rune(dataOf(t, req))); n > PartRunes+5000 {
				t.Errorf("a part has %d characters", n)
			}
		}
	}
	for i := range 150 {
		if !strings.Contains(all.String(), fmt.Sprintf("marker%d ", i)) {
			t.Errorf("turn %d was not read", i)
		}
	}
}

// TestVeryLongContentIsCut: what is longer than all parts together loses its
// middle, and the cost stays bounded.
func TestVeryLongContentIsCut(t *testing.T) {
	t.Parallel()
	a, v, _ := newAnalyzer(t)
	v.respond = func(req request) answer {
		if isCondensing(req) {
			return excerpt(t, req)
		}
		return says(goodAnswer)
	}
	long := longTalk(1000)
	got, err := a.Analyze(t.Context(), Call, long, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != MaxParts+1 || got.Condensed.Parts != MaxParts {
		t.Errorf("%d requests, %+v", got.Requests, got.Condensed)
	}
	if cut := got.ContentCut; cut == nil || cut.Runes != runes(long.Turns) || cut.Kept >= MaxParts*PartRunes || cut.Kept < MaxParts*PartRunes*9/10 {
		t.Errorf("cut %+v of %d", got.ContentCut, runes(long.Turns))
	}
	var seen strings.Builder
	for _, req := range v.requests {
		seen.WriteString(dataOf(t, req))
	}
	if !strings.Contains(seen.String(), "marker0 ") || !strings.Contains(seen.String(), "marker999 ") || strings.Contains(seen.String(), "marker500 ") {
		t.Error("the start or the end is missing, or the middle is not")
	}
}

// TestLongForm: a form of any size is read too.
func TestLongForm(t *testing.T) {
	t.Parallel()
	a, v, _ := newAnalyzer(t)
	v.respond = func(req request) answer {
		if isCondensing(req) {
			return says(`{"excerpts":[{"speaker":"","text":"kitchen please"}]}`)
		}
		return says(answerLess(t, "sentiment_detail"))
	}
	fields, err := json.Marshal(map[string]string{"message": "kitchen please " + strings.Repeat("kitchen please ", 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Analyze(t.Context(), Form, Content{Fields: fields}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Condensed == nil || got.Condensed.Parts != 3 || got.Condensed.Excerpts != 3 {
		t.Errorf("condensed %+v", got.Condensed)
	}
	if data := dataOf(t, v.requests[len(v.requests)-1]); !strings.Contains(data, `"condensed": true`) || strings.Count(data, "kitchen please") != 3 {
		t.Errorf("described %s", data)
	}
}

// tooLong is what Vertex AI answers to more tokens than the model takes.
func tooLong(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(w, `{"error":{"code":400,"message":"The input token count (81881) exceeds the maximum number of tokens allowed (65536).","status":"INVALID_ARGUMENT"}}`)
}

// TestSmallWindow: a model with a window smaller than a part gets smaller
// parts, down to a bound.
func TestSmallWindow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		window int // characters
		fails  bool
	}{"quarter": {25_000, false}, "sixteenth": {8_000, false}, "none": {100, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, v, _ := newAnalyzer(t)
			v.respond = func(req request) answer {
				switch {
				case len([]rune(req.Contents[0].Parts[1].Text)) > tc.window:
					return tooLong
				case isCondensing(req):
					return excerpt(t, req)
				}
				return says(goodAnswer)
			}
			got, err := a.Analyze(t.Context(), Call, longTalk(50), Options{})
			if tc.fails {
				if !fault.IsPermanent(err) || !strings.Contains(err.Error(), "exceeds the maximum number of tokens") {
					t.Errorf("error %v, want the API's", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Condensed == nil || got.Condensed.Parts < 3 || got.LeadScore != 85 {
				t.Errorf("analysis %+v", got)
			}
		})
	}
}

// TestPartThatCannotBeShortened: nonsense about one part does not lose the
// others; an outage is worth a retry of the whole.
func TestPartThatCannotBeShortened(t *testing.T) {
	t.Parallel()
	a, v, _ := newAnalyzer(t)
	v.respond = func(req request) answer {
		switch {
		case isCondensing(req) && strings.Contains(req.Contents[0].Parts[1].Text, "marker0 "):
			return says("no")
		case isCondensing(req):
			return excerpt(t, req)
		}
		return says(goodAnswer)
	}
	got, err := a.Analyze(t.Context(), Call, longTalk(100), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Condensed.Unread != 1 || got.Condensed.Parts != 2 {
		t.Errorf("condensed %+v", got.Condensed)
	}
	data := dataOf(t, v.requests[len(v.requests)-1])
	if !strings.Contains(data, "marker0 ") || !strings.Contains(data, "marker59") || len([]rune(data)) > PartRunes {
		t.Errorf("%d characters described, the first or the last part is missing", len([]rune(data)))
	}

	b, w, _ := newAnalyzer(t)
	w.respond = func(request) answer { return fails(503, "UNAVAILABLE") }
	if _, err := b.Analyze(t.Context(), Call, longTalk(100), Options{}); err == nil || fault.IsPermanent(err) {
		t.Errorf("error %v, want one worth a retry", err)
	}
	if len(w.requests) > 2 {
		t.Errorf("asked %d times during an outage", len(w.requests))
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	part := []Turn{{"1", "one two three four five six seven eight nine ten"}}
	for name, tc := range map[string]struct {
		excerpts []Turn
		room     int
		want     []Turn
	}{
		"all":      {[]Turn{{"1", "one two"}, {"1", "nine ten"}}, 200, []Turn{{"1", "one two"}, {"1", "nine ten"}}},
		"made_up":  {[]Turn{{"1", "one three"}, {"1", ""}}, 200, nil},
		"no_room":  {[]Turn{{"1", "one two"}}, 41, nil},
		"cut":      {[]Turn{{"1", "one two three"}, {"1", "ten"}}, 49, []Turn{{"1", "one two…"}}},
		"none_yet": {nil, 200, nil},
	} {
		got := (*Analyzer)(nil).choose(&Analysis{Condensed: &Condensed{}}, part, tc.excerpts, tc.room)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
