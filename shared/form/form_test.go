package form

import (
	"encoding/json"
	"errors"
	"mime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/intake"
)

const (
	jsonType      = "application/json; charset=utf-8"
	encodedType   = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data; boundary=b"
)

func TestInterpret(t *testing.T) {
	t.Parallel()
	aliases := intake.Config{Aliases: map[string]string{"ruf": intake.Phone, "wo": intake.Address}, Honeypot: "trap", MinSeconds: 5}
	for name, tt := range map[string]struct {
		cfg         intake.Config
		contentType string
		body        string
		want        *Form
		wantErr     string
	}{
		"json": {intake.Config{}, jsonType, `{"tenant_id":"acme","office_id":"south","full_name":" Kim ","Email-Address":"Kim@Example.com","zip":90210,"message":"x","budget":{"max":4}}`, &Form{
			TenantID: "acme", OfficeID: "south", Contact: Contact{Name: "Kim", Email: "kim@example.com", PostalCode: "90210"}, Message: "x",
		}, ""},
		"encoded": {intake.Config{}, encodedType, "tenant_id=acme&mobile=310.555.0123&first+name=Kim&surname=Lee&street=Main+St+1", &Form{
			TenantID: "acme", Contact: Contact{Name: "Kim Lee", Phone: "+13105550123"}, Address: "Main St 1",
		}, ""},
		"aliases_go_first": {aliases, jsonType, `{"tenant_id":"acme","phone":"310 555 0100","Ruf":"310 555 0123","wo":"Here"}`, &Form{
			TenantID: "acme", Contact: Contact{Phone: "+13105550123"}, Address: "Here",
		}, ""},
		"number_as_number":      {intake.Config{}, jsonType, `{"tenant_id":"acme","phone":13105550123}`, &Form{TenantID: "acme", Contact: Contact{Phone: "+13105550123"}}, ""},
		"extension_is_kept":     {intake.Config{}, jsonType, `{"tenant_id":"acme","phone":"310 555 0123 x4"}`, &Form{TenantID: "acme", Contact: Contact{Phone: "310 555 0123 x4"}}, ""},
		"trap_and_haste":        {aliases, jsonType, `{"tenant_id":"acme","message":"x","trap":"y","_elapsed_ms":"1200"}`, &Form{TenantID: "acme", Message: "x", Signals: []string{"a field that people do not see was filled in", "it was filled in within 1.2s"}}, ""},
		"no_haste":              {aliases, jsonType, `{"tenant_id":"acme","message":"x","_elapsed_ms":5000}`, &Form{TenantID: "acme", Message: "x"}, ""},
		"elapsed_nonsense":      {aliases, jsonType, `{"tenant_id":"acme","message":"x","_elapsed_ms":"NaN"}`, &Form{TenantID: "acme", Message: "x", Signals: []string{"how long the form took to fill in is no number"}}, ""},
		"haste_does_not_matter": {intake.Config{MinSeconds: -1}, jsonType, `{"tenant_id":"acme","message":"x","_elapsed_ms":1}`, &Form{TenantID: "acme", Message: "x"}, ""},
		"every_mistake": {intake.Config{}, jsonType, `{"office_id":"a b","email":"x","phone":"12","name":[],"_redirect":"https://evil.example/","_idempotency_key":"a b"}`, nil,
			"name must be a string\ntenant_id is missing\noffice_id is not an id\n_idempotency_key must be 1 to 255 printable characters\n_redirect is not an address that the tenant allows\nemail is not an address\nphone is not a telephone number"},
		"nothing":   {intake.Config{}, jsonType, `{"tenant_id":"acme","name":"Kim","message":" "}`, nil, "one of phone, email and message is needed"},
		"long_name": {intake.Config{}, jsonType, `{"tenant_id":"acme","message":"x","name":"` + strings.Repeat("é", 201) + `"}`, nil, "name is longer than 200 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := Read(tt.contentType, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := raw.Interpret(tt.cfg)
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("error %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Form{}, "Fields")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func parts(all ...string) string {
	return "--b\r\n" + strings.Join(all, "\r\n--b\r\n") + "\r\n--b--\r\n"
}

func part(header, data string) string {
	return "Content-Disposition: form-data; " + header + "\r\n\r\n" + data
}

func TestReadParts(t *testing.T) {
	t.Parallel()
	raw, err := Read(multipartType, []byte(parts(
		part(`name="tenant_id"`, "acme"), part(`name="room"`, "kitchen"), part(`name="room"`, "bath"),
		part(`name="plan"; filename="../plan.pdf"`, "%PDF-1.7"), part(`name="none"; filename=""`, ""), part(`name="empty"; filename="x.png"`, ""),
	)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Raw{TenantID: "acme", Plain: true, Files: []File{{Field: "plan", Name: "plan.pdf", Data: []byte("%PDF-1.7")}},
		Fields: map[string]any{"tenant_id": "acme", "room": []any{"kitchen", "bath"}, "none": ""}}
	if diff := cmp.Diff(want, raw); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	files := make([]string, maxFiles+1)
	for i := range files {
		files[i] = part(`name="f"; filename="f"`, "x")
	}
	for name, tt := range map[string]struct {
		contentType, body string
		want              error // nil: another
	}{
		"no_type":        {"", "{}", ErrMediaType},
		"text":           {"text/plain", "x", ErrMediaType},
		"array":          {jsonType, "[]", ErrMalformed},
		"null":           {jsonType, "null", ErrMalformed},
		"two_values":     {jsonType, "{}{}", ErrMalformed},
		"more_brackets":  {jsonType, "{}]", ErrMalformed},
		"bad_escape":     {encodedType, "a=%zz", ErrMalformed},
		"no_boundary":    {"multipart/form-data", "x", ErrMalformed},
		"cut_short":      {multipartType, "--b\r\n" + part(`name="a"`, "x"), ErrMalformed},
		"part_no_name":   {multipartType, parts(part(`filename="x"`, "y")), ErrMalformed},
		"too_many_files": {multipartType, parts(files...), nil},
		"too_deep":       {jsonType, `{"y":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, nil},
		"too_many": {jsonType, `{"a":0` + func() string {
			var b strings.Builder
			for i := range maxFields {
				b.WriteString(`,"f` + strings.Repeat("x", i) + `":1`)
			}
			return b.String()
		}() + `}`, nil},
	} {
		_, err := Read(tt.contentType, []byte(tt.body))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// A name that is padded without end is none that is known, and no answer repeats
// it.
func TestLongNames(t *testing.T) {
	t.Parallel()
	padded := strings.Repeat(" ", 1<<20) + "name"
	raw, err := Read(jsonType, []byte(`{"tenant_id":"acme","message":"x","`+padded+`":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := raw.Interpret(intake.Config{})
	if err != nil {
		t.Fatalf("%d bytes: %.100s", len(err.Error()), err.Error())
	}
	if _, ok := f.Fields[padded]; !ok {
		t.Error("the field is not kept")
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	raw, err := Read(jsonType, []byte(`{"tenant_id":"acme","message":"x","website":"y","_intake":{"signals":["forged"]},"_redirect":"","n":12345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := raw.Interpret(intake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := f.Payload("https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"_intake":{"origin":"https://a.example","signals":["a field that people do not see was filled in"]},"message":"x","n":12345678901234567890,"tenant_id":"acme"}`
	if string(payload) != want {
		t.Errorf("%s, want %s", payload, want)
	}
	if diff := cmp.Diff(f.Signals, SignalsOf(payload)); diff != "" {
		t.Errorf("signals (-want +got)\n%s", diff)
	}
	if got := SignalsOf(json.RawMessage("[]")); got != nil {
		t.Errorf("signals of another shape: %v", got)
	}
}

// sameType tells whether two content types have a body read in one way.
func sameType(t *testing.T, a, b string) bool {
	t.Helper()
	mediaA, paramsA, errA := mime.ParseMediaType(a)
	mediaB, paramsB, errB := mime.ParseMediaType(b)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	return mediaA == mediaB && paramsA["boundary"] == paramsB["boundary"]
}

// A body is proven as a form of one content type at most.
func TestCheckType(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		contentType, body string
		want              error
	}{
		"json":                 {jsonType + "; charset=utf-8", " \n{}", nil},
		"encoded":              {encodedType, "a=--b", nil},
		"nothing":              {encodedType, "", nil},
		"multipart":            {multipartType, parts(part(`name="a"`, "x")), nil},
		"json_as_encoded":      {encodedType, ` {"a":"&b=c"}`, ErrMalformed},
		"json_as_multipart":    {multipartType, `{"a":"\r\n--b\r\n"}`, ErrMalformed},
		"encoded_as_json":      {jsonType, "a=b", ErrMalformed},
		"multipart_as_encoded": {encodedType, parts(part(`name="a"`, "&b=c")), ErrMalformed},
		"longer_boundary":      {"multipart/form-data; boundary=bc", parts(part(`name="a"`, "x")), ErrMalformed},
		"shorter_boundary":     {"multipart/form-data; boundary=b", "--bc\r\n", ErrMalformed},
		"preamble":             {multipartType, "\r\n" + parts(part(`name="a"`, "x")), ErrMalformed},
		"text":                 {"text/plain", "{}", ErrMediaType},
		"no_type":              {"", "{}", ErrMediaType},
	} {
		if err := CheckType(tt.contentType, []byte(tt.body)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Whatever arrives, a form that can be read fits its columns.
func FuzzForm(f *testing.F) {
	f.Add(jsonType, []byte(`{"tenant_id":"acme","zip":90210,"phone":15550100200,"message":"x"}`))
	f.Add(jsonType, []byte(`{"tenant_id":1e300,"email":"a@b"}`))
	f.Add(encodedType, []byte("tenant_id=acme&tel=310+555+0123&_elapsed_ms=1e999"))
	f.Add(multipartType, []byte(parts(part(`name="tenant_id"`, "acme"), part(`name="f"; filename="x"`, "y"))))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		raw, err := Read(contentType, body)
		if err != nil {
			return
		}
		got, err := raw.Interpret(intake.Config{})
		if err != nil {
			return
		}
		for text, limit := range map[string]int{got.Name: maxName, got.Phone: maxPhone, got.Email: maxEmail, got.PostalCode: maxPostal} {
			if len([]rune(text)) > limit {
				t.Errorf("%q is longer than %d", text, limit)
			}
		}
		if got.TenantID == "" || got.Phone+got.Email+got.Message == "" && len(raw.Files) == 0 {
			t.Errorf("%+v", got)
		}
		if _, err := got.Payload(""); err != nil {
			t.Error(err)
		}
		if CheckType(contentType, body) != nil {
			return
		}
		for _, other := range []string{jsonType, encodedType, multipartType, "multipart/form-data; boundary=c"} {
			if CheckType(other, body) == nil && !sameType(t, contentType, other) {
				t.Errorf("%q is a form as %s and as %s", body, contentType, other)
			}
		}
	})
}
