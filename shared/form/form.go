// Package form reads what forms of websites send: JSON, or what a browser makes
// of a form without any script, with or without files. Websites call the same
// things by many names; a form is read by those that are known everywhere and
// those that its tenant adds.
package form

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ingestion.internal/shared/contact"
	"ingestion.internal/shared/intake"
)

// SignatureHeader carries the signature of a form that a tenant's own server
// sends, see package signature.
const SignatureHeader = "Form-Signature"

// Bounds of a form, in characters where they are of texts. They are those of
// the columns; the message stays in the payload.
const (
	maxName    = 200
	maxPhone   = 40
	maxEmail   = 320
	maxPostal  = 16
	maxAddress = 500
	maxMessage = 20_000
	maxFields  = 200
	maxDepth   = 32
	maxFiles   = 5
	// maxKnownName is the longest name that is looked at, in bytes. Aliases have
	// 64 characters.
	maxKnownName = 256
)

// Fields by which a form speaks to the platform and not to the tenant.
const (
	tenantField      = "tenant_id"
	officeField      = "office_id"
	redirectField    = "_redirect"        // where to go on, for a form without script
	idempotencyField = "_idempotency_key" // the same for every try to send one form
	elapsedField     = "_elapsed_ms"      // since the page was shown
)

// Errors of Read that are not about what a form says.
var (
	// ErrMediaType says that the content type is not one of a form.
	ErrMediaType = errors.New("send application/json, application/x-www-form-urlencoded or multipart/form-data")
	// ErrMalformed says that the body is not what its content type says.
	ErrMalformed = errors.New("the body is not a form")
)

// Raw is a form as it was sent.
type Raw struct {
	TenantID string
	Fields   map[string]any // strings, and of JSON any value
	Files    []File
	Plain    bool // it was sent by a browser without script, or as if
}

// File is an attachment.
type File struct {
	Field string // name of the form's field
	Name  string // as the sender calls it; not to be trusted
	Data  []byte
}

// Read reads a body. Errors may be shown to the sender: ErrMediaType,
// ErrMalformed, or what is over a bound.
func Read(contentType string, body []byte) (*Raw, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, ErrMediaType
	}
	raw := &Raw{Fields: map[string]any{}}
	switch media {
	case "application/json":
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		err := dec.Decode(&raw.Fields)
		if _, end := dec.Token(); err != nil || raw.Fields == nil || !errors.Is(end, io.EOF) {
			return nil, fmt.Errorf("%w: it is not a JSON object", ErrMalformed)
		}
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fmt.Errorf("%w: it is not form-encoded", ErrMalformed)
		}
		raw.Plain = true
		for name, all := range values {
			raw.Fields[name] = unwrap(all)
		}
	case "multipart/form-data":
		raw.Plain = true
		if err := raw.readParts(params["boundary"], body); err != nil {
			return nil, err
		}
	default:
		return nil, ErrMediaType
	}
	if len(raw.Fields) > maxFields {
		return nil, fmt.Errorf("at most %d fields are accepted", maxFields)
	}
	if deeper(raw.Fields, maxDepth) {
		return nil, fmt.Errorf("the body is nested deeper than %d levels", maxDepth)
	}
	raw.TenantID, _ = raw.Fields[tenantField].(string)
	return raw, nil
}

// CheckType tells why a body might be another form under another content type.
// It is for a body that is proven without its type, in which a stranger's words
// stand: what they wrote as text must not come back as fields. A body of one of
// the types is of neither other: JSON begins with {, multipart with the line of
// its boundary (which nothing precedes, though RFC 2046 allows it), and what is
// form-encoded with neither.
func CheckType(contentType string, body []byte) error {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ErrMediaType
	}
	line, _, _ := bytes.Cut(body, []byte("\n"))
	asJSON := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
	asParts := bytes.HasPrefix(body, []byte("--"))
	switch media {
	case "application/json":
		if asJSON {
			return nil
		}
	case "multipart/form-data":
		if asParts && string(bytes.TrimSuffix(line, []byte("\r"))) == "--"+params["boundary"] {
			return nil
		}
	case "application/x-www-form-urlencoded":
		if !asJSON && !asParts {
			return nil
		}
	default:
		return ErrMediaType
	}
	return fmt.Errorf("%w: its beginning is not of its content type", ErrMalformed)
}

