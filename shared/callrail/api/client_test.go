package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/fault"
)

const testKey = "key-of-the-tenant"

// wav is the smallest content that passes for audio, padded to n bytes.
func wav(n int) []byte {
	return append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), bytes.Repeat([]byte{7}, n-16)...)
}

func newClient(t *testing.T, handler http.Handler, change func(*Config)) (*Client, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	cfg := Config{
		BaseURL:           srv.URL,
		MaxRecordingBytes: 10_000,
		CallTimeout:       10 * time.Second,
		RecordingTimeout:  10 * time.Second,
		StallTimeout:      10 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, srv
}

func TestCall(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.String(), "/v3/a/ACC1/calls/CAL2.json?fields=zip_code%2Csource_name"; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
		if got, want := r.Header.Get("Authorization"), `Token token="`+testKey+`"`; got != want {
			t.Errorf("Authorization: %s, want %s", got, want)
		}
		io.WriteString(w, `{"id":"CAL2","customer_name":"Kaylah Mills","customer_phone_number":"+12148654559","customer_city":null,
			"zip_code":90210,"direction":"inbound","answered":false,"voicemail":true,"duration":"13","recording":"https://x.example/r",
			"recording_duration":8,"source_name":"Google Ads","something_new":{}}`)
	}), nil)
	got, err := c.Call(t.Context(), "ACC1", "CAL2", testKey)
	if err != nil {
		t.Fatal(err)
	}
	want := &Call{ID: "CAL2", CustomerName: "Kaylah Mills", CustomerPhone: "+12148654559", PostalCode: "90210", Direction: "inbound",
		Voicemail: true, Duration: 13 * time.Second, RecordingURL: "https://x.example/r", RecordingDuration: 8 * time.Second, SourceName: "Google Ads"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestCallErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status    int
		body      string
		want      string
		permanent bool
	}{
		"unauthorized": {401, "", "answered 401: the API key is not accepted", true},
		"forbidden":    {403, "", "answered 403: the API key or link may not read this", true},
		"not_found":    {404, "", "answered 404: it does not exist, or no longer", true},
		"rate_limited": {429, "", "answered 429: the account's rate limit is used up", false},
		"broken":       {502, "", "answered 502: Bad Gateway", false},
		"redirected":   {302, "", "answered 302: Found", true},
		"not_json":     {200, "<html>", "the answer is not a call: invalid character '<' looking for beginning of value", false},
		"not_a_call":   {200, "{}", "the answer is not a call: it has no id", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}), nil)
			_, err := c.Call(t.Context(), "A", "C", testKey)
			if err == nil || err.Error() != "CallRail call C: "+tc.want {
				t.Errorf("error %q, want %q", err, "CallRail call C: "+tc.want)
			}
			if got := fault.IsPermanent(err); got != tc.permanent {
				t.Errorf("permanent = %t, want %t", got, tc.permanent)
			}
		})
	}
	c, _ := newClient(t, http.NotFoundHandler(), nil)
	if _, err := c.Call(t.Context(), "A", "../../x", testKey); !fault.IsPermanent(err) {
		t.Errorf("a path for an id: %v, want a permanent error", err)
	}
}

// TestRecordingFollowsJSONAndRedirects walks CallRail's own way: JSON with a
// url, a redirect, the audio elsewhere. The key must not leave the API's host.
func TestRecordingFollowsJSONAndRedirects(t *testing.T) {
	t.Parallel()
	audio := wav(5000)
	var cdnAuth []string
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cdnAuth = append(cdnAuth, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(audio)
	}))
	t.Cleanup(cdn.Close)
	c, srv := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			t.Errorf("%s: asked without the key", r.URL)
		}
		switch r.URL.Path {
		case "/recording.json":
			fmt.Fprintf(w, " {\"url\": %q, \"more\": 1}", "/redirect?access_key=s")
		case "/redirect":
			http.Redirect(w, r, cdn.URL+"/a.mp3", http.StatusFound)
		}
	}), func(cfg *Config) { cfg.RecordingHosts = []string{strings.TrimPrefix(cdn.URL, "http://")} })

	rec, err := c.Recording(t.Context(), srv.URL+"/recording.json", testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	got, err := io.ReadAll(rec)
	if err != nil || !bytes.Equal(got, audio) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(audio))
	}
	if rec.ContentType != "audio/wav" || rec.Extension != "wav" {
		t.Errorf("type %s, extension %s", rec.ContentType, rec.Extension)
	}
	if diff := cmp.Diff([]string{""}, cdnAuth); diff != "" {
		t.Errorf("Authorization at the other host (-want +got):\n%s", diff)
	}
}

