package contact

import (
	"errors"
	"net/mail"
	"strings"
)

// Email writes an address in small letters. The part before the @ may tell
// letters from capitals by the standard; no provider that anybody uses does.
// Anything but one bare address is an error.
func Email(address string) (string, error) {
	address = strings.TrimSpace(address)
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || strings.ContainsAny(address, "\r\n") {
		return "", errors.New("is no e-mail address")
	}
	return strings.ToLower(address), nil
}