// readParts reads the parts of a multipart body.
func (raw *Raw) readParts(boundary string, body []byte) error {
	values := map[string][]string{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: its parts cannot be told apart", ErrMalformed)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("%w: a part ends early", ErrMalformed)
		}
		name := part.FormName()
		switch {
		case name == "":
			return fmt.Errorf("%w: a part has no name", ErrMalformed)
		case part.FileName() == "":
			values[name] = append(values[name], string(data))
		case len(data) == 0: // a field for files that was left empty
		case len(raw.Files) == maxFiles:
			return fmt.Errorf("at most %d files are accepted", maxFiles)
		default:
			raw.Files = append(raw.Files, File{Field: name, Name: part.FileName(), Data: data})
		}
		if len(values) > maxFields {
			break
		}
	}
	for name, all := range values {
		raw.Fields[name] = unwrap(all)
	}
	return nil
}

// unwrap makes a list of one its element.
func unwrap(all []string) any {
	if len(all) == 1 {
		return all[0]
	}
	list := make([]any, len(all))
	for i, s := range all {
		list[i] = s
	}
	return list
}

// Contact is whom a form is from.
type Contact struct {
	Name       string
	Phone      string // E.164 where it can be written so, else as it was sent
	Email      string
	PostalCode string
}

// ReadContact reads whom fields are from, by the tenant's names and those that
// are known everywhere. It is for fields that nobody is there to correct: what
// is not what its name says is left out.
func ReadContact(fields map[string]any, cfg intake.Config) Contact {
	c := newReader(fields).contact(cfg)
	c.Email, _ = contact.Email(c.Email)
	c.Phone, _ = phoneOf(c.Phone)
	return c
}

// phoneOf writes a telephone number as E.164 where that can be done; false if
// it is none.
func phoneOf(sent string) (string, bool) {
	if e164, err := contact.E164(sent); err == nil {
		return e164, true
	}
	if sent != "" && len(digit.FindAllString(sent, -1)) < 7 {
		return "", false
	}
	return sent, true
}

// Form is what a form says.
type Form struct {
	TenantID, OfficeID string
	Contact
	Address string
	Message string

	IdempotencyKey string // "" if the form carries none
	Redirect       string // "" if the form asks for none
	// Signals say why the form looks like a robot's.
	Signals []string
	// Attachments are the files that came with it, once they are stored.
	Attachments []Attachment
	// Fields are all that was sent but for what speaks to the platform.
	Fields map[string]any
}

// known are the names by which websites know things; the first one present
// counts. Names are compared without capitals, and with _ for - and space.
var known = map[string][]string{
	intake.Name:    {"name", "full_name", "fullname", "your_name", "customer_name", "contact_name"},
	intake.Phone:   {"phone", "phone_number", "telephone", "tel", "mobile", "mobile_number", "cell", "customer_phone", "your_phone"},
	intake.Email:   {"email", "email_address", "e_mail", "mail", "customer_email", "your_email"},
	intake.Zip:     {"zip", "zip_code", "zipcode", "postal_code", "postcode", "postal"},
	intake.Address: {"address", "street_address", "street", "address_line_1"},
	intake.Message: {"message", "comments", "comment", "details", "description", "project_details", "your_message", "notes"},
}

// Names of the two halves of a name.
var (
	firstNames = []string{"first_name", "firstname", "given_name", "fname"}
	lastNames  = []string{"last_name", "lastname", "family_name", "surname", "lname"}
)

