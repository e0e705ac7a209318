package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/store"
)

func sample() []store.ChatMessage {
	at := time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)
	var all []store.ChatMessage
	for i := range int64(6) {
		m := store.ChatMessage{Number: i + 1, Text: fmt.Sprintf("message %d", i+1), At: at.Add(time.Duration(i) * time.Minute)}
		m.Answer = &store.ChatAnswer{Text: fmt.Sprintf("answer %d", i+1), By: Assistant, At: m.At.Add(time.Second)}
		all = append(all, m)
	}
	all[1].Visitor = store.Visitor{Name: "Robin", Phone: "(310) 555-0142"}
	all[4].Visitor = store.Visitor{Email: "Robin@Example.com", Phone: "310 555 0199"}
	return all
}

var session = store.ChatSession{SessionID: "s1", OfficeID: "north", Page: "https://www.acme.example/kitchens", Visitor: store.Visitor{Zip: "90210"}}

func segmentOf(tb testing.TB, from, through int) Segment {
	tb.Helper()
	e, err := Event("acme", &session, sample()[from-1:through])
	if err != nil {
		tb.Fatal(err)
	}
	s, err := Parse(e.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	return *s
}

func fold(tb testing.TB, segments ...Segment) *Conversation {
	tb.Helper()
	c, err := Fold(segments)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFold(t *testing.T) {
	t.Parallel()
	c := fold(t, segmentOf(t, 1, 6))
	if c.OfficeID != "north" || c.Visitor != (store.Visitor{Name: "Robin", Phone: "+13105550199", Email: "robin@example.com", Zip: "90210"}) {
		t.Errorf("%+v", c)
	}
	var p payload
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		t.Fatal(err)
	}
	if p.Page != session.Page || p.Session["id"] != "s1" || len(p.Messages) != 12 {
		t.Errorf("%s", c.Payload)
	}
	for i, m := range p.Messages {
		want := turn{"visitor", fmt.Sprintf("message %d", i/2+1), m.At}
		if i%2 == 1 {
			want = turn{"assistant", fmt.Sprintf("answer %d", i/2+1), m.At}
		}
		if m != want {
			t.Errorf("turn %d: %+v, want %+v", i, m, want)
		}
	}
	unanswered := segmentOf(t, 1, 1)
	unanswered.Messages[0].Answer = nil
	if err := json.Unmarshal(fold(t, unanswered).Payload, &p); err != nil || len(p.Messages) != 1 {
		t.Errorf("without an answer: %d turns, %v", len(p.Messages), err)
	}
}

// However a conversation is cut, in whatever order its parts come, and how
// often each: it says the same.
func TestFoldIsOrderIndependent(t *testing.T) {
	t.Parallel()
	want := fold(t, segmentOf(t, 1, 6))
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var parts []Segment
		for from := 1; from <= 6; {
			through := from + random.IntN(7-from)
			// A part may have more than what is new: whoever sent it before did
			// not live to say so.
			for range 1 + random.IntN(2) {
				parts = append(parts, segmentOf(t, 1+random.IntN(from), through))
			}
			parts = append(parts, segmentOf(t, from, through))
			from = through + 1
		}
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if diff := cmp.Diff(want, fold(t, parts...)); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

func TestEventIsDeterministic(t *testing.T) {
	t.Parallel()
	a, err := Event("acme", &session, sample()[:3])
	if err != nil {
		t.Fatal(err)
	}
	inNewYork := sample()[:3]
	for i := range inNewYork {
		inNewYork[i].At = inNewYork[i].At.In(time.FixedZone("EST", -5*3600))
	}
	b, err := Event("acme", &session, inNewYork)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a.Payload), string(b.Payload)); diff != "" || a.ID != b.ID {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c, err := Event("acme", &session, sample()[:2])
	if err != nil || c.ID == a.ID {
		t.Errorf("other messages have the same event, %v", err)
	}
}

// FuzzFold: whatever is in a segment, the fold is the same both ways round, or
// refused.
func FuzzFold(f *testing.F) {
	for _, seed := range []string{`{}`, `{"messages":[{"number":1,"text":"a"}]}`, `{"messages":[{"number":1,"text":"b","answer":{"text":"x"}},{"number":-5,"text":"\u0000"}],"visitor":{"phone":"1"}}`} {
		f.Add([]byte(seed), []byte(`{"session_id":"s","messages":[{"number":1,"text":"a","at":"2026-01-01T00:00:00Z"}]}`))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, errX := Parse(a)
		y, errY := Parse(b)
		if errX != nil || errY != nil {
			return
		}
		one, errOne := Fold([]Segment{*x, *y, *x})
		other, errOther := Fold(slices.Clone([]Segment{*y, *x}))
		if (errOne == nil) != (errOther == nil) {
			t.Fatalf("%v, %v", errOne, errOther)
		}
		// What the page knew of its visitor is of one session alone.
		if errOne == nil && x.Visitor == y.Visitor && cmp.Diff(one, other) != "" {
			t.Fatal(cmp.Diff(one, other))
		}
	})
}
