package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/shared/topology"
)

// conversation is one with the chat of a tenant's page, as the page has it. It
// is kept in a file, from which a later command goes on.
type conversation struct {
	URL       string `json:"-"`
	Tenant    string `json:"tenant"`
	SessionID string `json:"session_id"`
	Token     string `json:"token"`
	Greeting  string `json:"greeting"`
	Streams   bool   `json:"streams"`
	Expected  int64  `json:"expected_number"`
}

// chat writes to a tenant's chat as a visitor would, shows the answers as they
// come, closes the conversation and follows its request.
func (a *app) chat(ctx context.Context) error {
	_, status, db, err := a.platform(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	url, err := serviceURL(status, topology.ChatAPI)
	if err != nil {
		return err
	}
	said, err := a.chatMessages()
	if err != nil {
		return err
	}
	c, err := a.openChat(ctx, url)
	if err != nil {
		return coded(cli.ExitRequest, err)
	}
	for _, text := range said {
		if err := a.sayInChat(ctx, c, text); err != nil {
			return coded(cli.ExitRequest, err)
		}
	}
	var closed struct {
		RequestID string    `json:"request_id"`
		RecordsAt time.Time `json:"records_at"`
	}
	if err := c.exchange(ctx, http.MethodPost, "/api/v1/chat/sessions/"+c.SessionID+"/close", map[string]any{}, &closed); err != nil {
		return coded(cli.ExitRequest, err)
	}
	if err := a.keepChat(c); err != nil {
		return err
	}
	if !closed.RecordsAt.IsZero() {
		if err := a.awaitChat(ctx, db, c.Tenant, closed.RequestID, closed.RecordsAt); err != nil {
			return err
		}
	}
	story, err := a.follow(ctx, db, c.Tenant, closed.RequestID, false)
	return a.tell(ctx, story, err)
}

// sweepPatience is how long after it is due a conversation may take to reach its
// request: the sweeper runs once a minute.
const sweepPatience = 2 * time.Minute

// awaitChat waits until the request hears of what was said since its last
// analysis, which is once in the chat's quietAfter at most.
func (a *app) awaitChat(ctx context.Context, db *follow.Spanner, tenantID, requestID string, at time.Time) error {
	heard, err := db.Events(ctx, tenantID, requestID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadlineCause(ctx, at.Add(sweepPatience), errors.New("the sweeper has not run"))
	defer cancel()
	it := a.board.Start("conversation", fmt.Sprintf("its request was analysed not long ago; what is new reaches it after %s, when the sweeper runs", at.Local().Format(time.TimeOnly)))
	if err := db.AwaitEvents(ctx, tenantID, requestID, heard+1); err != nil {
		it.Fail("not recorded")
		return coded(cli.ExitRequest, fmt.Errorf("%w (what the services say: go run ./local logs)", err))
	}
	it.Done("recorded")
	return nil
}

// chatMessages are the arguments, the lines of standard input for "-", or a
// sample.
func (a *app) chatMessages() ([]string, error) {
	switch {
	case len(a.opts.Args) == 1 && a.opts.Args[0] == "-":
		var all []string
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				all = append(all, text)
			}
		}
		if len(all) == 0 {
			return nil, coded(cli.ExitUsage, errors.Join(errors.New("nothing was said on standard input"), lines.Err()))
		}
		return all, lines.Err()
	case len(a.opts.Args) > 0:
		return a.opts.Args, nil
	case a.opts.Resume:
		return []string{sample.Afterthought}, nil
	}
	return sample.Conversation, nil
}

// chatFile is where the last conversation is kept.
func (a *app) chatFile() string { return a.repo.Local("chat.json") }

func (a *app) keepChat(c *conversation) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(a.chatFile(), text, 0o600) // the token is the visitor's alone
}

