package contact

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
)

// Email writes an address in small letters. The part before the @ may tell
// letters from capitals by the standard; no provider that anybody uses does.
// Anything but one bare address is an error.
func Email(address string) (string, error) {
	address = strings.TrimSpace(address)
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || strings.ContainsFunc(address, hidden) {
		return "", errors.New("is no e-mail address")
	}
	return strings.ToLower(address), nil
}

// hidden are characters that nobody sees: with one of them an address looks like
// another.
func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
