package api

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// leads answers its first request with where it leads to, and all others with
// one body. It keeps what it was asked.
type leads struct {
	location, body string
	asked          []*http.Request
}

// RoundTrip implements http.RoundTripper.
func (l *leads) RoundTrip(r *http.Request) (*http.Response, error) {
	l.asked = append(l.asked, r)
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(l.body)), ContentLength: -1, Request: r}
	if len(l.asked) == 1 && l.location != "" {
		answer.StatusCode, answer.Header = http.StatusFound, http.Header{"Location": {l.location}}
	}
	return answer, nil
}

// Wherever a recording leads, only hosts that are allowed are asked, the key is
// shown to CallRail's own alone, and what is opened is audio.
func FuzzRecording(f *testing.F) {
	f.Add("", "RIFF\x24\x00\x00\x00WAVEfmt ")
	f.Add("https://media.example/1.mp3", "ID3\x03")
	f.Add("//user@media.example:443/1", `{"url":"https://api.callrail.example/2"}`)
	f.Add("https://evil.example/", "OggS")
	f.Add("http://169.254.169.254/computeMetadata/v1/", `{"url":"file:///etc/passwd"}`)
	f.Fuzz(func(t *testing.T, location, body string) {
		c, err := New(Config{
			BaseURL: "https://api.callrail.example", RecordingHosts: []string{"media.example"}, MaxRecordingBytes: 1 << 20,
			CallTimeout: time.Minute, RecordingTimeout: time.Minute, StallTimeout: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		wire := &leads{location: location, body: body}
		c.recordings = &http.Client{Transport: wire, CheckRedirect: c.recordings.CheckRedirect}
		recording, err := c.Recording(t.Context(), "https://api.callrail.example/1", "the-key")
		if (err == nil) != (recording != nil) {
			t.Fatalf("%+v, %v", recording, err)
		}
		for _, r := range wire.asked {
			host := strings.ToLower(r.URL.Hostname())
			if r.URL.Scheme != "https" || !slices.Contains([]string{"api.callrail.example", "media.example"}, host) {
				t.Errorf("asked %s", r.URL)
			}
			if r.Header.Get("Authorization") != "" && host != "api.callrail.example" {
				t.Errorf("%s was shown the key", r.URL)
			}
		}
		if err != nil {
			return
		}
		defer recording.Close()
		if heard, err := io.ReadAll(recording); err == nil && string(heard) != body || recording.Extension == "" || !strings.HasPrefix(recording.ContentType, "audio/") && !strings.HasPrefix(recording.ContentType, "video/") {
			t.Errorf("%s, %d of %d bytes, %v", recording.ContentType, len(heard), len(body), err)
		}
	})
}
