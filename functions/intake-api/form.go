package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of a form, in characters. They are those of the columns; the message
// stays in the payload.
const (
	maxName    = 200
	maxPhone   = 40
	maxEmail   = 320
	maxPostal  = 16
	maxMessage = 20_000
	maxFields  = 200
	maxDepth   = 32
)

// form is what the platform needs of a website form. Its other fields are kept
// in the request's payload.
type form struct {
	TenantID, OfficeID                      string
	Name, Phone, Email, PostalCode, Message string
}

// Names by which websites know the fields; the first one present counts.
var (
	nameFields    = []string{"name", "full_name", "customer_name"}
	phoneFields   = []string{"phone", "phone_number", "customer_phone"}
	emailFields   = []string{"email", "email_address", "customer_email"}
	postalFields  = []string{"zip", "zip_code", "postal_code"}
	messageFields = []string{"message", "comments", "details"}
)

var (
	officeID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,36}$`)
	digit    = regexp.MustCompile(`[0-9]`)
)

var errNotObject = errors.New("the body is not a JSON object")

// parseForm reads a form. malformed is an error of the JSON itself, invalid one
// of what its fields hold; both say everything that is wrong, for the sender.
func parseForm(body []byte) (f form, malformed, invalid error) {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return form{}, errNotObject, nil
	}
	if len(fields) > maxFields {
		return form{}, nil, fmt.Errorf("at most %d fields are accepted", maxFields)
	}
	if deeper(fields, maxDepth) {
		return form{}, nil, fmt.Errorf("the body is nested deeper than %d levels", maxDepth)
	}
	var errs []error
	text := func(limit int, names ...string) string {
		for _, name := range names {
			value, present := fields[name]
			if !present || value == nil {
				continue
			}
			var s string
			switch v := value.(type) {
			case string:
				s = strings.TrimSpace(v)
			case float64: // a ZIP code or a phone number that was not quoted
				s = fmt.Sprintf("%.0f", v)
			default:
				errs = append(errs, fmt.Errorf("%s must be a string", name))
				return ""
			}
			if utf8.RuneCountInString(s) > limit {
				errs = append(errs, fmt.Errorf("%s is longer than %d characters", name, limit))
				return ""
			}
			if s != "" {
				return s
			}
		}
		return ""
	}
	f = form{
		TenantID:   text(maxName, "tenant_id"),
		OfficeID:   text(maxName, "office_id"),
		Name:       text(maxName, nameFields...),
		Phone:      text(maxPhone, phoneFields...),
		Email:      text(maxEmail, emailFields...),
		PostalCode: text(maxPostal, postalFields...),
		Message:    text(maxMessage, messageFields...),
	}
	if f.TenantID == "" {
		errs = append(errs, errors.New("tenant_id is missing"))
	}
	if f.OfficeID != "" && !officeID.MatchString(f.OfficeID) {
		errs = append(errs, errors.New("office_id is not an id"))
	}
	if f.Email != "" {
		if a, err := mail.ParseAddress(f.Email); err != nil || a.Address != f.Email {
			errs = append(errs, errors.New("email is not an address"))
		}
	}
	if f.Phone != "" && len(digit.FindAllString(f.Phone, -1)) < 7 {
		errs = append(errs, errors.New("phone is not a telephone number"))
	}
	if len(errs) == 0 && f.Phone == "" && f.Email == "" && f.Message == "" {
		errs = append(errs, errors.New("one of phone, email and message is needed"))
	}
	return f, nil, errors.Join(errs...)
}

func deeper(value any, levels int) bool {
	if levels < 0 {
		return true
	}
	switch v := value.(type) {
	case map[string]any:
		for _, element := range v {
			if deeper(element, levels-1) {
				return true
			}
		}
	case []any:
		for _, element := range v {
			if deeper(element, levels-1) {
				return true
			}
		}
	}
	return false
}
