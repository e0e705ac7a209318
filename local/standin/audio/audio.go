// Package audio makes the recordings that the CallRail stand-in serves and the
// Speech stand-in understands: ordinary WAV files, PCM 16 bit 8 kHz mono, in
// which every spoken turn is a tone and every pause is silence. What is said
// travels in the file's own metadata, a RIFF LIST/INFO chunk, so that nothing
// but the audio passes between the two.
package audio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// SampleRate is that of every recording that is made here, in Hz.
const SampleRate = 8000

const bytesPerSample = 2

// Turn is what one speaker says without a break.
type Turn struct {
	Speaker int     `json:"speaker"` // 1 = customer, 2 = agent
	Text    string  `json:"text"`
	Start   float64 `json:"start"` // seconds from the beginning
	End     float64 `json:"end"`
}

// Transcript is what is said in a recording.
type Transcript struct {
	Turns []Turn `json:"turns"`
}

// Speaking pace: conversational English has about 150 words a minute.
const (
	secondsPerWord = 0.4
	pauseSeconds   = 0.5 // before each turn and after the last
)

// Lay gives the turns the times at which they would be said and returns the
// transcript and its length. A length above zero is kept: the turns are
// squeezed into it if they are longer, and silence fills the rest.
func Lay(turns []Turn, length time.Duration) (Transcript, time.Duration) {
	laid := make([]Turn, len(turns))
	at := 0.0
	for i, turn := range turns {
		at += pauseSeconds
		turn.Start = at
		at += secondsPerWord * float64(len(strings.Fields(turn.Text)))
		turn.End = at
		laid[i] = turn
	}
	at += pauseSeconds
	if length <= 0 {
		return Transcript{laid}, time.Duration(math.Ceil(at)) * time.Second
	}
	if factor := length.Seconds() / at; factor < 1 {
		for i := range laid {
			laid[i].Start *= factor
			laid[i].End *= factor
		}
	}
	return Transcript{laid}, length
}

// Encode returns a WAV file of the given length that carries the transcript;
// without turns it is silence and carries none.
func Encode(t Transcript, length time.Duration) ([]byte, error) {
	if length < 0 || length > 4*time.Hour {
		return nil, fmt.Errorf("audio: length %s is not between 0 and 4 hours", length)
	}
	var info []byte
	if len(t.Turns) > 0 {
		comment, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("audio: marshal transcript: %w", err)
		}
		// INFO texts are zero-terminated.
		info = chunk("LIST", append([]byte("INFO"), append(
			chunk("ISFT", []byte("ingestion local\x00")),
			chunk("ICMT", append(comment, 0))...)...))
	}
	format := binary.LittleEndian.AppendUint16(nil, 1) // PCM
	format = binary.LittleEndian.AppendUint16(format, 1)
	format = binary.LittleEndian.AppendUint32(format, SampleRate)
	format = binary.LittleEndian.AppendUint32(format, SampleRate*bytesPerSample)
	format = binary.LittleEndian.AppendUint16(format, bytesPerSample)
	format = binary.LittleEndian.AppendUint16(format, 8*bytesPerSample)

	body := append([]byte("WAVE"), chunk("fmt ", format)...)
	body = append(body, info...)
	body = append(body, chunk("data", tones(t, length))...)
	return chunk("RIFF", body), nil
}

// chunk frames a RIFF chunk; odd bodies are padded.
func chunk(id string, body []byte) []byte {
	out := make([]byte, 0, 8+len(body)+1)
	out = append(out, id...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = append(out, body...)
	if len(body)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

// tones renders each turn as a soft tone, a different one for each speaker.
func tones(t Transcript, length time.Duration) []byte {
	samples := int(length.Seconds() * SampleRate)
	pcm := make([]byte, samples*bytesPerSample)
	for _, turn := range t.Turns {
		hz := 180 + 80*float64(turn.Speaker)
		from, to := int(turn.Start*SampleRate), min(int(turn.End*SampleRate), samples)
		for i := max(from, 0); i < to; i++ {
			v := int16(6000 * math.Sin(2*math.Pi*hz*float64(i)/SampleRate))
			binary.LittleEndian.PutUint16(pcm[i*bytesPerSample:], uint16(v))
		}
	}
	return pcm
}

// ErrNotWAV says that data is no WAV file.
var ErrNotWAV = errors.New("not a WAV file")

// Recording is what a WAV file says about itself.
type Recording struct {
	Length     time.Duration
	SampleRate int
	Channels   int
	Transcript *Transcript // nil if the file carries none
}

// Decode reads a WAV file: its format, its length and the transcript in its
// metadata, if there is one. The error is ErrNotWAV for data of another kind,
// another one for a damaged file. Metadata that is no transcript is ignored.
func Decode(data []byte) (Recording, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return Recording{}, ErrNotWAV
	}
	var rec Recording
	var bytesPerSecond uint32
	var sound, seen bool
	err := chunks(data[12:], func(id string, body []byte) error {
		switch id {
		case "fmt ":
			if len(body) < 16 {
				return errors.New("format chunk is too short")
			}
			rec.Channels = int(binary.LittleEndian.Uint16(body[2:]))
			rec.SampleRate = int(binary.LittleEndian.Uint32(body[4:]))
			bytesPerSecond = binary.LittleEndian.Uint32(body[8:])
			seen = bytesPerSecond > 0
		case "data":
			if !seen {
				return errors.New("data comes before a usable format")
			}
			rec.Length = time.Duration(float64(len(body)) / float64(bytesPerSecond) * float64(time.Second))
			sound = true
		case "LIST":
			if len(body) < 4 || string(body[:4]) != "INFO" {
				return nil
			}
			return chunks(body[4:], func(id string, body []byte) error {
				if id != "ICMT" {
					return nil
				}
				var t Transcript
				if err := json.Unmarshal(bytes.TrimRight(body, "\x00"), &t); err == nil && len(t.Turns) > 0 {
					rec.Transcript = &t
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return Recording{}, fmt.Errorf("audio: %w", err)
	}
	if !sound {
		return Recording{}, errors.New("audio: the WAV file has no data chunk")
	}
	return rec, nil
}

// chunks calls f for every RIFF chunk in data. A last chunk that is longer
// than data is cut: recorders that stream write such files.
func chunks(data []byte, f func(id string, body []byte) error) error {
	for len(data) >= 8 {
		id := string(data[:4])
		size := int64(binary.LittleEndian.Uint32(data[4:]))
		data = data[8:]
		body := data[:min(size, int64(len(data)))]
		if err := f(id, body); err != nil {
			return err
		}
		data = data[min(size+size%2, int64(len(data))):]
	}
	if len(data) > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
