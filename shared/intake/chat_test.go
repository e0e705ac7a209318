package intake

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChatValidate(t *testing.T) {
	t.Parallel()
	good := Chat{Enabled: true, Assistant: true, Streams: true, Greeting: "Hi!", Facts: []string{"We do kitchens."}, QuietAfter: "90s", MaxAnswers: 1, MaxAnswersPerDay: 5, MaxMessages: 2, PerMinute: 3, PerAddress: 4}
	for name, c := range map[string]Chat{"zero": {}, "good": good} {
		if err := c.validate("t.chat"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := Config{Chat: Chat{
		Assistant: true, Greeting: strings.Repeat("x", 501), Acknowledgement: " x", Facts: []string{"", "x "}, QuietAfter: "59s",
		MaxAnswers: -1, MaxAnswersPerDay: 1_000_001, MaxMessages: 1001, PerMinute: -1, PerAddress: 10_001,
	}}
	err := wrong.Validate("t")
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	var at []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		path, _, _ := strings.Cut(line, ": ")
		at = append(at, strings.TrimPrefix(path, "t.chat."))
	}
	want := []string{"greeting", "acknowledgement", "facts[0]", "facts[1]", "assistant", "quietAfter", "maxAnswers", "maxAnswersPerDay", "maxMessages", "perMinute", "perAddress"}
	if !slices.Equal(at, want) {
		t.Errorf("mistakes at %v, want %v", at, want)
	}
	if err := (Chat{Enabled: true, Assistant: true}).validate("t"); err == nil || !strings.HasPrefix(err.Error(), "t.facts: ") {
		t.Errorf("an assistant that may say nothing: %v", err)
	}
	if err := (Chat{Facts: slices.Repeat([]string{"x"}, 61)}).validate("t"); err == nil {
		t.Error("61 facts are none too many")
	}
}

func TestChatDefaults(t *testing.T) {
	t.Parallel()
	d := Config{}.WithDefaults().Chat
	if d.Quiet() != 10*time.Minute || d.MaxAnswers != 30 || d.MaxAnswersPerDay != 1000 || d.MaxMessages != 200 || d.PerMinute != 1200 || d.PerAddress != 60 || d.Greeting == "" || d.Acknowledgement == "" {
		t.Errorf("%+v", d)
	}
	if got := (Chat{QuietAfter: "2m"}).WithDefaults().Quiet(); got != 2*time.Minute {
		t.Errorf("own: %s", got)
	}
}
