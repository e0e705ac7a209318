package wav

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// file builds the header of a WAV file of 8 kHz 16-bit mono, 16,000 bytes a
// second, with a LIST chunk of odd length before the data.
func file(dataLength uint32) []byte {
	le := binary.LittleEndian
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, 8000)
	b = le.AppendUint32(b, 16000)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 16)
	b = append(b, "LIST\x03\x00\x00\x00abc\x00"...)
	b = append(b, "data"...)
	return le.AppendUint32(b, dataLength)
}

func TestDuration(t *testing.T) {
	t.Parallel()
	head := int64(len(file(0)))
	for name, tc := range map[string]struct {
		head []byte
		size int64
		want time.Duration
		ok   bool
	}{
		"exact":           {file(24000), head + 24000, 1500 * time.Millisecond, true},
		"streamed_zero":   {file(0), head + 32000, 2 * time.Second, true},
		"streamed_max":    {file(math.MaxUint32), head + 32000, 2 * time.Second, true},
		"chunk_after":     {file(16000), head + 99000, time.Second, true},
		"cut_before_data": {file(1)[:44], 1 << 20, 0, false},
		"no_data":         {file(0), head, 0, false},
		"not_wav":         {[]byte("ID3\x04 and some more bytes"), 1 << 20, 0, false},
		"empty":           {nil, 0, 0, false},
	} {
		if got, ok := Duration(tc.head, tc.size); got != tc.want || ok != tc.ok {
			t.Errorf("%s: Duration = %v, %t, want %v, %t", name, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzDuration(f *testing.F) {
	f.Add(file(24000), int64(24100))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00"), int64(1)<<40)
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		if d, ok := Duration(head, size); ok && d < 0 {
			t.Fatalf("Duration = %v", d)
		}
	})
}
