package gemini

import (
	"strings"
	"testing"
	"time"
)

// TestTable: every fact has a source, a day and a sensible value.
func TestTable(t *testing.T) {
	t.Parallel()
	for key, s := range known.Sources {
		if _, err := time.Parse(time.DateOnly, s.Read); err != nil || !strings.HasPrefix(s.Page, "https://") || s.Note == "" {
			t.Errorf("source %s: %+v, %v", key, s, err)
		}
	}
	for name, m := range known.Models {
		if m.Price != nil {
			if _, ok := known.Sources[m.Price.Source]; !ok || m.Price.Input <= 0 || m.Price.Output < m.Price.Input {
				t.Errorf("%s: price %+v", name, m.Price)
			}
		}
		if r := m.Retirement; r != nil {
			_, ok := known.Sources[r.Source]
			if _, err := time.Parse(time.DateOnly, r.Date); err != nil || !ok {
				t.Errorf("%s: retirement %+v, %v", name, r, err)
			}
			if _, there := known.Models[r.Replacement]; r.Replacement != "" && !there {
				t.Errorf("%s: its replacement %s is not in the table", name, r.Replacement)
			}
		}
	}
}

func TestMicros(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		input, output int64
		want          int64
		known         bool
	}{
		{"gemini-3.5-flash-lite", 0, 0, 0, true},
		{"gemini-3.5-flash-lite", 1, 0, 1, true}, // 0.3, rounded up
		{"gemini-3.5-flash-lite", 1000, 200, 800, true},
		{"gemini-3.5-flash", 1_000_000, 1_000_000, 10_500_000, true},
		{"gemini-2.5-flash", 1000, 200, 0, false}, // retired, and no price was confirmed
		{"gemini-9", 1000, 200, 0, false},
	} {
		if got, ok := Micros(tc.name, tc.input, tc.output); got != tc.want || ok != tc.known {
			t.Errorf("Micros(%s, %d, %d) = %d, %t; want %d, %t", tc.name, tc.input, tc.output, got, ok, tc.want, tc.known)
		}
	}
	if p, s, ok := PriceOf("gemini-3.5-flash-lite"); !ok || p.Input != 300_000 || s.Read != "2026-10-07" {
		t.Errorf("price %+v of %+v, %t", p, s, ok)
	}
	if _, _, ok := PriceOf("gemini-9"); ok {
		t.Error("a model that is not in the table has a price")
	}
}

func TestWarning(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, day, want string }{
		{"gemini-2.5-flash", "2026-07-17", ""},
		{"gemini-2.5-flash", "2026-07-18", "gemini-2.5-flash retires on 2026-10-16"},
		{"gemini-2.5-flash", "2026-10-16", "gemini-2.5-flash retires on 2026-10-16"}, // its last day
		{"gemini-2.5-flash", "2026-10-17", "gemini-2.5-flash retired on 2026-10-16"},
		{"gemini-3.5-flash-lite", "2026-11-25", ""},
		{"gemini-3.5-flash-lite", "2027-05-01", "gemini-3.5-flash-lite may retire from 2027-07-21"},
		{"gemini-3.5-flash-lite", "2027-07-21", "gemini-3.5-flash-lite may be retired"},
		{"gemini-9", "2030-01-01", ""},
	} {
		now, err := time.Parse(time.DateOnly, tc.day)
		if err != nil {
			t.Fatal(err)
		}
		if got := Warning(tc.name, now); !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
			t.Errorf("%s on %s: %q, want %q", tc.name, tc.day, got, tc.want)
		}
	}
	if got := Warning("gemini-2.5-flash", time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)); !strings.HasSuffix(got, "its replacement is gemini-3.5-flash-lite") {
		t.Errorf("no replacement is named: %s", got)
	}
}
