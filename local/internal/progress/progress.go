// Package progress shows what a command is doing: on a terminal one line per
// running item, redrawn in place with its elapsed time; elsewhere, and in CI,
// plain lines that a log can keep. It uses the standard library only, because
// the launcher must compile in seconds.
package progress

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	redraw    = 150 * time.Millisecond // a live line's refresh
	heartbeat = 20 * time.Second       // a plain item says that it still runs
)

// Board shows items. Its methods may be called from any goroutine.
type Board struct {
	out   io.Writer
	live  bool
	color bool
	width int
	now   func() time.Time

	mu    sync.Mutex
	items []*Item // running, in order of their start
	drawn int     // live lines on the screen
	pad   int     // width of the name column
	stop  chan struct{}
	done  chan struct{}
}

// New returns a board on f that suits it: live on a terminal, plain otherwise
// or when CI is set; coloured on a terminal unless NO_COLOR is set.
func New(f *os.File) *Board {
	tty := isTerminal(f) && os.Getenv("TERM") != "dumb"
	width := 80
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 40 {
		width = n
	}
	return newBoard(f, tty && os.Getenv("CI") == "", tty && os.Getenv("NO_COLOR") == "", width, time.Now)
}

// NewPlain returns a board that writes plain lines.
func NewPlain(out io.Writer) *Board { return newBoard(out, false, false, 80, time.Now) }

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

func newBoard(out io.Writer, live, color bool, width int, now func() time.Time) *Board {
	return &Board{out: out, live: live, color: color, width: width, now: now, pad: 12}
}

// Item is one thing in progress. After Done or Fail it changes no more.
type Item struct {
	b        *Board
	name     string
	note     string
	start    time.Time
	lastSaid time.Time
	ended    bool
}

// Start shows a new item.
func (b *Board) Start(name, note string) *Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	it := &Item{b: b, name: name, note: note, start: b.now(), lastSaid: b.now()}
	b.pad = max(b.pad, len(name))
	b.items = append(b.items, it)
	if b.live {
		b.draw()
	} else {
		b.line(b.row("·", it, note, false))
	}
	if b.stop == nil {
		b.stop, b.done = make(chan struct{}), make(chan struct{})
		go b.tick(b.stop, b.done)
	}
	return it
}

// Note replaces what is said of the item.
func (it *Item) Note(format string, args ...any) {
	it.b.mu.Lock()
	defer it.b.mu.Unlock()
	it.note = fmt.Sprintf(format, args...)
}

// Done ends the item well.
func (it *Item) Done(format string, args ...any) {
	it.end("✓", green, fmt.Sprintf(format, args...))
}

// Fail ends the item badly.
func (it *Item) Fail(format string, args ...any) { it.end("✗", red, fmt.Sprintf(format, args...)) }

func (it *Item) end(mark, color, note string) {
	b := it.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if it.ended {
		return
	}
	it.ended = true
	for i, x := range b.items {
		if x == it {
			b.items = append(b.items[:i], b.items[i+1:]...)
			break
		}
	}
	b.line(b.row(b.paint(color, mark), it, note, true))
}

// Println writes a line of its own above the running items.
func (b *Board) Println(args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line(strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}

// Close takes unfinished items off the screen and stops redrawing.
func (b *Board) Close() {
	b.mu.Lock()
	stop, done := b.stop, b.done
	b.stop = nil
	b.items = nil
	b.erase()
	b.mu.Unlock()
	if stop != nil {
		close(stop)
		<-done
	}
}

func (b *Board) tick(stop, done chan struct{}) {
	defer close(done)
	t := time.NewTicker(redraw)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			b.mu.Lock()
			b.beat()
			b.mu.Unlock()
		}
	}
}

// beat is one tick: the live lines again, or a word from plain items that
// have been silent for long.
func (b *Board) beat() {
	if b.live {
		b.draw()
		return
	}
	for _, it := range b.items {
		if b.now().Sub(it.lastSaid) >= heartbeat {
			it.lastSaid = b.now()
			b.line(b.row("·", it, it.note, true))
		}
	}
}

// line writes above the live lines. The caller holds mu.
func (b *Board) line(s string) {
	b.erase()
	fmt.Fprintln(b.out, s)
	if b.live {
		b.draw()
	}
}

func (b *Board) erase() {
	if b.drawn > 0 {
		fmt.Fprintf(b.out, "\x1b[%dA\x1b[J", b.drawn)
		b.drawn = 0
	}
}

func (b *Board) draw() {
	b.erase()
	var s strings.Builder
	for _, it := range b.items {
		frame := string([]rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[int(b.now().Sub(it.start)/redraw)%10])
		s.WriteString(b.row(frame, it, it.note, true))
		s.WriteByte('\n')
	}
	_, _ = io.WriteString(b.out, s.String())
	b.drawn = len(b.items)
}

// row is one item's line: mark, name, elapsed time, note; a live one is cut to
// the screen's width, because a wrapped line could not be erased.
func (b *Board) row(mark string, it *Item, note string, elapsed bool) string {
	t := ""
	if elapsed {
		t = Seconds(b.now().Sub(it.start))
	}
	head := fmt.Sprintf("  %s %-*s %7s  ", mark, b.pad, it.name, t)
	if b.live {
		room := b.width - (b.pad + 15)
		if r := []rune(note); len(r) > room && !it.ended {
			note = string(r[:max(room-1, 0)]) + "…"
		}
	}
	return strings.TrimRight(head+note, " ")
}

const (
	red   = "31"
	green = "32"
	bold  = "1"
)

func (b *Board) paint(code, s string) string {
	if !b.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold emphasises s where the board has colours.
func (b *Board) Bold(s string) string { return b.paint(bold, s) }

// Good and Bad colour s by how things went.
func (b *Board) Good(s string) string { return b.paint(green, s) }

// Bad colours s as a failure.
func (b *Board) Bad(s string) string { return b.paint(red, s) }

// Seconds writes a duration as people read it: 0.4s, 12.0s, 3m05s.
func Seconds(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < 59950*time.Millisecond {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%dm%02ds", s/60, s%60)
}
