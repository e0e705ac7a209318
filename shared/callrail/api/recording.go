package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"ingestion.internal/shared/fault"
)

// maxHops bounds how often a recording's address may lead to another one, by
// redirect or by JSON.
const maxHops = 5

const maxURLLength = 2048

// Errors of a recording, all permanent. Test for them with errors.Is.
var (
	ErrForbidden = errForbidden
	ErrTooLarge  = errors.New("larger than the largest recording that is fetched")
	ErrNotAudio  = errors.New("not audio")
)

// Recording is the audio of a call while it is being fetched. Read it to
// io.EOF and close it: a recording that is too large, breaks off or stalls
// shows as an error of Read.
type Recording struct {
	ContentType string // by its first bytes, not by what the server says
	Extension   string // "wav", "mp3", ...
	Host        string // that served it

	body io.Reader
	stop func()
}

// Read reads audio.
func (r *Recording) Read(p []byte) (int, error) { return r.body.Read(p) }

// Close ends the fetch.
func (r *Recording) Close() error {
	r.stop()
	return nil
}

// Recording opens the recording at address, which is untrusted: only hosts of
// the configured list are asked, at every hop. It may be the audio itself, or
// JSON with the url of it, as CallRail's recording.json is. The key is shown to
// the API's own host only; it may be empty.
func (c *Client) Recording(ctx context.Context, address, key string) (*Recording, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.RecordingTimeout,
		fmt.Errorf("not fetched within %s: %w", c.cfg.RecordingTimeout, context.DeadlineExceeded))
	rec, err := follow(ctx, c, address, key, "audio/*, application/json;q=0.9", func(resp *http.Response) (*Recording, string, error) {
		return c.open(cancel, resp)
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("recording: %w", err)
	}
	return rec, nil
}

// follow opens what is at an untrusted address, or where that leads to: open
// makes of a response what it is, whose body is then its own, or the next
// address.
func follow[T any](ctx context.Context, c *Client, address, key, accept string, open func(*http.Response) (*T, string, error)) (*T, error) {
	if len(address) > maxURLLength {
		return nil, fault.Permanent(fmt.Errorf("%w: the address is longer than %d bytes", errForbidden, maxURLLength))
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.Permanent(fmt.Errorf("%w: the address cannot be read", errForbidden))
	}
	for range maxHops + 1 {
		if err := c.policy.check(u); err != nil {
			return nil, err
		}
		resp, err := c.get(ctx, u, key, accept)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", redacted(u), err)
		}
		found, next, err := open(resp)
		if err != nil {
			resp.Body.Close()
			return nil, fmt.Errorf("%s: %w", redacted(u), err)
		}
		if found != nil {
			return found, nil
		}
		resp.Body.Close()
		if len(next) > maxURLLength {
			return nil, fault.Permanent(fmt.Errorf("%s: %w: it leads to an address longer than %d bytes", redacted(u), errForbidden, maxURLLength))
		}
		target, err := u.Parse(next)
		if err != nil {
			return nil, fault.Permanent(fmt.Errorf("%s: %w: it leads to an address that cannot be read", redacted(u), errForbidden))
		}
		u = target
	}
	return nil, fault.Permanent(fmt.Errorf("%s: more than %d redirects", redacted(u), maxHops))
}

func (c *Client) get(ctx context.Context, u *url.URL, key, accept string) (*http.Response, error) {
	req, err := c.request(ctx, u, key)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := c.recordings.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	return resp, nil
}

