package oneline

import (
	"strings"
	"testing"
	"unicode"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		" Kim  Lee\u00a0":                   "Kim Lee",
		"Kim\r\nBcc: x@example.com":         "Kim Bcc: x@example.com",
		"a\x00b\u0085c\u2028d":              "a b c d",
		"\x1b[2Jplan.pdf":                   "[2Jplan.pdf",
		"plan\u202efdp.exe\u2066":           "planfdp.exe",
		"K\u200bi\u00adm\ufeff":             "Kim",
		"\u0645\u06cc\u200c\u062e\u0648":    "\u0645\u06cc\u200c\u062e\u0648", // a non-joiner that spells
		"\u200d":                            "",                               // what nobody sees is no name
		"\u200c \u200d":                     "",
		"\u3164":                            "",
		"\u2800":                            "",
		"\u034f\ufe0f":                      "",
		"\U0001f468\u200d\U0001f469 family": "\U0001f468\u200d\U0001f469 family",
	} {
		if got := Of(text); got != want {
			t.Errorf("Of(%q) = %q, want %q", text, got, want)
		}
	}
}

// Whatever it is, it is one line, and again it is the same.
func FuzzOf(f *testing.F) {
	f.Add("Kim\r\nLee \u202e")
	f.Add("\xff\x1b")
	f.Fuzz(func(t *testing.T, text string) {
		once := Of(text)
		if again := Of(once); again != once {
			t.Errorf("%q becomes %q, then %q", text, once, again)
		}
		if strings.ContainsFunc(once, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) || strings.TrimSpace(once) != once {
			t.Errorf("%q becomes %q", text, once)
		}
	})
}
