// Package wav reads how long a WAV file plays from its header.
package wav

import (
	"encoding/binary"
	"time"
)

// Duration returns the playing time of a WAV file of size bytes that begins
// with head; false where head does not tell: it is no WAV file, ends before the
// data chunk, or contradicts itself. The data chunk counts only as far as the
// file reaches, because recorders that stream write its length as 0 or as the
// largest number.
func Duration(head []byte, size int64) (time.Duration, bool) {
	if len(head) < 12 || string(head[:4]) != "RIFF" || string(head[8:12]) != "WAVE" {
		return 0, false
	}
	var byteRate uint32
	for at := int64(12); at+8 <= int64(len(head)); {
		id, length := string(head[at:at+4]), int64(binary.LittleEndian.Uint32(head[at+4:]))
		body := at + 8
		switch id {
		case "fmt ":
			if length < 16 || body+16 > int64(len(head)) {
				return 0, false
			}
			byteRate = binary.LittleEndian.Uint32(head[body+8:])
		case "data":
			rest := size - body
			if length == 0 || length > rest {
				length = rest
			}
			if byteRate == 0 || length <= 0 {
				return 0, false
			}
			seconds := float64(length) / float64(byteRate)
			return time.Duration(seconds * float64(time.Second)), true
		}
		at = body + length + length&1 // chunks are padded to even length
	}
	return 0, false
}
