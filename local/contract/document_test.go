package contract

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/oasdiff/yaml"

	"ingestion.internal/infra/stack"
)

func init() {
	// The scripts that pages load are text to the validator.
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.PlainBodyDecoder)
}

// repository is where the services are, from this package.
var repository = filepath.Join("..", "..")

const documentPath = "infra/stack/openapi.yaml"

// document is the public interface.
type document struct {
	text string // with placeholders for the services' addresses
	spec *openapi3.T
	ops  []operation
	// direct are those that are not the gateway's, see TestDirect.
	direct []operation
}

// operation is one method of one path, with what the test knows of it.
type operation struct {
	id, method, path string
	v3               *openapi3.Operation
	problems         map[int]problemDocument // the examples of its errors, by status
	examples         []example
}

func (o operation) String() string { return o.method + " " + o.path }

// example is an item of x-examples.
type example struct {
	Name    string            `json:"name"`
	Summary string            `json:"summary"`
	Path    map[string]string `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Answer  int               `json:"answer"`
}

type problemDocument struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
}

var placeholder = regexp.MustCompile(`\$\{([a-z-]+)\}`)

// readDocument reads the document, and fails where it is not complete.
func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, documentPath))
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var v2 openapi2.T
	if err := json.Unmarshal(data, &v2); err != nil {
		t.Fatal(err)
	}
	spec, err := openapi2conv.ToV3(&v2)
	if err != nil {
		t.Fatalf("%s: %v", documentPath, err)
	}
	// The examples of responses are checked here, against their schemas.
	if err := spec.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatalf("%s: %v", documentPath, err)
	}
	d := &document{text: string(text), spec: spec}
	for path, item := range v2.Paths {
		for method, op := range item.Operations() {
			o := operation{id: op.OperationID, method: method, path: path, problems: map[int]problemDocument{}}
			o.v3 = spec.Paths.Value(path).GetOperation(method)
			if o.examples, err = readExamples(op.Extensions["x-examples"]); err != nil {
				t.Errorf("%s: %s %s: x-examples: %v", documentPath, method, path, err)
			}
			for status, response := range op.Responses.Map() {
				if ref, ok := strings.CutPrefix(response.Ref, "#/responses/"); ok {
					response = v2.Responses[ref]
				}
				code, err := strconv.Atoi(status)
				if err != nil { // default
					continue
				}
				if response.Schema != nil && len(response.Examples) == 0 {
					t.Errorf("%s: %s %s: the response %s has no example", documentPath, method, path, status)
				}
				for _, value := range response.Examples {
					var p problemDocument
					encoded, err := json.Marshal(value)
					if err == nil && code >= http.StatusBadRequest {
						err = json.Unmarshal(encoded, &p)
						o.problems[code] = p
					}
					if err != nil {
						t.Errorf("%s: %s %s: the example of %s: %v", documentPath, method, path, status, err)
					}
				}
			}
			if item.Extensions["x-direct"] != nil {
				d.direct = append(d.direct, o)
				continue
			}
			d.ops = append(d.ops, o)
		}
	}
	slices.SortFunc(d.ops, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
	})
	if t.Failed() {
		t.FailNow()
	}
	return d
}

func readExamples(extension any) ([]example, error) {
	if extension == nil {
		return nil, fmt.Errorf("there are none: give the operation an example of each kind of request, as the others have")
	}
	data, err := json.Marshal(extension)
	if err != nil {
		return nil, err
	}
	var examples []example
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&examples); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i, e := range examples {
		if e.Name == "" || e.Summary == "" || e.Answer == 0 || names[e.Name] {
			return nil, fmt.Errorf("item %d needs a name of its own, a summary and an answer", i)
		}
		names[e.Name] = true
	}
	if len(examples) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	return examples, nil
}

// services are the services that the document routes to.
func (d *document) services() []string {
	found := map[string]bool{}
	for _, match := range placeholder.FindAllStringSubmatch(stack.GatewayView(d.text), -1) {
		found[match[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// filled is the gateway's part of the document with the services' addresses.
func (d *document) filled(addresses map[string]string) string {
	return placeholder.ReplaceAllStringFunc(stack.GatewayView(d.text), func(match string) string {
		return addresses[placeholder.FindStringSubmatch(match)[1]]
	})
}

// message is what is sent: an example, or what strangers make of it.
type message struct {
	op      operation
	name    string
	path    map[string]string
	query   string
	header  http.Header
	body    []byte
	signKey string // "" = not signed
	chunked bool   // without Content-Length
}

// messageOf returns the request of an example, to be signed with its tenant's key.
func messageOf(op operation, e example) (message, error) {
	m := message{op: op, name: e.Name, path: e.Path, header: http.Header{}, signKey: tenantKey}
	for name, value := range e.Headers {
		m.header.Set(name, value)
	}
	if len(e.Body) == 0 {
		return m, nil
	}
	if m.header.Get("Content-Type") == "" {
		m.header.Set("Content-Type", "application/json")
	}
	var text string
	if json.Unmarshal(e.Body, &text) != nil {
		m.body = e.Body
		return m, nil
	}
	if strings.HasPrefix(m.header.Get("Content-Type"), "multipart/") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	m.body = []byte(text)
	return m, nil
}

// with returns a changed copy of the message.
func (m message) with(name string, change func(*message)) message {
	m.name += "/" + name
	m.path, m.header, m.body = maps.Clone(m.path), m.header.Clone(), slices.Clone(m.body)
	change(&m)
	return m
}

// at is the message's path.
func (m message) at() string {
	path := m.op.path
	for name, value := range m.path {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	if m.query != "" {
		path += "?" + m.query
	}
	return path
}

// answer is what came back.
type answer struct {
	request *http.Request
	status  int
	header  http.Header
	body    []byte
}

// route is the operation as the validators want it.
func (d *document) route(op operation) *routers.Route {
	return &routers.Route{Spec: d.spec, Path: op.path, PathItem: d.spec.Paths.Value(op.path), Method: op.method, Operation: op.v3}
}

// validRequest holds an example against its operation's parameters, and where it
// is JSON against its schema.
func (d *document) validRequest(m message, request *http.Request) error {
	options := &openapi3filter.Options{MultiError: true}
	options.ExcludeRequestBody = m.header.Get("Content-Type") != "application/json"
	request.Body = http.NoBody
	if len(m.body) > 0 {
		request.Body = readCloser(m.body)
	}
	return openapi3filter.ValidateRequest(request.Context(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: m.path, Route: d.route(m.op), Options: options,
	})
}

// check holds an answer of a service against the document.
func (d *document) check(m message, a answer) error {
	response := m.op.v3.Responses.Status(a.status)
	if response == nil {
		return fmt.Errorf("%s answers %d, of which %s does not tell: %s", m.op, a.status, documentPath, a.body)
	}
	if err := d.valid(m, a); err != nil {
		return err
	}
	for name := range response.Value.Headers {
		if a.header.Get(name) == "" && (m.header.Get("Origin") != "" || !strings.HasPrefix(name, "Access-Control-")) {
			return fmt.Errorf("%s answers %d without the header %s", m.op, a.status, name)
		}
	}
	if len(response.Value.Content) == 0 && a.status != http.StatusSeeOther && len(a.body) > 0 {
		return fmt.Errorf("%s answers %d with a body, of which %s does not tell: %s", m.op, a.status, documentPath, a.body)
	}
	if a.status < http.StatusBadRequest {
		return nil
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		return fmt.Errorf("%s answers %d as %q, which is no problem document", m.op, a.status, got)
	}
	var got problemDocument
	if err := json.Unmarshal(a.body, &got); err != nil {
		return err
	}
	if want := m.op.problems[a.status]; got != want {
		return fmt.Errorf("%s answers %+v, its example in %s is %+v", m.op, got, documentPath, want)
	}
	return nil
}

// checkGateway holds an answer of the gateway itself against the document.
func (d *document) checkGateway(m message, a answer) error {
	if m.op.v3.Responses.Default() == nil {
		return fmt.Errorf("%s has no default response, which tells of the gateway's own answers", m.op)
	}
	bare := m
	operation := *m.op.v3
	operation.Responses = openapi3.NewResponses(openapi3.WithName("default", m.op.v3.Responses.Default().Value))
	bare.op.v3 = &operation
	return d.valid(bare, a)
}

func (d *document) valid(m message, a answer) error {
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: a.request, Route: d.route(m.op)},
		Status:                 a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(a.request.Context(), input); err != nil {
		return fmt.Errorf("%s answers %d: %w: %s", m.op, a.status, err, a.body)
	}
	return nil
}
