package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ingestion.internal/shared/contact"
	"ingestion.internal/shared/jsontext"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/store"
)

// Bounds of what a visitor sends.
const (
	maxMessageChars = 2000
	// maxConversationChars bounds what one conversation says in all: its
	// analysis reads it whole each time.
	maxConversationChars = 60_000
	maxDepth             = 8
	maxPage              = 2048
)

// details are what a page may know of its visitor.
type details struct {
	Name  string `json:"name"`
	Phone string `json:"phone"`
	Email string `json:"email"`
	Zip   string `json:"zip"`
}

func (d details) visitor() store.Visitor { return store.Visitor(d) }

type sessionInput struct {
	TenantID string `json:"tenant_id"`
	OfficeID string `json:"office_id"`
	Page     string `json:"page"`
	details
}

type messageInput struct {
	Number int64  `json:"number"`
	Text   string `json:"text"`
	details
}

func parseSession(body []byte) (*sessionInput, error) {
	var in sessionInput
	if err := parse(body, &in); err != nil {
		return nil, err
	}
	wrong := in.check()
	if in.TenantID == "" {
		wrong = append(wrong, "tenant_id is missing")
	}
	if utf8.RuneCountInString(in.Page) > maxPage {
		wrong = append(wrong, fmt.Sprintf("page is longer than %d characters", maxPage))
	}
	return &in, unprocessable(wrong)
}

func parseMessage(body []byte) (*messageInput, error) {
	var in messageInput
	if err := parse(body, &in); err != nil {
		return nil, err
	}
	if in.Number < 1 {
		return nil, problem.New(problem.BadRequest, "number must be at least 1")
	}
	if strings.TrimSpace(in.Text) == "" {
		return nil, problem.New(problem.BadRequest, "text is empty")
	}
	wrong := in.check()
	if utf8.RuneCountInString(in.Text) > maxMessageChars {
		wrong = append(wrong, fmt.Sprintf("text is longer than %d characters", maxMessageChars))
	}
	return &in, unprocessable(wrong)
}

// parseNothing takes an empty body or any JSON object.
func parseNothing(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	return parse(body, &struct{}{})
}

// parse reads a JSON object. Fields that are not known are ignored.
func parse(body []byte, into any) error {
	if err := jsontext.CheckDepth(body, maxDepth); err != nil {
		return problem.New(problem.BadRequest, err.Error())
	}
	if text := strings.TrimSpace(string(body)); !strings.HasPrefix(text, "{") {
		return problem.New(problem.BadRequest, "the body is not a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return problem.New(problem.BadRequest, fmt.Sprintf("%s must not be a %s", wrong.Field, wrong.Value))
		}
		return problem.New(problem.BadRequest, "the body is not a JSON object")
	}
	return nil
}

// check tidies the details and returns what is wrong with them.
func (d *details) check() []string {
	var wrong []string
	for _, field := range []struct {
		name  string
		value *string
		most  int
	}{{"name", &d.Name, 200}, {"phone", &d.Phone, 40}, {"email", &d.Email, 320}, {"zip", &d.Zip, 16}} {
		*field.value = strings.TrimSpace(*field.value)
		if utf8.RuneCountInString(*field.value) > field.most {
			wrong = append(wrong, fmt.Sprintf("%s is longer than %d characters", field.name, field.most))
		}
	}
	if _, err := contact.E164(d.Phone); d.Phone != "" && err != nil {
		wrong = append(wrong, "phone is not a telephone number")
	}
	if _, err := contact.Email(d.Email); d.Email != "" && err != nil {
		wrong = append(wrong, "email is not an address")
	}
	return wrong
}

func unprocessable(wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	return problem.New(problem.Unprocessable, strings.Join(wrong, "; "))
}