// openChat begins a conversation, or goes on with the last one.
func (a *app) openChat(ctx context.Context, url string) (*conversation, error) {
	if !a.opts.Resume {
		c := &conversation{URL: url, Tenant: a.opts.Tenant}
		err := c.exchange(ctx, http.MethodPost, "/api/v1/chat/sessions", map[string]any{
			"tenant_id": a.opts.Tenant, "office_id": a.opts.Office, "page": "http://127.0.0.1/", "name": a.opts.Name,
		}, c)
		if err == nil && c.Greeting != "" {
			fmt.Fprintf(a.shown(), "  company  %s\n", c.Greeting)
		}
		return c, err
	}
	text, err := os.ReadFile(a.chatFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, coded(cli.ExitUsage, errors.New("there is no conversation to go on with (begin one with: go run ./local chat)"))
	}
	if err != nil {
		return nil, err
	}
	c := &conversation{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", a.chatFile(), err)
	}
	c.URL = url
	var known struct {
		Expected int64 `json:"expected_number"`
		Messages []struct {
			Text   string
			Answer struct{ Text string }
		}
	}
	if err := c.exchange(ctx, http.MethodGet, "/api/v1/chat/sessions/"+c.SessionID+"/messages?after=0", nil, &known); err != nil {
		return nil, err
	}
	c.Expected = known.Expected
	for _, m := range known.Messages {
		fmt.Fprintf(a.shown(), "  visitor  %s\n  company  %s\n", m.Text, m.Answer.Text)
	}
	fmt.Fprintln(a.shown(), "  ...")
	return c, nil
}

// shown is where a conversation is shown: not in a JSON document.
func (a *app) shown() io.Writer {
	if a.opts.JSON {
		return a.stderr
	}
	return a.stdout
}

// sayInChat says one message and shows the answer as it comes.
func (a *app) sayInChat(ctx context.Context, c *conversation, text string) error {
	fmt.Fprintf(a.shown(), "  visitor  %s\n  company  ", text)
	begun := time.Now()
	req, err := c.request(ctx, http.MethodPost, "/api/v1/chat/sessions/"+c.SessionID+"/messages", map[string]any{"number": c.Expected, "text": text})
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the chat does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	var first time.Duration
	done := false
	err = events(resp.Body, func(name, data string) error {
		switch name {
		case "delta":
			var d struct{ Text string }
			if first == 0 {
				first = time.Since(begun)
			}
			err := json.Unmarshal([]byte(data), &d)
			fmt.Fprint(a.shown(), d.Text)
			return err
		case "done":
			done = true
		case "problem":
			return fmt.Errorf("the chat cannot answer now: %s", data)
		}
		return nil
	})
	fmt.Fprintf(a.shown(), "  (first words after %d ms)\n", first.Milliseconds())
	if err == nil && !done {
		err = errors.New("the answer broke off")
	}
	c.Expected++
	return err
}

// events reads server-sent events until the stream ends.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
func events(stream io.Reader, event func(name, data string) error) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	name, data := "", ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if name != "" {
				if err := event(name, data); err != nil {
					return err
				}
			}
			name, data = "", ""
		case field == "event":
			name = value
		case field == "data":
			data += value
		}
	}
	return lines.Err()
}

func (c *conversation) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Chat-Token", c.Token)
	}
	return req, nil
}

// exchange sends a body and reads the JSON answer.
func (c *conversation) exchange(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the chat does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return refused(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(answer); err != nil {
		return fmt.Errorf("the chat's answer: %w", err)
	}
	return nil
}

func refused(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return errors.Join(fmt.Errorf("the chat refused it: %s: %s", resp.Status, bytes.TrimSpace(text)), err)
}

// serviceURL returns the address of a service that is deployed.
func serviceURL(status daemonapi.Status, name string) (string, error) {
	for _, s := range status.Services {
		if s.Name == name && s.URL != "" {
			return s.URL, nil
		}
	}
	return "", coded(cli.ExitNotRunning, fmt.Errorf("%s is not deployed on the local cloud (deploy it with: go run ./local up)", name))
}
