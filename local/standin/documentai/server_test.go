package documentai

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"ingestion.internal/local/internal/sample"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapitest"
	"ingestion.internal/shared/documents"
	sharedfault "ingestion.internal/shared/fault"
)

const processor = "projects/p/locations/us/processors/abc/processorVersions/pretrained-form-parser-v2.0-2022-11-10"

// start returns the stand-in and the platform's own client of it.
func start(t *testing.T, who string) (*Server, *documents.Client) {
	t.Helper()
	s := New(Config{Identity: gapitest.Identity{}, IAM: gapitest.IAM{"reader": {"documentai.processorVersions.processOnline"}}})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := documents.New(t.Context(), processor, option.WithEndpoint(server.URL),
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: who})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, client
}

func pictures(t *testing.T, text string) (asPNG, asJPEG []byte) {
	t.Helper()
	var p, j bytes.Buffer
	if err := errors.Join(png.Encode(&p, image.NewGray(image.Rect(0, 0, 3, 2))), jpeg.Encode(&j, image.NewGray(image.Rect(0, 0, 3, 2)), nil)); err != nil {
		t.Fatal(err)
	}
	body := append([]byte("tEXtComment\x00"), text...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	b := p.Bytes()
	end := len(b) - 12 // IEND
	asPNG = append(append(append([]byte{}, b[:end]...), chunk...), b[end:]...)
	comment := append(binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(len(text)+2)), text...)
	asJPEG = append(append(append([]byte{}, j.Bytes()[:2]...), comment...), j.Bytes()[2:]...)
	return asPNG, asJPEG
}

// The platform's own client reads the sample, and pictures, as they are.
func TestRead(t *testing.T) {
	t.Parallel()
	_, client := start(t, "reader")
	got, err := client.Read(t.Context(), sample.Sheet.Data, "application/pdf")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"First name": "Dana", "Last name": "Whitfield", "Phone": "(310) 555-0142", "E-mail": "dana.whitfield@example.com", "ZIP code": "90210",
		"Room": "Kitchen, 180 square feet", "Cabinets": "Shaker, painted white", "Countertops": "Quartz", "Budget": "$40,000", "Start": "next month",
	}
	fields := map[string]string{}
	for _, f := range got.Fields {
		fields[f.Name] = f.Value
		if f.Confidence < 0.8 {
			t.Errorf("%+v", f)
		}
	}
	if diff := cmp.Diff(want, fields); diff != "" || got.Pages != 1 || !strings.HasPrefix(got.Text, "Project sheet") {
		t.Errorf("%d pages, %q (-want +got)\n%s", got.Pages, got.Text, diff)
	}
	asPNG, asJPEG := pictures(t, "Telefon Büro: 310 555 0142\nE-mail: d??a@example.com")
	for media, data := range map[string][]byte{"image/png": asPNG, "image/jpeg": asJPEG} {
		got, err := client.Read(t.Context(), data, media)
		if err != nil || len(got.Fields) != 2 || got.Fields[0].Value != "310 555 0142" || got.Fields[1].Confidence > 0.5 {
			t.Errorf("%s: %+v, %v", media, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, client := start(t, "reader")
	_, stranger := start(t, "stranger")
	cut := sample.Sheet.Data[:200]
	for name, tt := range map[string]struct {
		client    *documents.Client
		data      []byte
		media     string
		permanent bool
	}{
		"damaged":     {client, cut, "application/pdf", true},
		"other type":  {client, sample.Sheet.Data, "image/png", true},
		"not taken":   {client, []byte("GIF89a"), "image/gif", true},
		"not allowed": {stranger, sample.Sheet.Data, "application/pdf", false},
	} {
		if got, err := tt.client.Read(t.Context(), tt.data, tt.media); err == nil || sharedfault.IsPermanent(err) != tt.permanent {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for mode, permanent := range map[fault.Mode]bool{fault.Fail: false, fault.RateLimit: false} {
		if err := s.Faults.Set(fault.Fault{Mode: mode}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(t.Context(), sample.Sheet.Data, "application/pdf"); err == nil || sharedfault.IsPermanent(err) != permanent {
			t.Errorf("%s: %v", mode, err)
		}
	}
	// Nonsense is no field.
	if err := s.Faults.Set(fault.Fault{Mode: fault.Nonsense}); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Read(t.Context(), sample.Sheet.Data, "application/pdf"); err != nil || len(got.Fields) != 0 {
		t.Errorf("nonsense: %+v, %v", got, err)
	}
	if err := s.Faults.Set(fault.Fault{Mode: fault.Stall}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Read(ctx, sample.Sheet.Data, "application/pdf"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stalled: %v", err)
	}
}

// Of a long document only the first pages are read; whoever asks for all of it
// is refused, as by the API.
func TestPages(t *testing.T) {
	t.Parallel()
	d := documentOf([]string{"A: 1\n", "ä: 2\nB: 3\n"}, "application/pdf")
	if got := d.GetPages()[1].GetFormFields()[1].GetFieldValue().GetTextAnchor().GetTextSegments()[0]; string([]rune(d.GetText())[got.GetStartIndex():got.GetEndIndex()]) != "3" {
		t.Errorf("%v in %q", got, d.GetText())
	}
	for _, paths := range [][]string{nil, {"pages"}, {"text"}} {
		m := masked(documentOf([]string{"A: 1\n"}, "application/pdf"), paths)
		fields := len(m.GetPages()[0].GetFormFields())
		if text := m.GetText() != ""; text != (paths == nil || paths[0] == "text") || (fields == 1) != (paths == nil || paths[0] == "pages") {
			t.Errorf("%v: %v", paths, m)
		}
	}
}

// Whatever comes, it is an answer or a refusal.
func FuzzTextOf(f *testing.F) {
	f.Add(sample.Sheet.Data, "application/pdf")
	f.Add([]byte("\x89PNG\r\n\x1a\n"), "image/png")
	f.Add([]byte("\xff\xd8\xff\xfe\x00\x01"), "image/jpeg")
	f.Fuzz(func(t *testing.T, data []byte, media string) {
		var pages []string
		var err error
		if media == "application/pdf" {
			pages, err = textOfPDF(data)
		} else {
			pages, err = textOfImage(data, media)
		}
		if (err == nil) != (len(pages) > 0) {
			t.Fatalf("%q, %v", pages, err)
		}
		d := documentOf(pages, media)
		for _, p := range d.GetPages() {
			for _, field := range p.GetFormFields() {
				s := field.GetFieldValue().GetTextAnchor().GetTextSegments()[0]
				if s.GetStartIndex() >= s.GetEndIndex() || int(s.GetEndIndex()) > len([]rune(d.GetText())) {
					t.Errorf("%v", s)
				}
			}
		}
	})
}