// IsNamePart tells whether a field of this name holds one half of a name.
func IsNamePart(field string) bool {
	return slices.Contains(firstNames, normalName(field)) || slices.Contains(lastNames, normalName(field))
}

var (
	officeID       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,36}$`)
	idempotencyKey = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)
	digit          = regexp.MustCompile(`[0-9]`)
)

// ValidIdempotencyKey tells whether a key can be one.
func ValidIdempotencyKey(key string) bool { return idempotencyKey.MatchString(key) }

// Interpret reads the form by its tenant's names. The error joins everything
// that is wrong with it, and may be shown to its sender.
func (raw *Raw) Interpret(cfg intake.Config) (*Form, error) {
	cfg = cfg.WithDefaults()
	r := newReader(raw.Fields)
	f := &Form{
		TenantID:       raw.TenantID,
		OfficeID:       r.text(maxName, officeField),
		IdempotencyKey: r.text(maxName*2, idempotencyField),
		Redirect:       r.text(2000, redirectField),
		Contact:        r.contact(cfg),
		Address:        r.field(cfg, intake.Address, maxAddress),
		Message:        r.field(cfg, intake.Message, maxMessage),
	}
	f.Signals = r.signals(cfg)
	f.Fields = raw.content(cfg)
	if f.TenantID == "" {
		r.fail("%s is missing", tenantField)
	}
	if f.OfficeID != "" && !officeID.MatchString(f.OfficeID) {
		r.fail("%s is not an id", officeField)
	}
	if f.IdempotencyKey != "" && !ValidIdempotencyKey(f.IdempotencyKey) {
		r.fail("%s must be 1 to 255 printable characters", idempotencyField)
	}
	if f.Redirect != "" && !cfg.AllowsRedirect(f.Redirect) {
		r.fail("%s is not an address that the tenant allows", redirectField)
	}
	if f.Email != "" {
		email, err := contact.Email(f.Email)
		if err != nil {
			r.fail("email is not an address")
		}
		f.Email = email
	}
	phone, ok := phoneOf(f.Phone)
	if !ok {
		r.fail("phone is not a telephone number")
	}
	f.Phone = phone
	if len(r.errs) == 0 && f.Phone == "" && f.Email == "" && f.Message == "" && len(raw.Files) == 0 {
		r.fail("one of phone, email and message is needed")
	}
	return f, errors.Join(r.errs...)
}

// reader reads a form's fields and collects what is wrong with them.
type reader struct {
	fields map[string]any
	names  map[string]string // normal name to the one that was sent
	errs   []error
}

func newReader(fields map[string]any) *reader {
	r := &reader{fields: fields, names: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if len(name) > maxKnownName {
			continue // or an answer would repeat it
		}
		if normal := normalName(name); r.names[normal] == "" {
			r.names[normal] = name
		}
	}
	return r
}

// contact reads whom the form is from, as it was sent.
func (r *reader) contact(cfg intake.Config) Contact {
	c := Contact{
		Name:       r.field(cfg, intake.Name, maxName),
		Phone:      r.field(cfg, intake.Phone, maxPhone),
		Email:      r.field(cfg, intake.Email, maxEmail),
		PostalCode: r.field(cfg, intake.Zip, maxPostal),
	}
	if c.Name == "" {
		c.Name = strings.TrimSpace(r.text(maxName/2, firstNames...) + " " + r.text(maxName/2, lastNames...))
	}
	return c
}

func (r *reader) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// normalName is how names are compared.
func normalName(name string) string {
	return strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// field reads what a form says of one thing: by the tenant's names in their
// order, then by those that are known everywhere.
func (r *reader) field(cfg intake.Config, what string, limit int) string {
	var names []string
	for _, alias := range slices.Sorted(maps.Keys(cfg.Aliases)) {
		if cfg.Aliases[alias] == what {
			names = append(names, alias)
		}
	}
	return r.text(limit, append(names, known[what]...)...)
}

// text returns the first of the fields that is present and not empty.
func (r *reader) text(limit int, names ...string) string {
	for _, name := range names {
		sent, ok := r.names[normalName(name)]
		if !ok || r.fields[sent] == nil {
			continue
		}
		var s string
		switch v := r.fields[sent].(type) {
		case string:
			s = strings.TrimSpace(v)
		case json.Number: // a ZIP code or a telephone number that was not quoted
			s = v.String()
		default:
			r.fail("%s must be a string", sent)
			return ""
		}
		if utf8.RuneCountInString(s) > limit {
			r.fail("%s is longer than %d characters", sent, limit)
			return ""
		}
		if s != "" {
			return s
		}
	}
	return ""
}

// trapped is the signal that hardly any person gives.
const trapped = "a field that people do not see was filled in"

// SpamFloor is the least spam likelihood, 0 to 100, of a form with the signals:
// the trap is as good as proof, haste alone is not, since browsers fill in
// forms for people.
func SpamFloor(signals []string) int64 {
	switch {
	case slices.Contains(signals, trapped):
		return 95
	case len(signals) > 0:
		return 40
	}
	return 0
}

// signals says why the form looks like a robot's.
func (r *reader) signals(cfg intake.Config) []string {
	var signals []string
	if sent, ok := r.names[normalName(cfg.Honeypot)]; ok && fmt.Sprint(r.fields[sent]) != "" {
		signals = append(signals, trapped)
	}
	if sent, ok := r.names[elapsedField]; ok && cfg.MinSeconds > 0 {
		ms, err := strconv.ParseFloat(fmt.Sprint(r.fields[sent]), 64)
		if err != nil || !(ms >= 0) {
			signals = append(signals, "how long the form took to fill in is no number")
		} else if took := time.Duration(ms) * time.Millisecond; took < time.Duration(cfg.MinSeconds)*time.Second {
			signals = append(signals, fmt.Sprintf("it was filled in within %s", took.Round(100*time.Millisecond)))
		}
	}
	return signals
}

// content is what the form says to its tenant.
func (raw *Raw) content(cfg intake.Config) map[string]any {
	content := maps.Clone(raw.Fields)
	for name := range raw.Fields {
		switch normalName(name) {
		case redirectField, idempotencyField, elapsedField, normalName(cfg.Honeypot), intakeField:
			delete(content, name)
		}
	}
	return content
}

// intakeField is the part of a request's payload that the platform adds to what
// a form says. Nobody can send it.
const intakeField = "_intake"

// Payload is the form as its request keeps it: what it says, and below _intake
// what the platform adds.
func (f *Form) Payload(origin string) (json.RawMessage, error) {
	return f.with(added{Origin: origin, Signals: f.Signals, Attachments: f.Attachments})
}

// Said is what the form says with its files, without what the platform saw in
// how it was sent: the same for every try to send it.
func (f *Form) Said() (json.RawMessage, error) {
	return f.with(added{Attachments: f.Attachments})
}

func (f *Form) with(more added) (json.RawMessage, error) {
	payload := maps.Clone(f.Fields)
	if more.Origin != "" || len(more.Signals) > 0 || len(more.Attachments) > 0 {
		payload[intakeField] = more
	}
	return json.Marshal(payload)
}

// added is what the platform adds to a form, below intakeField.
type added struct {
	Origin      string       `json:"origin,omitempty"`
	Signals     []string     `json:"signals,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
}

func addedTo(payload json.RawMessage) added {
	var p struct {
		Intake added `json:"_intake"`
	}
	_ = json.Unmarshal(payload, &p) // of another shape: none
	return p.Intake
}

// SignalsOf returns the signals in a request's payload.
func SignalsOf(payload json.RawMessage) []string { return addedTo(payload).Signals }

// AttachmentsOf returns the files that a request's payload lists.
func AttachmentsOf(payload json.RawMessage) []Attachment { return addedTo(payload).Attachments }

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
