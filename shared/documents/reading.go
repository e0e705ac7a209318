package documents

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
)

// Status is what became of a file.
type Status string

// What may become of one.
const (
	StatusRead   Status = "read"
	StatusEmpty  Status = "empty"  // read, and there is not a word in it
	StatusFailed Status = "failed" // it cannot be read, see Cause
	StatusOff    Status = "off"    // the stack has no Document AI
	StatusKept   Status = "kept"   // a picture of a text message: nobody has it read
)

// Reading is what was read in the files of one request, and what became of the
// pictures of a conversation by text. It is kept in requests.document_data.
type Reading struct {
	Processor string     `json:"processor,omitempty"` // full name, with its version
	Documents []Document `json:"documents"`
	// Contact is what the documents say of the customer, by the name of the
	// request's field: see the names of package intake.
	Contact map[string]Found `json:"contact,omitempty"`
}

// Document is one file.
type Document struct {
	Object string  `json:"object"`           // in the bucket of documents
	Source string  `json:"source,omitempty"` // of a picture of a text message, see callrail.Picture
	Name   string  `json:"name,omitempty"`   // by its sender
	Type   string  `json:"type"`
	Status Status  `json:"status"`
	Cause  string  `json:"cause,omitempty"` // of failed and off, for an operator
	Pages  int     `json:"pages,omitempty"` // that were read, MaxPages at most
	Text   string  `json:"text,omitempty"`
	Fields []Field `json:"fields,omitempty"`
}

// Paid tells whether Document AI has read the file, so that it need not again.
func (d Document) Paid() bool { return d.Status == StatusRead || d.Status == StatusEmpty }

// Found is what a document says of the customer.
type Found struct {
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"`
	Object     string  `json:"object"` // of the document
	Field      string  `json:"field"`  // of the document
	// Used says that the request took it over. Where it is false the customer
	// said something himself, or the confidence is too low.
	Used bool `json:"used"`
}

// Parse reads a reading; an empty one of nothing.
func Parse(data json.RawMessage) (*Reading, error) {
	r := &Reading{}
	if len(data) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("document_data: %w", err)
	}
	return r, nil
}

// Find looks in the documents' fields for what they say of the customer, by the
// tenant's names and those that are known everywhere. Of several that say the
// same thing the surest counts, and of equally sure ones the first. A name in
// two halves is as sure as the less sure half.
func (r *Reading) Find(cfg intake.Config) {
	r.Contact = nil
	for _, d := range r.Documents {
		halves, lowest := map[string]any{}, 1.0
		for _, f := range d.Fields {
			if form.IsNamePart(f.Name) {
				if halves[f.Name] == nil {
					halves[f.Name], lowest = f.Value, min(lowest, f.Confidence)
				}
				continue
			}
			r.offer(d, f.Name, f.Confidence, form.ReadContact(map[string]any{f.Name: f.Value}, cfg))
		}
		r.offer(d, strings.Join(slices.Sorted(maps.Keys(halves)), ", "), lowest, form.ReadContact(halves, cfg))
	}
}

func (r *Reading) offer(d Document, field string, confidence float64, c form.Contact) {
	if !strings.ContainsAny(c.PostalCode, "0123456789") {
		c.PostalCode = "" // "see above"
	}
	for name, value := range map[string]string{intake.Name: c.Name, intake.Phone: c.Phone, intake.Email: c.Email, intake.Zip: c.PostalCode} {
		if have, ok := r.Contact[name]; value == "" || ok && have.Confidence >= confidence {
			continue
		}
		if r.Contact == nil {
			r.Contact = map[string]Found{}
		}
		r.Contact[name] = Found{Value: value, Confidence: confidence, Object: d.Object, Field: field}
	}
}

// Use returns what the documents say of the customer's field, if the request
// has nothing there itself and the document is at least that sure; else "".
func (r *Reading) Use(name, have string, least float64) string {
	found, ok := r.Contact[name]
	if !ok || have != "" || found.Confidence < least {
		return ""
	}
	found.Used = true
	r.Contact[name] = found
	return found.Value
}

// Read lists the documents that have something to read.
func (r *Reading) Read() []Document {
	var all []Document
	for _, d := range r.Documents {
		if d.Status == StatusRead {
			all = append(all, d)
		}
	}
	return all
}
