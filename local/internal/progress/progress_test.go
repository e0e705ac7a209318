package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that the test moves. The board reads it under its own lock
// and the ticker's rate does not depend on it.
type clock struct{ t time.Time }

func board(live bool) (*Board, *bytes.Buffer, *clock) {
	c := &clock{time.Unix(0, 0)}
	var buf bytes.Buffer
	b := newBoard(&buf, live, false, 60, func() time.Time { return c.t })
	// No ticker of its own: the test beats.
	b.stop, b.done = make(chan struct{}), make(chan struct{})
	close(b.done)
	return b, &buf, c
}

func TestPlain(t *testing.T) {
	t.Parallel()
	b, buf, c := board(false)
	engine := b.Start("engine", "building")
	deploy := b.Start("deploy", "building")
	c.t = c.t.Add(heartbeat)
	engine.Note("compiling x")
	b.beat()
	b.beat() // silent: everything was just said
	c.t = c.t.Add(45 * time.Second)
	engine.Done("built")
	deploy.Fail("does not compile")
	deploy.Done("too late")
	b.Close()
	want := `  · engine                building
  · deploy                building
  · engine         20.0s  compiling x
  · deploy         20.0s  building
  ✓ engine         1m05s  built
  ✗ deploy         1m05s  does not compile
`
	if d := cmp.Diff(want, buf.String()); d != "" {
		t.Error(d)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	b, buf, c := board(true)
	engine := b.Start("engine", strings.Repeat("long ", 30))
	b.Start("deploy", "building")
	c.t = c.t.Add(2 * time.Second)
	b.beat()
	engine.Done("built")
	b.Println("hello")
	b.Close()

	got := screen(t, buf.String())
	want := "  ✓ engine          2.0s  built\nhello\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what stays on the screen (-want +got):\n%s", d)
	}
	for l := range strings.SplitSeq(buf.String(), "\n") {
		if _, after, ok := strings.Cut(l, "\x1b[J"); ok {
			l = after
		}
		if n := len([]rune(l)); n > 60 {
			t.Errorf("a live line of %d columns would wrap: %q", n, l)
		}
	}
}

// screen plays the two escape sequences that the board uses.
func screen(t *testing.T, s string) string {
	t.Helper()
	var lines []string
	for {
		i := strings.Index(s, "\x1b[")
		chunk := s
		if i >= 0 {
			chunk = s[:i]
		}
		lines = append(lines, strings.SplitAfter(chunk, "\n")...)
		if n := len(lines); n > 0 && lines[n-1] == "" {
			lines = lines[:n-1]
		}
		if i < 0 {
			return strings.Join(lines, "")
		}
		up, rest, ok := strings.Cut(s[i+2:], "A\x1b[J")
		if !ok {
			t.Fatalf("unknown escape sequence in %q", s[i:])
		}
		n := 0
		for _, d := range up {
			n = n*10 + int(d-'0')
		}
		if n > len(lines) {
			t.Fatalf("erases %d lines of %d", n, len(lines))
		}
		lines, s = lines[:len(lines)-n], rest
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 440 * time.Millisecond: "0.4s", 59900 * time.Millisecond: "59.9s",
		59960 * time.Millisecond: "1m00s", 185 * time.Second: "3m05s", 3601 * time.Second: "60m01s",
	} {
		if got := Seconds(d); got != want {
			t.Errorf("Seconds(%v) = %s, want %s", d, got, want)
		}
	}
}
