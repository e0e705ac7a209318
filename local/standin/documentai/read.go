package documentai

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"image"
	_ "image/jpeg" // for image.DecodeConfig
	_ "image/png"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cloud.google.com/go/documentai/apiv1/documentaipb"
	"github.com/ledongthuc/pdf"
)

// textOfPDF returns the text of each page, by lines. A scanned page has none.
func textOfPDF(data []byte) (pages []string, err error) {
	defer func() {
		// The library panics on what it cannot make sense of.
		if v := recover(); v != nil {
			err = invalid("Failed to process the document: it is damaged.")
		}
	}()
	r, err := pdf.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, invalid("Failed to process the document: %v.", err)
	}
	for n := 1; n <= r.NumPage(); n++ {
		page := r.Page(n)
		if page.V.IsNull() {
			pages = append(pages, "")
			continue
		}
		pages = append(pages, strings.Join(lines(page.Content().Text), "\n")+"\n")
	}
	if len(pages) == 0 {
		return nil, invalid("Failed to process the document: it has no pages.")
	}
	return pages, nil
}

// lines puts together what stands on one height, from left to right. The
// library gives single characters with their places.
func lines(texts []pdf.Text) []string {
	var all []string
	slices.SortStableFunc(texts, func(a, b pdf.Text) int {
		if math.Abs(a.Y-b.Y) > sameLine*max(a.FontSize, b.FontSize) {
			return cmp.Compare(b.Y, a.Y)
		}
		return cmp.Compare(a.X, b.X)
	})
	var b strings.Builder
	for i, t := range texts {
		if i > 0 {
			before := texts[i-1]
			switch {
			case math.Abs(before.Y-t.Y) > sameLine*max(before.FontSize, t.FontSize):
				all = append(all, b.String())
				b.Reset()
			case t.X-before.X-before.W > wordGap*t.FontSize && before.S != " ":
				b.WriteByte(' ')
			}
		}
		b.WriteString(t.S)
	}
	return append(all, b.String())
}

// Parts of the font's size: the difference of heights on one line, and the gap
// that is a space.
const (
	sameLine = 0.4
	wordGap  = 0.25
)

// textOfImage returns what a picture carries beside its points, as one page.
func textOfImage(data []byte, mediaType string) ([]string, error) {
	_, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || "image/"+format != mediaType {
		return nil, invalid("Failed to process the document: it is no %s.", mediaType)
	}
	if format == "png" {
		return []string{textOfPNG(data)}, nil
	}
	return []string{textOfJPEG(data)}, nil
}

// textOfPNG joins the chunks tEXt, without their keywords
// (https://www.w3.org/TR/png-3/#11tEXt).
func textOfPNG(data []byte) string {
	var texts []string
	for rest := data[8:]; len(rest) >= 12; {
		n := int(binary.BigEndian.Uint32(rest))
		if n < 0 || n > len(rest)-12 {
			break
		}
		if string(rest[4:8]) == "tEXt" {
			if _, text, ok := bytes.Cut(rest[8:8+n], []byte{0}); ok {
				texts = append(texts, string(text))
			}
		}
		rest = rest[12+n:]
	}
	return strings.ToValidUTF8(strings.Join(texts, "\n"), "")
}

// textOfJPEG joins the comments, marker COM (ITU-T T.81, B.2.4.5).
func textOfJPEG(data []byte) string {
	var texts []string
	for rest := data[2:]; len(rest) >= 4 && rest[0] == 0xff && rest[1] != 0xda; {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < 2 || n > len(rest)-2 {
			break
		}
		if rest[1] == 0xfe {
			texts = append(texts, string(rest[4:2+n]))
		}
		rest = rest[2+n:]
	}
	return strings.ToValidUTF8(strings.Join(texts, "\n"), "")
}

var line = regexp.MustCompile(`(?m)^[ \t]*([\pL][^:\n]{0,60}:)[ \t]*(\S[^\n]*?)[ \t]*$`)

// documentOf makes the API's answer of the pages' texts.
func documentOf(pages []string, mediaType string) *documentaipb.Document {
	d := &documentaipb.Document{MimeType: mediaType}
	runes := 0
	for i, text := range pages {
		page := &documentaipb.Document_Page{PageNumber: int32(i + 1)}
		for _, m := range line.FindAllStringSubmatchIndex(text, -1) {
			layout := func(from, to int, confidence float32) *documentaipb.Document_Page_Layout {
				start := runes + utf8.RuneCountInString(text[:from])
				return &documentaipb.Document_Page_Layout{Confidence: confidence, TextAnchor: &documentaipb.Document_TextAnchor{
					TextSegments: []*documentaipb.Document_TextAnchor_TextSegment{{
						StartIndex: int64(start), EndIndex: int64(start + utf8.RuneCountInString(text[from:to])),
					}},
				}}
			}
			page.FormFields = append(page.FormFields, &documentaipb.Document_Page_FormField{
				FieldName:  layout(m[2], m[3], 0.98),
				FieldValue: layout(m[4], m[5], sureness(text[m[4]:m[5]])),
			})
		}
		d.Pages = append(d.Pages, page)
		d.Text += text
		runes += utf8.RuneCountInString(text)
	}
	return d
}

// sureness of a value: what is written with ? for letters that cannot be read
// is a guess, and long values have more to misread.
func sureness(value string) float32 {
	if n := strings.Count(value, "?"); n > 0 {
		return max(0.6-0.1*float32(n), 0.1)
	}
	return max(0.97-0.002*float32(utf8.RuneCountInString(value)), 0.7)
}