// open makes of a response a recording or the next address.
func (c *Client) open(cancel context.CancelFunc, resp *http.Response) (*Recording, string, error) {
	if next, err := redirect(resp); next != "" || err != nil {
		return nil, next, err
	}
	if resp.ContentLength > c.cfg.MaxRecordingBytes {
		return nil, "", c.tooLarge(fmt.Sprintf("%d bytes", resp.ContentLength))
	}

	body := &watched{cancel: cancel, r: resp.Body, stall: c.cfg.StallTimeout}
	limited := &limitedReader{r: body, left: c.cfg.MaxRecordingBytes, err: c.tooLarge("it did not end")}
	buffered := bufio.NewReaderSize(limited, 64<<10)
	head, err := buffered.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	if contentType, extension, ok := sniff(head); ok {
		return &Recording{
			ContentType: contentType,
			Extension:   extension,
			Host:        resp.Request.URL.Host,
			body:        buffered,
			stop: func() {
				cancel()
				resp.Body.Close()
			},
		}, "", nil
	}
	if trimmed := bytes.TrimLeft(head, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		var link struct {
			URL string `json:"url"`
		}
		if err := json.NewDecoder(io.LimitReader(buffered, maxDetailBytes)).Decode(&link); err != nil || link.URL == "" {
			return nil, "", fault.Permanent(fmt.Errorf("%w: JSON without a url", ErrNotAudio))
		}
		return nil, link.URL, nil
	}
	said, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		said = "no content type"
	}
	if len(head) == 0 {
		return nil, "", fault.Permanent(fmt.Errorf("%w: the body is empty (%s)", ErrNotAudio, said))
	}
	return nil, "", fault.Permanent(fmt.Errorf("%w: the content is none of wav, mp3, ogg, m4a, flac, webm (%s)", ErrNotAudio, said))
}

// redirect is where a response leads to; "" if it is what was asked for.
func redirect(resp *http.Response) (string, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return "", nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		location := resp.Header.Get("Location")
		if location == "" {
			return "", fault.Permanent(fmt.Errorf("answered %d without a Location", resp.StatusCode))
		}
		return location, nil
	}
	return "", statusError(resp.StatusCode)
}

func (c *Client) tooLarge(what string) error {
	return fault.Permanent(fmt.Errorf("%w (%s, at most %d)", ErrTooLarge, what, c.cfg.MaxRecordingBytes))
}

// limitedReader passes on left bytes; one more is err.
type limitedReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more than allowed tells the end from too much
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return max(n-1, 0), l.err
	}
	return n, err
}

// watched cancels the fetch when a read brings nothing for the time of stall.
type watched struct {
	cancel context.CancelFunc
	r      io.Reader
	stall  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	stalled := make(chan struct{})
	timer := time.AfterFunc(w.stall, func() {
		close(stalled)
		w.cancel()
	})
	n, err := w.r.Read(p)
	if !timer.Stop() {
		<-stalled
		return n, fmt.Errorf("the recording stalled for %s: %w", w.stall, context.DeadlineExceeded)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading the recording: %w", err)
	}
	return n, err
}

// sniff recognises audio by its first bytes: containers that CallRail and
// Speech-to-Text both know. What a server says about the type is not looked at.
func sniff(head []byte) (contentType, extension string, ok bool) {
	switch {
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE":
		return "audio/wav", "wav", true
	case bytes.HasPrefix(head, []byte("OggS")):
		return "audio/ogg", "ogg", true
	case bytes.HasPrefix(head, []byte("fLaC")):
		return "audio/flac", "flac", true
	case bytes.HasPrefix(head, []byte{0x1a, 0x45, 0xdf, 0xa3}): // EBML
		return "audio/webm", "webm", true
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return "audio/mp4", "m4a", true
	case bytes.HasPrefix(head, []byte("ID3")) || isMP3Frame(head):
		return "audio/mpeg", "mp3", true
	}
	return "", "", false
}

// isMP3Frame reports whether head begins with the header of an MPEG audio
// frame: 11 set bits, then no reserved version, layer, bitrate or sample rate.
func isMP3Frame(head []byte) bool {
	if len(head) < 4 || head[0] != 0xff || head[1]&0xe0 != 0xe0 {
		return false
	}
	version, layer := head[1]>>3&3, head[1]>>1&3
	bitrate, rate := head[2]>>4, head[2]>>2&3
	return version != 1 && layer != 0 && bitrate != 0 && bitrate != 15 && rate != 3
}
