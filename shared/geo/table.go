package geo

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

//go:embed zcta.bin
var zctaBin []byte

// perDegree is the table's resolution: a ten-thousandth of a degree is 11 m, a
// thousandth of what ZIP codes are wide.
const perDegree = 10_000

// entry is a ZIP code and its location in units of 1/perDegree degrees.
type entry struct {
	zip      uint32
	lat, lng int32
}

// table is read from the embedded file when the first distance is asked for:
// most services never ask. It holds 12 bytes an entry, sorted by code.
var table = sync.OnceValue(func() []entry {
	entries, err := decode(zctaBin)
	if err != nil {
		panic("geo: zcta.bin: " + err.Error()) // embedded: a test fails first
	}
	return entries
})

// Lookup returns the location of a five-digit US ZIP code: an inner point of
// its census tabulation area. It allocates nothing.
func Lookup(zip string) (Point, bool) {
	if len(zip) != 5 {
		return Point{}, false
	}
	var code uint32
	for i := range len(zip) {
		if !isDigit(zip[i]) {
			return Point{}, false
		}
		code = code*10 + uint32(zip[i]-'0')
	}
	t := table()
	i, ok := slices.BinarySearchFunc(t, code, func(e entry, code uint32) int { return int(e.zip) - int(code) })
	if !ok {
		return Point{}, false
	}
	return Point{Lat: float64(t[i].lat) / perDegree, Lng: float64(t[i].lng) / perDegree}, true
}

// Len is the number of ZIP codes with a location.
func Len() int { return len(table()) }

// Encode makes the embedded form of a table: for each code, in ascending order,
// the differences from the one before it of code, latitude and longitude, as
// varints, deflated. Neighbouring codes are neighbouring places, so most
// differences are small.
func Encode(places map[string]Point) ([]byte, error) {
	entries := make([]entry, 0, len(places))
	for zip, p := range places {
		var code uint32
		if n, err := fmt.Sscanf(zip, "%5d", &code); n != 1 || err != nil || fmt.Sprintf("%05d", code) != zip {
			return nil, fmt.Errorf("%q is no ZIP code", zip)
		}
		if !p.Valid() {
			return nil, fmt.Errorf("%s is at %v, which is not on the earth", zip, p)
		}
		entries = append(entries, entry{code, int32(math.Round(p.Lat * perDegree)), int32(math.Round(p.Lng * perDegree))})
	}
	slices.SortFunc(entries, func(a, b entry) int { return int(a.zip) - int(b.zip) })

	var plain []byte
	var last entry
	for _, e := range entries {
		plain = binary.AppendUvarint(plain, uint64(e.zip-last.zip))
		plain = binary.AppendVarint(plain, int64(e.lat-last.lat))
		plain = binary.AppendVarint(plain, int64(e.lng-last.lng))
		last = e
	}
	return deflate(plain)
}

func deflate(plain []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// decode reads what Encode made.
func decode(packed []byte) ([]entry, error) {
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, 1<<15+1<<11)
	var last entry
	for len(plain) > 0 {
		zip, n := binary.Uvarint(plain)
		if n <= 0 {
			return nil, errors.New("is cut off")
		}
		plain = plain[n:]
		lat, n := binary.Varint(plain)
		if n <= 0 {
			return nil, errors.New("is cut off")
		}
		plain = plain[n:]
		lng, n := binary.Varint(plain)
		if n <= 0 {
			return nil, errors.New("is cut off")
		}
		plain = plain[n:]
		last = entry{last.zip + uint32(zip), last.lat + int32(lat), last.lng + int32(lng)}
		entries = append(entries, last)
	}
	return slices.Clip(entries), nil
}
