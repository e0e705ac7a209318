package speech

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cloud.google.com/go/speech/apiv2/speechpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingestion.internal/local/standin/audio"
)

// hearing is what was understood of one file.
type hearing struct {
	length  time.Duration
	results []*speechpb.SpeechRecognitionResult
}

// confidence is that of every result: the transcript is not guessed.
const confidence = 0.94

// listen recognises data: one result for every turn of the transcript that it
// carries. Sound without a transcript is sound without speech.
func listen(data []byte, c *speechpb.RecognitionConfig) (hearing, error) {
	rec, err := audio.Decode(data)
	if errors.Is(err, audio.ErrNotWAV) && compressed(data) {
		return hearing{}, nil
	}
	if err != nil {
		return hearing{}, invalid("Audio data does not appear to be in a supported encoding. " +
			"If you believe this to be incorrect, try explicitly specifying the decoding parameters.")
	}
	if e := c.GetExplicitDecodingConfig(); e != nil && int(e.GetSampleRateHertz()) != rec.SampleRate {
		return hearing{}, invalid("sampleRateHertz (%d) does not match the value of the WAV header (%d).", e.GetSampleRateHertz(), rec.SampleRate)
	}
	heard := hearing{length: rec.Length}
	if rec.Transcript == nil {
		return heard, nil
	}
	for _, turn := range rec.Transcript.Turns {
		text := strings.Join(strings.Fields(turn.Text), " ")
		if !c.GetFeatures().GetEnableAutomaticPunctuation() {
			text = unpunctuated(text)
		}
		if text == "" {
			continue
		}
		heard.results = append(heard.results, &speechpb.SpeechRecognitionResult{
			Alternatives: []*speechpb.SpeechRecognitionAlternative{{
				Transcript: text,
				Confidence: confidence,
				Words:      words(turn, text, c.GetFeatures()),
			}},
			ResultEndOffset: seconds(turn.End),
			LanguageCode:    language(c.GetLanguageCodes()[0]),
		})
	}
	return heard, nil
}

// words spreads a turn's words over its time. The API tells words only if a
// feature needs them.
func words(turn audio.Turn, text string, f *speechpb.RecognitionFeatures) []*speechpb.WordInfo {
	diarize, times := f.GetDiarizationConfig() != nil, f.GetEnableWordTimeOffsets()
	if !diarize && !times {
		return nil
	}
	fields := strings.Fields(text)
	each := (turn.End - turn.Start) / float64(len(fields))
	out := make([]*speechpb.WordInfo, len(fields))
	for i, word := range fields {
		out[i] = &speechpb.WordInfo{Word: word}
		if diarize {
			out[i].SpeakerLabel = strconv.Itoa(turn.Speaker)
		}
		if times {
			out[i].StartOffset = seconds(turn.Start + each*float64(i))
			out[i].EndOffset = seconds(turn.Start + each*float64(i+1))
		}
	}
	return out
}

func seconds(s float64) *durationpb.Duration {
	return durationpb.New(time.Duration(s * float64(time.Second)).Round(time.Millisecond))
}

func language(code string) string {
	if code == "auto" {
		return "en-US"
	}
	return code
}

// unpunctuated is text as it is heard without automatic punctuation: lower
// case, without the marks that are not part of a word.
func unpunctuated(text string) string {
	fields := strings.Fields(strings.ToLower(text))
	out := fields[:0]
	for _, f := range fields {
		f = strings.TrimFunc(f, func(r rune) bool { return unicode.IsPunct(r) && r != '$' && r != '\'' })
		if f != "" {
			out = append(out, f)
		}
	}
	return strings.Join(out, " ")
}

// compressed recognises the other containers that the API decodes by itself:
// MP3, FLAC, Ogg and WebM. Nothing is made locally in these, so there is never
// a transcript in them.
func compressed(data []byte) bool {
	for _, magic := range []string{"ID3", "\xff\xfb", "\xff\xf3", "\xff\xf2", "fLaC", "OggS", "\x1aE\xdf\xa3"} {
		if bytes.HasPrefix(data, []byte(magic)) {
			return true
		}
	}
	return false
}
