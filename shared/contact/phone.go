// Package contact writes telephone numbers and e-mail addresses in one form, so
// that the same person is known again.
package contact

import (
	"errors"
	"strings"
)

// E164 writes a telephone number in the form of ITU-T E.164. Numbers without a
// country are North American; an extension cannot be written and is an error,
// as is anything that does not look like a number.
func E164(number string) (string, error) {
	var digits strings.Builder
	plus := false
	for i, r := range strings.TrimSpace(number) {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r == '+' && i == 0:
			plus = true
		case strings.ContainsRune(" -.()/\u00a0", r):
		default:
			return "", errors.New("is no telephone number")
		}
	}
	d := digits.String()
	if !plus && strings.HasPrefix(d, "00") {
		plus, d = true, d[2:]
	}
	if !plus && len(d) == 10 {
		d = "1" + d
	}
	switch {
	case plus && !strings.HasPrefix(d, "1"):
		// The standard's limits: a country code never begins with 0, 15 digits
		// in all; fewer than 8 reach nobody from abroad.
		if len(d) < 8 || len(d) > 15 || d[0] == '0' {
			return "", errors.New("is no international telephone number")
		}
	case len(d) != 11 || d[0] != '1' || d[1] < '2' || d[4] < '2':
		return "", errors.New("is no North American telephone number")
	}
	return "+" + d, nil
}
