package sample

import (
	"bytes"
	"fmt"
	"strings"
)

// Sheet is what a customer fills in on paper and sends along: the sample of a
// file that comes with a form.
var Sheet = File{Name: "project-sheet.pdf", Data: PDF(
	"Project sheet",
	"",
	"First name: Dana",
	"Last name: Whitfield",
	"Phone: (310) 555-0142",
	"E-mail: dana.whitfield@example.com",
	"ZIP code: 90210",
	"Room: Kitchen, 180 square feet",
	"Cabinets: Shaker, painted white",
	"Countertops: Quartz",
	"Budget: $40,000",
	"Start: next month",
)}

// PDF is a document of one page with these lines, in printable ASCII.
// ISO 32000-1, 7.5.
func PDF(lines ...string) []byte {
	var content strings.Builder
	content.WriteString("BT /F1 12 Tf 72 740 Td 18 TL\n")
	escape := strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`)
	for _, l := range lines {
		fmt.Fprintf(&content, "(%s) Tj T*\n", escape.Replace(l))
	}
	content.WriteString("ET")
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var offsets []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", content.Len(), content.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	} {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
	return b.Bytes()
}
