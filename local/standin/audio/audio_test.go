package audio_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/audio"
)

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	said := audio.Transcript{Turns: []audio.Turn{
		{Speaker: 2, Text: "Hello?", Start: 0.5, End: 1},
		{Speaker: 1, Text: "Grüße, \"Küche\" 日本", Start: 1.25, End: 1.75},
	}}
	for _, tc := range []struct {
		name   string
		in     audio.Transcript
		length time.Duration
		want   audio.Recording
	}{
		{"spoken", said, 2 * time.Second, audio.Recording{Length: 2 * time.Second, SampleRate: 8000, Channels: 1, Transcript: &said}},
		{"silence", audio.Transcript{}, 3 * time.Second, audio.Recording{Length: 3 * time.Second, SampleRate: 8000, Channels: 1}},
		{"shorter_than_what_is_said", said, time.Second, audio.Recording{Length: time.Second, SampleRate: 8000, Channels: 1, Transcript: &said}},
		{"empty", audio.Transcript{}, 0, audio.Recording{SampleRate: 8000, Channels: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wav, err := audio.Encode(tc.in, tc.length)
			if err != nil {
				t.Fatal(err)
			}
			got, err := audio.Decode(wav)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Decode(Encode()) (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodeRefusesLength(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{-time.Second, 5 * time.Hour} {
		if _, err := audio.Encode(audio.Transcript{}, length); err == nil {
			t.Errorf("Encode with length %s: no error", length)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	wav, err := audio.Encode(audio.Transcript{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty": nil,
		"html":  []byte("<!doctype html><title>Sign in</title>"),
		"mp3":   []byte("ID3\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	} {
		if _, err := audio.Decode(data); !errors.Is(err, audio.ErrNotWAV) {
			t.Errorf("Decode(%s) = %v, want ErrNotWAV", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"no_chunks":          wav[:12],
		"format_only":        wav[:36],
		"data_before_format": append(append([]byte{}, wav[:12]...), wav[36:]...),
		"stray_bytes":        append(append([]byte{}, wav...), 1, 2, 3),
	} {
		if _, err := audio.Decode(data); err == nil || errors.Is(err, audio.ErrNotWAV) {
			t.Errorf("Decode(%s) = %v, want an error about a damaged file", name, err)
		}
	}
}

func TestLay(t *testing.T) {
	t.Parallel()
	turns := []audio.Turn{{Speaker: 1, Text: "one two three four five"}, {Speaker: 2, Text: "six"}}
	natural, length := audio.Lay(turns, 0)
	want := audio.Transcript{Turns: []audio.Turn{
		{Speaker: 1, Text: "one two three four five", Start: 0.5, End: 2.5},
		{Speaker: 2, Text: "six", Start: 3, End: 3.4},
	}}
	if diff := cmp.Diff(want, natural); diff != "" || length != 4*time.Second {
		t.Errorf("Lay to natural length: %s (-want +got):\n%s", length, diff)
	}
	if longer, length := audio.Lay(turns, time.Minute); !cmp.Equal(natural, longer) || length != time.Minute {
		t.Errorf("Lay into a minute = %v, %s, want the natural times and a minute", longer, length)
	}
	squeezed, _ := audio.Lay(turns, 2*time.Second)
	if end := squeezed.Turns[1].End; end >= 2 {
		t.Errorf("Lay into 2 s: last turn ends at %g s", end)
	}
}

// TestSamples guards what the README and the sample commands promise of the
// scripts.
func TestSamples(t *testing.T) {
	t.Parallel()
	want := []string{"bathroom-out-of-area", "just-looking", "kitchen-remodel", "prompt-injection", "spam-robocall", "voicemail-callback"}
	if diff := cmp.Diff(want, audio.Names()); diff != "" {
		t.Errorf("Names() (-want +got):\n%s", diff)
	}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{9,14}$`)
	for _, name := range audio.Names() {
		s, err := audio.Script(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || s.Description == "" || len(s.Turns) == 0 || !e164.MatchString(s.Caller.Phone) {
			t.Errorf("script %s is incomplete: %+v", name, s)
		}
		for i, turn := range s.Turns {
			if turn.Text == "" || turn.Speaker != 1 && turn.Speaker != 2 {
				t.Errorf("script %s, turn %d is incomplete: %+v", name, i, turn)
			}
		}
	}
	if _, err := audio.Script("opera"); err == nil {
		t.Error("Script of an unknown name: no error")
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	if got := audio.Pick("766970532").Name; got != "voicemail-callback" {
		t.Errorf("Pick of the vendor's sample call = %s, want a voicemail, which that call is", got)
	}
	picked := map[string]bool{}
	for i := range 200 {
		id := "CAL" + time.Duration(i).String()
		name := audio.Pick(id).Name
		if again := audio.Pick(id).Name; again != name {
			t.Errorf("Pick(%s) = %s, then %s", id, name, again)
		}
		picked[name] = true
	}
	if len(picked) != len(audio.Names()) {
		t.Errorf("200 calls picked only %v", picked)
	}
}

func FuzzDecode(f *testing.F) {
	wav, err := audio.Encode(audio.Transcript{Turns: []audio.Turn{{Speaker: 1, Text: "hi", End: 0.01}}}, 10*time.Millisecond)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wav)
	f.Add(wav[:40])
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xffINFO"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := audio.Decode(data)
		if err == nil && rec.Length < 0 {
			t.Errorf("length %s is negative", rec.Length)
		}
	})
}