func TestRecordingRefused(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a host outside the list was asked")
	}))
	t.Cleanup(elsewhere.Close)
	write := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, tc := range map[string]struct {
		handler   http.HandlerFunc
		is        error
		want      string
		permanent bool
	}{
		"not_found":          {http.NotFound, nil, "answered 404: it does not exist, or no longer", true},
		"unavailable":        {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, nil, "answered 503", false},
		"redirect_elsewhere": {redirect(elsewhere.URL), ErrForbidden, "", true},
		"redirect_metadata":  {redirect("http://169.254.169.254/computeMetadata/v1/"), ErrForbidden, "", true},
		"redirect_file":      {redirect("file:///etc/passwd"), ErrForbidden, "no host", true},
		"json_elsewhere":     {write(`{"url":"` + elsewhere.URL + `"}`), ErrForbidden, "", true},
		"json_without_url":   {write(`{"error":"no recording"}`), ErrNotAudio, "JSON without a url", true},
		"redirect_loop":      {redirect("/again"), nil, "more than 5 redirects", true},
		"no_location":        {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) }, nil, "answered 302 without a Location", true},
		"html":               {write("<!doctype html><title>Sign in</title>"), ErrNotAudio, "text/html", true},
		"html_as_audio": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			io.WriteString(w, "<html>")
		}, ErrNotAudio, "audio/mpeg", true},
		"empty": {write(""), ErrNotAudio, "the body is empty", true},
		"three_gigabytes": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3221225472")
			w.Write(wav(100))
		}, ErrTooLarge, "3221225472 bytes, at most 10000", true},
		"too_large_without_length": {func(w http.ResponseWriter, r *http.Request) {
			w.Write(wav(6000))
			w.(http.Flusher).Flush()
			w.Write(wav(6000))
		}, ErrTooLarge, "at most 10000", true},
		"broken_off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9000")
			w.Write(wav(6000))
		}, io.ErrUnexpectedEOF, "reading the recording", false},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			if enc := r.Header.Get("Accept-Encoding"); enc != "" {
				t.Errorf("asked for %s", enc)
			}
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b\x08\x00")
		}, ErrNotAudio, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := newClient(t, tc.handler, nil)
			rec, err := c.Recording(t.Context(), srv.URL+"/r?access_key=hidden", "")
			if err == nil {
				_, err = io.Copy(io.Discard, rec)
				rec.Close()
			}
			if err == nil {
				t.Fatal("fetched without an error")
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("error %q, want it to say %q and no access key", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %q is not %q", err, tc.is)
			}
			if got := fault.IsPermanent(err); got != tc.permanent {
				t.Errorf("permanent = %t, want %t (%v)", got, tc.permanent, err)
			}
		})
	}
}

func TestRecordingOfExactlyTheLimit(t *testing.T) {
	t.Parallel()
	for _, chunked := range []bool{false, true} {
		c, srv := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if chunked {
				w.(http.Flusher).Flush()
			}
			w.Write(wav(10_000))
		}), nil)
		rec, err := c.Recording(t.Context(), srv.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, rec); n != 10_000 || err != nil {
			t.Errorf("chunked %t: read %d bytes, %v", chunked, n, err)
		}
		rec.Close()
	}
}

// TestRecordingStalls has a server that sends half and then nothing: both the
// stall and the total timeout end it, and both are worth a retry.
func TestRecordingStalls(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Config)
		send   int
		want   string
	}{
		"body":          {func(c *Config) { c.StallTimeout = 50 * time.Millisecond }, 6000, "stalled for 50ms"},
		"first_bytes":   {func(c *Config) { c.StallTimeout = 50 * time.Millisecond }, 20, "stalled for 50ms"},
		"total":         {func(c *Config) { c.RecordingTimeout = 50 * time.Millisecond }, 6000, "not fetched within 50ms"},
		"before_header": {func(c *Config) { c.RecordingTimeout = 50 * time.Millisecond }, 0, "not fetched within 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.send > 0 {
					w.Write(wav(tc.send))
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}), tc.change)
			rec, err := c.Recording(t.Context(), srv.URL, "")
			if err == nil {
				_, err = io.Copy(io.Discard, rec)
				rec.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %q, want %q", err, tc.want)
			}
			if fault.IsPermanent(err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: want a deadline, worth a retry", err)
			}
		})
	}
}

// TestRecordingDialCheck has an allowed name resolve to a private address.
func TestRecordingDialCheck(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t, http.NotFoundHandler(), func(cfg *Config) { cfg.RecordingHosts = []string{"recordings.example.com"} })
	u := &url.URL{Scheme: "https", Host: "recordings.example.com"}
	if err := c.policy.check(u); err != nil {
		t.Fatal(err)
	}
	// The dialer is what the transport uses; a literal stands for what the
	// name's second resolution would bring.
	_, err := c.policy.dialer().DialContext(t.Context(), "tcp", "127.0.0.1:443")
	if !errors.Is(err, ErrForbidden) || !fault.IsPermanent(err) {
		t.Errorf("dialling loopback: %v, want it forbidden", err)
	}
}

func TestNewReportsEverything(t *testing.T) {
	t.Parallel()
	_, err := New(Config{BaseURL: "ftp://x", RecordingHosts: []string{"*"}})
	if err == nil {
		t.Fatal("New accepted it")
	}
	for _, want := range []string{"ftp://x", `"*"`, "largest recording", "call timeout", "recording timeout", "stall timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not mention %s:\n%v", want, err)
		}
	}
}

func TestSniff(t *testing.T) {
	t.Parallel()
	for want, head := range map[string]string{
		"wav":  "RIFF\x24\x00\x00\x00WAVEfmt ",
		"ogg":  "OggS\x00\x02",
		"flac": "fLaC\x00\x00",
		"webm": "\x1a\x45\xdf\xa3",
		"m4a":  "\x00\x00\x00\x20ftypM4A ",
		"mp3":  "ID3\x04",
	} {
		if _, got, ok := sniff([]byte(head)); !ok || got != want {
			t.Errorf("sniff(%q) = %q, %t, want %q", head, got, ok, want)
		}
	}
	if _, got, ok := sniff([]byte("\xff\xfb\x90\x44")); !ok || got != "mp3" {
		t.Errorf("sniff of an MPEG frame = %q, %t", got, ok)
	}
	for _, head := range []string{"", "RIFF\x24\x00\x00\x00AVI fmt ", "\xff\xff\xff\xff", "\xff\xf1\x50\x80", "%PDF-1.7", "{}", "\x00\x00\x00"} {
		if _, got, ok := sniff([]byte(head)); ok {
			t.Errorf("sniff(%q) = %q, want none", head, got)
		}
	}
}
