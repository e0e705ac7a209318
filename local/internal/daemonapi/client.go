package daemonapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// requestTimeout bounds every request but a followed log.
const requestTimeout = 30 * time.Second

// Client calls the admin API of one daemon.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a client of the daemon that info describes.
func NewClient(info Info) *Client {
	return &Client{base: strings.TrimSuffix(info.Admin, "/"), token: info.Token, http: &http.Client{}}
}

// Status returns the state of the cloud.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Env returns what a shell needs to use the cloud.
func (c *Client) Env(ctx context.Context) (map[string]string, error) {
	var m map[string]string
	return m, c.do(ctx, http.MethodGet, "/env", nil, &m)
}

// Secret returns the latest version of a secret.
func (c *Client) Secret(ctx context.Context, id string) ([]byte, error) {
	var b []byte
	return b, c.do(ctx, http.MethodGet, "/secrets/"+url.PathEscape(id), nil, &b)
}

// PutCall teaches the CallRail stand-in a call and returns where its recording
// is.
func (c *Client) PutCall(ctx context.Context, call Call) (Recording, error) {
	var r Recording
	return r, c.do(ctx, http.MethodPut, "/calls/"+url.PathEscape(call.ID), call, &r)
}

// SetFault makes a stand-in misbehave.
func (c *Client) SetFault(ctx context.Context, f Fault) error {
	return c.do(ctx, http.MethodPut, "/faults/"+url.PathEscape(f.Target), f, nil)
}

// Records returns what is in the tenants' CRMs.
func (c *Client) Records(ctx context.Context) ([]Record, error) {
	var all []Record
	err := c.do(ctx, http.MethodGet, "/records", nil, &all)
	return all, err
}

// Mail returns what was sent, the oldest first.
func (c *Client) Mail(ctx context.Context) ([]Mail, error) {
	var all []Mail
	err := c.do(ctx, http.MethodGet, "/mail", nil, &all)
	return all, err
}

// HoldQueues pauses the queues until release is called, ctx ends or this process
// does.
func (c *Client) HoldQueues(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, http.MethodPost, "/queues/hold", nil) //nolint:bodyclose // release closes it
	if err != nil {
		cancel()
		return nil, err
	}
	return func() {
		cancel()
		resp.Body.Close()
	}, nil
}

// ClearFault makes a stand-in behave again.
func (c *Client) ClearFault(ctx context.Context, target string) error {
	return c.do(ctx, http.MethodDelete, "/faults/"+url.PathEscape(target), nil, nil)
}

// Shutdown asks the daemon to end; it returns before that happened.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/shutdown", nil, nil)
}

// Logs copies the selected lines to w.
func (c *Client) Logs(ctx context.Context, q LogQuery, w io.Writer) error {
	v := url.Values{"tail": {strconv.Itoa(q.Tail)}}
	if q.Service != "" {
		v.Set("service", q.Service)
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	resp, err := c.send(ctx, http.MethodGet, "/logs?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// do sends in as JSON and decodes the answer into out: raw for *[]byte, not at
// all for nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out, err = io.ReadAll(resp.Body)
	default:
		err = json.NewDecoder(resp.Body).Decode(out)
	}
	if err != nil {
		return fmt.Errorf("%s %s of the local cloud: %w", method, path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the local cloud does not answer: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	err = errors.New(strings.TrimSpace(string(text)))
	if resp.StatusCode < 500 {
		err = &Refusal{err, resp.StatusCode}
	}
	return nil, fmt.Errorf("%s %s of the local cloud: %w", method, path, err)
}

// Refusal is the daemon's answer, in its words, to what it cannot do as asked. It
// is ErrNotFound where there is no such thing.
type Refusal struct {
	error

	status int
}

// Is tells whether the refusal is ErrNotFound.
func (r *Refusal) Is(target error) bool {
	return target == ErrNotFound && r.status == http.StatusNotFound
}
