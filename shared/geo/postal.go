package geo

import "strings"

// Kind is the kind of a postal code.
type Kind int

// The kinds. Unknown is a text that is no postal code of a country that is
// known here.
const (
	Unknown Kind = iota
	US
	Canada
)

// Postal is a postal code, as far as service areas tell codes apart.
type Postal struct {
	Kind Kind
	// Area is the five digits of a US ZIP code, or the forward sortation area
	// of a Canadian postal code, its first three characters in capitals.
	Area string
}

// ParsePostal reads a postal code as people write it: a ZIP code or ZIP+4
// ("90210", "90210-1234", "902101234"), a Canadian postal code or its forward
// sortation area ("M5V 2T6", "m5v2t6", "M5V"). Space around it is ignored.
func ParsePostal(s string) Postal {
	s = strings.TrimSpace(s)
	var buf [9]byte // a ZIP+4 without its dash is the longest
	n, gap := 0, -1 // gap is before which character there is space or a dash
	for i := range len(s) {
		c := s[i]
		if c == ' ' || c == '\t' || c == '-' {
			if gap >= 0 && gap != n {
				return Postal{}
			}
			gap = n
			continue
		}
		if n == len(buf) {
			return Postal{}
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[n] = c
		n++
	}
	code := buf[:n]
	switch {
	case (n == 5 && gap < 0 || n == 9 && (gap < 0 || gap == 5)) && digits(code):
		return Postal{US, string(code[:5])}
	case n == 3 && gap < 0 && isFSA(code), n == 6 && (gap < 0 || gap == 3) && isFSA(code[:3]) && isLDU(code[3:]):
		return Postal{Canada, string(code[:3])}
	}
	return Postal{}
}

func digits(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isFSA and isLDU: Canada Post uses neither D, F, I, O, Q nor U, and no code
// begins with W or Z (canadapost-postescanada.ca, Addressing Guidelines).
func isFSA(s []byte) bool {
	return isCanadianLetter(s[0]) && s[0] != 'W' && s[0] != 'Z' && isDigit(s[1]) && isCanadianLetter(s[2])
}

func isLDU(s []byte) bool { return isDigit(s[0]) && isCanadianLetter(s[1]) && isDigit(s[2]) }

func isCanadianLetter(c byte) bool {
	switch c {
	case 'D', 'F', 'I', 'O', 'Q', 'U':
		return false
	}
	return 'A' <= c && c <= 'Z'
}
