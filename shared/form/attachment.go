package form

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // for image.DecodeConfig
	_ "image/png"
	"net/http"
	"regexp"
	"slices"
)

// Types of files that a form may bring.
const (
	PDF  = "application/pdf"
	PNG  = "image/png"
	JPEG = "image/jpeg"
)

// Extensions are the file names' ends, by type.
var Extensions = map[string]string{PDF: "pdf", PNG: "png", JPEG: "jpg"}

// maxPixels is the largest image that Document AI reads, 40 megapixels
// (cloud.google.com/document-ai/limits, read 2026-11-22).
const maxPixels = 40_000_000

// Attachment is a file of a form as its request lists it, below
// _intake.attachments. The file itself is in the bucket of documents.
type Attachment struct {
	Field  string `json:"field"`          // of the form
	Name   string `json:"name,omitempty"` // by its sender; to be shown, not to be trusted
	Object string `json:"object"`         // in the bucket
	Type   string `json:"type"`           // by its content
	Size   int    `json:"size"`           // bytes
	SHA256 string `json:"sha256"`         // hex
}

// ErrFileType says that a file is none that a form may bring. Errors that wrap
// it may be shown to the sender.
var ErrFileType = errors.New("send PDF, PNG or JPEG")

var pdfHeader = regexp.MustCompile(`^%PDF-[12]\.[0-9]`)

// Type tells a file's type by its content. Neither its name nor what its sender
// says it is counts. A file that is cut short is none.
func (f *File) Type() (string, error) {
	data := f.Data
	if isHEIC(data) {
		return "", fmt.Errorf("HEIC photos are not read: %w; iPhones take JPEG with Settings, Camera, Formats, Most Compatible", ErrFileType)
	}
	switch sniffed := http.DetectContentType(data); sniffed {
	case PDF:
		// The end is marked within the last 1024 bytes (ISO 32000-1, annex H.3).
		if !pdfHeader.Match(data) || !bytes.Contains(data[max(0, len(data)-1024):], []byte("%%EOF")) {
			return "", fmt.Errorf("a file begins like a PDF and is none, or is cut short: %w", ErrFileType)
		}
		return PDF, nil
	case PNG, JPEG:
		config, format, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil || "image/"+format != sniffed || !ends(sniffed, data) {
			return "", fmt.Errorf("a file begins like an image and is none, or is cut short: %w", ErrFileType)
		}
		if config.Width*config.Height > maxPixels {
			return "", fmt.Errorf("an image has more than %d megapixels: %w of fewer", maxPixels/1_000_000, ErrFileType)
		}
		return sniffed, nil
	}
	return "", fmt.Errorf("files of this type are not accepted: %w", ErrFileType)
}

// ends tells whether an image has its end: the chunk IEND, or the marker EOI,
// which some cameras put more behind.
func ends(format string, data []byte) bool {
	mark := []byte("IEND\xaeB\x60\x82")
	if format == JPEG {
		mark = []byte{0xff, 0xd9}
	}
	return bytes.Contains(data, mark)
}

// heicBrands are the brands of the HEIF container that photos have
// (ISO/IEC 23008-12).
var heicBrands = []string{"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"}

func isHEIC(data []byte) bool {
	return len(data) >= 12 && string(data[4:8]) == "ftyp" && slices.Contains(heicBrands, string(data[8:12]))
}
