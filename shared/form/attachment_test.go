package form

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

const smallPDF = "%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"

func pictures(t testing.TB) (asPNG, asJPEG []byte) {
	t.Helper()
	var p, j bytes.Buffer
	if err := png.Encode(&p, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&j, image.NewGray(image.Rect(0, 0, 3, 2)), nil); err != nil {
		t.Fatal(err)
	}
	return p.Bytes(), j.Bytes()
}

// huge is a PNG that says that it has many pixels.
func huge(small []byte) []byte {
	b := bytes.Clone(small)
	binary.BigEndian.PutUint32(b[16:], 8000)
	binary.BigEndian.PutUint32(b[20:], 8000)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestFileType(t *testing.T) {
	t.Parallel()
	asPNG, asJPEG := pictures(t)
	for name, tt := range map[string]struct {
		data    []byte
		want    string
		wantErr string // its beginning
	}{
		"pdf":            {[]byte(smallPDF), PDF, ""},
		"png":            {asPNG, PNG, ""},
		"jpeg":           {asJPEG, JPEG, ""},
		"jpeg_and_more":  {append(bytes.Clone(asJPEG), make([]byte, 30)...), JPEG, ""},
		"pdf_cut_short":  {[]byte(smallPDF[:20]), "", "a file begins like a PDF"},
		"pdf_of_nothing": {[]byte("%PDF-9x %%EOF"), "", "a file begins like a PDF"},
		"png_cut_short":  {asPNG[:len(asPNG)-6], "", "a file begins like an image"},
		"jpeg_cut_short": {asJPEG[:len(asJPEG)-4], "", "a file begins like an image"},
		"png_of_nothing": {[]byte("\x89PNG\r\n\x1a\nrubbish"), "", "a file begins like an image"},
		"png_too_large":  {huge(asPNG), "", "an image has more than 40 megapixels"},
		"heic":           {[]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), "", "HEIC photos are not read"},
		"video":          {[]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), "", "files of this type"},
		"gif":            {[]byte("GIF89a\x01\x00\x01\x00"), "", "files of this type"},
		"page":           {[]byte("<!DOCTYPE html><script>alert(1)</script>"), "", "files of this type"},
		"page_as_pdf":    {[]byte("<html>" + smallPDF), "", "files of this type"},
		"archive":        {[]byte("PK\x03\x04rest"), "", "files of this type"},
		"text":           {[]byte("hello"), "", "files of this type"},
		"empty":          {nil, "", "files of this type"},
	} {
		got, err := (&File{Name: "x.pdf", Data: tt.data}).Type()
		if got != tt.want || (err != nil) != (tt.wantErr != "") || err != nil && (!errors.Is(err, ErrFileType) || !strings.HasPrefix(err.Error(), tt.wantErr)) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, tt.want, tt.wantErr)
		}
		if tt.want != "" && Extensions[tt.want] == "" {
			t.Errorf("%s: no extension for %s", name, tt.want)
		}
	}
}

// Whatever arrives, what passes for a file of a type begins like one.
func FuzzFileType(f *testing.F) {
	asPNG, asJPEG := pictures(f)
	for _, seed := range [][]byte{[]byte(smallPDF), asPNG, asJPEG, huge(asPNG), []byte("\x00\x00\x00\x18ftypheic")} {
		f.Add(seed)
	}
	begins := map[string]string{PDF: "%PDF-", PNG: "\x89PNG\r\n\x1a\n", JPEG: "\xff\xd8\xff"}
	f.Fuzz(func(t *testing.T, data []byte) {
		typ, err := (&File{Data: data}).Type()
		if (err == nil) != (typ != "") || err == nil && (begins[typ] == "" || !bytes.HasPrefix(data, []byte(begins[typ]))) {
			t.Errorf("%q, %v", typ, err)
		}
	})
}
