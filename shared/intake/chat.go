package intake

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Chat is what a tenant wants of the chat on its pages. The zero value of a
// field is its default; a tenant without Enabled has no chat.
type Chat struct {
	Enabled bool `json:"enabled,omitempty"`
	// Assistant has Gemini answer from Facts. Without it every message is
	// taken in and acknowledged.
	Assistant bool `json:"assistant,omitempty"`
	// Streams sends an answer as it is made, sentence by sentence. Without it
	// an answer comes as a whole.
	Streams bool `json:"streams,omitempty"`
	// Greeting is the company's first words, Acknowledgement its answer where
	// the assistant gives none.
	Greeting        string `json:"greeting,omitempty"`
	Acknowledgement string `json:"acknowledgement,omitempty"`
	// Facts are all that the assistant may say of the company, one sentence
	// each. Numbers and prices that do not stand in them are never said.
	Facts []string `json:"facts,omitempty"`
	// QuietAfter is for how long nobody may have written before a conversation
	// becomes a request, a Go duration of 1m to 24h. Default 10m.
	QuietAfter string `json:"quietAfter,omitempty"`
	// MaxAnswers is to how many messages of one conversation the assistant may
	// answer, the first ones, MaxAnswersPerDay how often it may be asked for the
	// tenant in a day (UTC), MaxMessages how many messages one conversation
	// takes at all. What is over the first two is taken in and acknowledged.
	// Default 30, 1000 and 200.
	MaxAnswers       int `json:"maxAnswers,omitempty"`
	MaxAnswersPerDay int `json:"maxAnswersPerDay,omitempty"`
	MaxMessages      int `json:"maxMessages,omitempty"`
	// PerMinute and PerAddress are Config's, for the requests of a chat.
	// Default 1200 and 60.
	PerMinute  int `json:"perMinute,omitempty"`
	PerAddress int `json:"perAddress,omitempty"`
}

// Bounds of a chat's config.
const (
	maxFacts     = 60
	maxSentence  = 500 // characters
	minQuiet     = time.Minute
	maxQuiet     = 24 * time.Hour
	defaultQuiet = 10 * time.Minute
)

// WithDefaults returns the config with its defaults filled in.
func (c Chat) WithDefaults() Chat {
	if c.Greeting == "" {
		c.Greeting = "Hello! How can we help you?"
	}
	if c.Acknowledgement == "" {
		c.Acknowledgement = "Thank you, we have your message. A colleague will get back to you."
	}
	if c.QuietAfter == "" {
		c.QuietAfter = defaultQuiet.String()
	}
	if c.MaxAnswers == 0 {
		c.MaxAnswers = 30
	}
	if c.MaxAnswersPerDay == 0 {
		c.MaxAnswersPerDay = 1000
	}
	if c.MaxMessages == 0 {
		c.MaxMessages = 200
	}
	if c.PerMinute == 0 {
		c.PerMinute = 1200
	}
	if c.PerAddress == 0 {
		c.PerAddress = 60
	}
	return c
}

// Quiet is QuietAfter; its default if it is none, which Validate refuses.
func (c Chat) Quiet() time.Duration {
	if d, err := time.ParseDuration(c.QuietAfter); err == nil {
		return d
	}
	return defaultQuiet
}

// validate joins every mistake, each with its path below path.
func (c Chat) validate(path string) error {
	var errs []error
	add := func(at, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, at, fmt.Sprintf(format, args...)))
	}
	sentence := func(at, text string) {
		if utf8.RuneCountInString(text) > maxSentence || strings.TrimSpace(text) != text {
			add(at, "must be at most %d characters, without space around it", maxSentence)
		}
	}
	sentence("greeting", c.Greeting)
	sentence("acknowledgement", c.Acknowledgement)
	if len(c.Facts) > maxFacts {
		add("facts", "must be at most %d sentences, not %d", maxFacts, len(c.Facts))
	}
	for i, fact := range c.Facts {
		at := fmt.Sprintf("facts[%d]", i)
		if fact == "" {
			add(at, "is empty")
		}
		sentence(at, fact)
	}
	if c.Assistant && !c.Enabled {
		add("assistant", "needs enabled")
	}
	if c.Assistant && len(c.Facts) == 0 {
		add("facts", "must have what the assistant may say")
	}
	if c.QuietAfter != "" {
		if d, err := time.ParseDuration(c.QuietAfter); err != nil || d < minQuiet || d > maxQuiet {
			add("quietAfter", "must be a duration of 1m to 24h, such as 10m, not %q", c.QuietAfter)
		}
	}
	for _, n := range []struct {
		at         string
		value, max int
	}{{"maxAnswers", c.MaxAnswers, 1000}, {"maxAnswersPerDay", c.MaxAnswersPerDay, 1_000_000}, {"maxMessages", c.MaxMessages, 1000}, {"perMinute", c.PerMinute, 100_000}, {"perAddress", c.PerAddress, 10_000}} {
		if n.value < 0 || n.value > n.max {
			add(n.at, "must be 1 to %d, not %d", n.max, n.value)
		}
	}
	return errors.Join(errs...)
}
