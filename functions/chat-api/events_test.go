package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/intake"
)

// names are events without what they say.
func names(events []event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.name+" "+e.id)
	}
	return all
}

// An answer comes as events, and goes on from any of them.
func TestEvents(t *testing.T) {
	f := newFixture(t, chatting(func(c *intake.Config) { c.Chat.Streams = true }))
	g := f.open(`{"tenant_id":"acme"}`)
	first := g.say(`{"number":1,"text":"x"}`, "Accept", asks)
	if first.status != http.StatusOK || first.header.Get("Content-Type") != asks || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v", first.status, first.header)
	}
	end := len(acknowledgement)
	whole := []string{"accepted 1.0", fmt.Sprintf("delta 1.%d", end), "done 1.end"}
	if diff := cmp.Diff(whole, names(eventsOf(first.body))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for from, want := range map[string][]string{
		"":                       whole,
		"nonsense":               whole,
		"2.5":                    whole, // of another message
		"1.0":                    whole,
		"1.9":                    whole[1:],
		fmt.Sprintf("1.%d", end): whole[2:],
		"1.99999":                whole[2:],
		"1.end":                  whole[2:],
	} {
		got := g.say(`{"number":1,"text":"x"}`, "Accept", asks, "Last-Event-ID", from)
		if diff := cmp.Diff(want, names(eventsOf(got.body))); diff != "" {
			t.Errorf("from %q (-want +got)\n%s", from, diff)
		}
	}
	rest := eventsOf(g.say(`{"number":1,"text":"x"}`, "Accept", asks, "Last-Event-ID", "1.9").body)
	if want := fmt.Sprintf(`{"number":1,"text":%q}`, acknowledgement[9:]); rest[0].data != want {
		t.Errorf("the rest is %s, want %s", rest[0].data, want)
	}
	g.say(`{"number":2,"text":"y"}`).into(t, http.StatusOK, nil)
	second := []string{"accepted 2.0", fmt.Sprintf("delta 2.%d", end), "done 2.end"}
	for _, tt := range []struct {
		query, from string
		want        []string
	}{
		{"", "", append(whole[:3:3], second...)},
		{"?after=1", "", second},
		{"?after=2", "", nil},
		{"?after=2", "1.end", second},
		{"", "2.0", second[1:]},
		{"", "2.end", nil},
	} {
		got := g.get(tt.query, "Accept", asks, "Last-Event-ID", tt.from)
		if diff := cmp.Diff(tt.want, names(eventsOf(got.body))); diff != "" {
			t.Errorf("%s from %q (-want +got)\n%s", tt.query, tt.from, diff)
		}
	}
}
