package booking

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	first = `{"tenant_id":"acme","booking_id":"B1","status":"booked","sequence":0,"starts_at":"2026-03-04T10:00:00-05:00","ends_at":"2026-03-04T11:00:00-05:00","time_zone":"America/New_York","customer":{"name":"Robin Example","phone":"(310) 555-0142","email":"Robin@Example.com","zip":"90210"},"service":"Kitchen estimate","notes":"Gate code 12"}`
	move  = `{"tenant_id":"acme","booking_id":"B1","office_id":"north","status":"moved","sequence":1,"starts_at":"2026-03-05T10:00:00-05:00","ends_at":"2026-03-05T11:00:00-05:00","customer":{"address":"1 Elm St","phone":""},"vendor":{"page":2}}`
	back  = `{"tenant_id":"acme","booking_id":"B1","status":"moved","sequence":2,"starts_at":"2026-03-04T10:00:00-05:00","ends_at":"2026-03-04T11:00:00-05:00"}`
	off   = `{"tenant_id":"acme","booking_id":"B1","status":"cancelled","sequence":3,"notes":"We chose another company"}`
	late  = `{"tenant_id":"acme","booking_id":"B1","status":"cancelled","sequence":3,"updated_at":"2026-03-03T10:00:00Z"}`
)

func parse(tb testing.TB, bodies ...string) []Event {
	tb.Helper()
	var all []Event
	for _, body := range bodies {
		e, err := Parse([]byte(body))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, *e)
	}
	return all
}

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse(t, late)[0]
	got.Body = nil
	if diff := cmp.Diff(Event{TenantID: "acme", BookingID: "B1", Status: Cancelled, Sequence: 3, UpdatedAt: time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if a, b := parse(t, first)[0], parse(t, " "+strings.ReplaceAll(first, ",", ",\n"))[0]; string(a.Body) != string(b.Body) {
		t.Errorf("one event written in two ways differs:\n%s\n%s", a.Body, b.Body)
	}
	change := func(old, new string) string {
		if !strings.Contains(first, old) {
			t.Fatalf("%s is not in the sample", old)
		}
		return strings.Replace(first, old, new, 1)
	}
	for body, want := range map[string]string{
		"":                                       "not a JSON object",
		"null":                                   "not a JSON object",
		"[]":                                     "not a JSON object",
		first[:40]:                               "not a JSON object",
		first + first:                            "not a JSON object",
		`{"a":` + strings.Repeat("[", 20) + `}`:  "nested too deeply",
		"{}":                                     "tenant_id is missing; booking_id must be",
		change(`"B1"`, `"B 1"`):                  "booking_id must be",
		change(`"B1"`, `7`):                      "booking_id must not be a number",
		change(`"booked"`, `"confirmed"`):        "status must be",
		change(`"sequence":0,`, ``):              "sequence or updated_at must say",
		change(`"sequence":0`, `"sequence":-1`):  "sequence must not be negative",
		change(`"sequence":0`, `"sequence":1.5`): "sequence must not be a number",
		change(`"2026-03-04T10:00:00-05:00"`, `null`):                   "starts_at is missing",
		change(`"2026-03-04T10:00:00-05:00"`, `"tomorrow"`):             "RFC 3339",
		change(`"2026-03-04T11:00:00-05:00"`, `"2026-03-04T15:00:00Z"`): "ends_at must be after",
		change(`America/New_York`, `New York`):                          "time_zone must be",
		change(`"(310) 555-0142"`, `3105550142`):                        "customer.phone must not be a number",
	} {
		if _, err := Parse([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, want %q", body, err, want)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	customer := Customer{Name: "Robin Example", Phone: "+13105550142", Email: "robin@example.com", Zip: "90210"}
	full := customer
	full.Address = "1 Elm St"
	tests := map[string]struct {
		bodies  []string
		want    Booking
		changes int
	}{
		"booked":         {[]string{first}, Booking{Status: Booked, Customer: customer}, 0},
		"moved":          {[]string{first, move}, Booking{OfficeID: "north", Status: Moved, Customer: full}, 2},
		"moved_and_back": {[]string{first, move, back}, Booking{OfficeID: "north", Status: Moved, Customer: full}, 3},
		"cancelled":      {[]string{first, off}, Booking{Status: Cancelled, Customer: customer}, 2},
		"only_cancelled": {[]string{off}, Booking{Status: Cancelled}, 0},
		"unreachable": {[]string{strings.NewReplacer("(310) 555-0142", "ask me", "Robin@Example.com", "none").Replace(first)},
			Booking{Status: Booked, Customer: Customer{Name: "Robin Example", Phone: "ask me", Email: "none", Zip: "90210"}}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Fold(parse(t, tt.bodies...))
			if err != nil {
				t.Fatal(err)
			}
			var payload struct {
				Sequence any
				Changes  []json.RawMessage
			}
			if err := json.Unmarshal(got.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			if payload.Sequence != nil || len(payload.Changes) != tt.changes {
				t.Errorf("%d changes, want %d: %s", len(payload.Changes), tt.changes, got.Payload)
			}
			if status := StatusOf(got.Payload); status != tt.want.Status {
				t.Errorf("the payload is %s", status)
			}
			got.Payload = nil
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if _, err := Fold([]Event{{Body: []byte("[]")}}); err == nil {
		t.Error("folded what is no object")
	}
	if StatusOf([]byte("[]")) != "" {
		t.Error("a list has a status")
	}
}

// Whole numbers keep all of their digits: a sequence may be a time in
// nanoseconds, and a booking page's own ids may be as long.
func TestLargeNumbers(t *testing.T) {
	t.Parallel()
	large := func(sequence, id string) string {
		return strings.Replace(off, `"sequence":3`, `"sequence":`+sequence+`,"vendor":{"visit":`+id+`}`, 1)
	}
	events := parse(t, large("9007199254740993", "12345678901234567891"), large("9007199254740992", "12345678901234567890"))
	if events[0].Sequence != 9007199254740993 || events[1].Sequence != 9007199254740992 {
		t.Errorf("sequences %d and %d", events[0].Sequence, events[1].Sequence)
	}
	got, err := Fold(events)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got.Payload), `"vendor":{"visit":12345678901234567891}`) {
		t.Errorf("%s does not have the later event's number", got.Payload)
	}
}

// Whatever the order, and however often each event is there.
func TestFoldIsOrderIndependent(t *testing.T) {
	t.Parallel()
	all := parse(t, first, move, back, off, late, strings.Replace(off, "another", "no", 1))
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		kept := slices.DeleteFunc(slices.Clone(all), func(Event) bool { return random.IntN(4) == 0 })
		if len(kept) == 0 {
			continue
		}
		want, err := Fold(kept)
		if err != nil {
			t.Fatal(err)
		}
		mixed := slices.Clone(kept)
		for range random.IntN(4) {
			mixed = append(mixed, mixed[random.IntN(len(mixed))])
		}
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		got, err := Fold(mixed)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-ordered +shuffled)\n%s", seed, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{first, move, back, off, late, "{}", "[]"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Parse(body)
		if err != nil {
			return
		}
		again, err := Parse(e.Body)
		if err != nil {
			t.Fatalf("what was parsed is not parsed again: %v\n%s", err, e.Body)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Errorf("(-once +twice)\n%s", diff)
		}
		alone, err := Fold([]Event{*e})
		if err != nil {
			t.Fatal(err)
		}
		if alone.Status != e.Status {
			t.Errorf("%s becomes %s", e.Status, alone.Status)
		}
		others := append(parse(t, first, off), *e)
		want, err := Fold(others)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(others)
		got, err := Fold(append(others, *e))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-in order +reversed)\n%s", diff)
		}
	})
}
