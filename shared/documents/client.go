// Package documents reads the files that come with enquiries, by Document AI's
// form parser: their text, and fields such as "Phone: 310 555 0142" with how
// sure the parser is of each. What a file says is its sender's word like the
// enquiry itself: it fills in what the enquiry leaves open, and contradicts
// nothing.
//
// Limits of a synchronous request to the form parser: 15 pages, 40 megapixels
// an image, 40 MB
// (https://cloud.google.com/document-ai/limits, read 2026-11-25).
package documents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	documentai "cloud.google.com/go/documentai/apiv1"
	"cloud.google.com/go/documentai/apiv1/documentaipb"
	"github.com/googleapis/gax-go/v2"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"ingestion.internal/shared/fault"
)

const (
	// MaxPages is how much of a document is read: what the API takes at once.
	// A plan set's title pages say who sent it; later pages are drawings.
	MaxPages = 15

	// MaxBytes is the largest file that is sent, inline: as base64 it stays
	// below the API's 40 MB.
	MaxBytes = 28 << 20
)

// Bounds of what is kept of one document, in characters; fields are counted.
const (
	maxText       = 20_000
	maxFields     = 100
	maxFieldName  = 100
	maxFieldValue = 1000
)

var versionName = regexp.MustCompile(`^projects/[^/]+/locations/([a-z0-9-]+)/processors/[^/]+(/processorVersions/[^/]+)?$`)

// ValidProcessor tells whether a name is one of a processor, or of a version of
// one: projects/P/locations/L/processors/ID/processorVersions/V.
func ValidProcessor(name string) bool { return versionName.MatchString(name) }

// Client reads with one version of one processor.
type Client struct {
	processor string
	api       *documentai.DocumentProcessorClient
}

// New returns a client of the processor at its location's own endpoint, unless
// opts name another one. See [ValidProcessor] for its name.
func New(ctx context.Context, processor string, opts ...option.ClientOption) (*Client, error) {
	m := versionName.FindStringSubmatch(processor)
	if m == nil {
		return nil, fmt.Errorf("document AI: %q is no name of a processor", processor)
	}
	endpoint := option.WithEndpoint("https://" + m[1] + "-documentai.googleapis.com")
	api, err := documentai.NewDocumentProcessorRESTClient(ctx, append([]option.ClientOption{endpoint}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("document AI client: %w", err)
	}
	return &Client{processor: processor, api: api}, nil
}

// Close releases the client's connections.
func (c *Client) Close() error { return c.api.Close() }

// Processor is the full name of what the client reads with.
func (c *Client) Processor() string { return c.processor }

// Page is what was read: text, and the fields in the order of the document.
type Page struct {
	Text   string
	Fields []Field
	Pages  int // that were read
}

// Field is a pair of a form, as it is printed and filled in.
type Field struct {
	Name  string `json:"name"` // without a colon at its end
	Value string `json:"value"`
	// Confidence is 0 to 1: the lower one of the name's and the value's.
	Confidence float64 `json:"confidence"`
}

// Read reads the first [MaxPages] pages of a document. mediaType is PDF, PNG or
// JPEG. An error about this document is permanent (package fault); all others,
// a missing permission among them, are worth a retry once somebody has mended
// the cause. Each call is billed by the page.
func (c *Client) Read(ctx context.Context, content []byte, mediaType string) (*Page, error) {
	if len(content) > MaxBytes {
		return nil, fault.Permanent(fmt.Errorf("the file has %d bytes, and at most %d are read", len(content), MaxBytes))
	}
	response, err := c.api.ProcessDocument(ctx, &documentaipb.ProcessRequest{
		Name: c.processor,
		Source: &documentaipb.ProcessRequest_RawDocument{RawDocument: &documentaipb.RawDocument{
			Content: content, MimeType: mediaType,
		}},
		SkipHumanReview: true,
		// Without the pages' images and the place of every letter.
		FieldMask:      &fieldmaskpb.FieldMask{Paths: []string{"text", "pages.page_number", "pages.form_fields"}},
		ProcessOptions: &documentaipb.ProcessOptions{PageRange: &documentaipb.ProcessOptions_FromStart{FromStart: MaxPages}},
	}, noRetry)
	if err != nil {
		return nil, fmt.Errorf("document AI: %w", classify(err))
	}
	if response.GetDocument() == nil {
		// Nothing was read: an empty document is there, and has no text.
		return nil, errors.New("document AI: the answer has no document")
	}
	return pageOf(response.GetDocument()), nil
}

// noRetry leaves retries to the queue, which spaces them and counts them.
var noRetry = gax.WithRetry(func() gax.Retryer { return nil })

// classify marks an error that is about the document itself as permanent. A
// missing permission, processor or quota is not: it is the operator's to mend,
// and then the same request succeeds.
func classify(err error) error {
	var apiErr *apierror.APIError
	if !errors.As(err, &apiErr) {
		return err
	}
	if apiErr.GRPCStatus().Code() == codes.InvalidArgument || apiErr.HTTPCode() == http.StatusBadRequest {
		return fault.Permanent(err)
	}
	return err
}

func pageOf(document *documentaipb.Document) *Page {
	runes := []rune(document.GetText())
	p := &Page{Text: clip(strings.TrimSpace(strings.ToValidUTF8(document.GetText(), "")), maxText), Pages: len(document.GetPages())}
	for _, page := range document.GetPages() {
		for _, f := range page.GetFormFields() {
			field := Field{
				Name:       clip(nameOf(cmp.Or(f.GetCorrectedKeyText(), textOf(f.GetFieldName(), runes))), maxFieldName),
				Value:      clip(words(cmp.Or(f.GetCorrectedValueText(), textOf(f.GetFieldValue(), runes))), maxFieldValue),
				Confidence: confidence(f.GetFieldName(), f.GetFieldValue()),
			}
			if field.Name != "" && field.Value != "" && len(p.Fields) < maxFields {
				p.Fields = append(p.Fields, field)
			}
		}
	}
	return p
}

// textOf is a layout's text: its anchor's own, or the stretches of the
// document's text that it names, counted in characters.
func textOf(layout *documentaipb.Document_Page_Layout, text []rune) string {
	anchor := layout.GetTextAnchor()
	if content := anchor.GetContent(); content != "" {
		return content
	}
	var b strings.Builder
	for _, segment := range anchor.GetTextSegments() {
		from, to := segment.GetStartIndex(), segment.GetEndIndex()
		if from >= 0 && from < to && to <= int64(len(text)) {
			b.WriteString(string(text[from:to]))
		}
	}
	return b.String()
}

// words is a text on one line.
func words(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
}

// nameOf leaves out what ends a printed name.
func nameOf(s string) string { return strings.TrimRight(words(s), " :.*_?") }

func confidence(layouts ...*documentaipb.Document_Page_Layout) float64 {
	lowest := 1.0
	for _, l := range layouts {
		c := float64(l.GetConfidence())
		if math.IsNaN(c) {
			c = 0
		}
		lowest = min(lowest, max(c, 0))
	}
	return math.Round(lowest*1e4) / 1e4 // of a float32
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}
