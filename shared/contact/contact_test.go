package contact

import "testing"

func TestE164(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"(310) 555-0123":     "+13105550123",
		"310.555.0123":       "+13105550123",
		"1 310 555 0123":     "+13105550123",
		"+1 310 555 0123":    "+13105550123",
		"+44 20 7946 0018":   "+442079460018",
		"0044 20 7946 0018":  "+442079460018",
		"":                   "",
		"anonymous":          "",
		"555-0123":           "",
		"110 555 0123":       "", // area codes begin with 2
		"310 155 0123":       "", // so do exchanges
		"310 555 0123 x4":    "",
		"310 555 0123+":      "",
		"+1 310 555 012":     "",
		"+0 310 555 0123":    "",
		"+4420":              "",
		"+44207946001812345": "",
		"２１２ ５５５ ０１２３":       "", // digits of another script
	} {
		got, err := E164(number)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("E164(%q) = %q, %v, want %q", number, got, err, want)
		}
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"kim@example.com":           "kim@example.com",
		" Kim.Lee@Example.COM ":     "kim.lee@example.com",
		"":                          "",
		"kim":                       "",
		"Kim <kim@example.com>":     "",
		"kim@example.com\r\nBcc: x": "",
		"a@b@c":                     "",
		"kim\u200b@example.com":     "", // zero-width space
		"kim@example.com\u202e":     "", // turns what follows
		"jürgen@example.com":        "jürgen@example.com",
	} {
		got, err := Email(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Email(%q) = %q, %v, want %q", address, got, err, want)
		}
	}
}

func FuzzContact(f *testing.F) {
	f.Add("(310) 555-0123")
	f.Add("Kim@Example.com")
	f.Fuzz(func(t *testing.T, s string) {
		// What was written in the one form stays in it.
		if n, err := E164(s); err == nil {
			if again, err := E164(n); err != nil || again != n {
				t.Errorf("%q becomes %q, then %q, %v", s, n, again, err)
			}
		}
		if a, err := Email(s); err == nil {
			if again, err := Email(a); err != nil || again != a {
				t.Errorf("%q becomes %q, then %q, %v", s, a, again, err)
			}
		}
	})
}
