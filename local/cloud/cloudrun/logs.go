package cloudrun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Line is one line that an instance wrote.
type Line struct {
	Time     time.Time
	Resource string // short name of the service or job
	Revision string // revision or execution
	Stream   string // stdout, stderr, or system for what Cloud Run itself says
	Text     string
}

// tailSize is how many lines of each service and job are kept in memory.
const tailSize = 500

// logs keeps what all instances write: a file and a tail for each service and
// job, and subscribers for those who follow.
type logs struct {
	dir  string
	mu   sync.Mutex
	file map[string]*os.File
	tail map[string][]Line
	subs map[chan Line]bool
}

func newLogs(dir string) (*logs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the log folder: %w", err)
	}
	return &logs{dir: dir, file: map[string]*os.File{}, tail: map[string][]Line{}, subs: map[chan Line]bool{}}, nil
}

func (l *logs) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.file[line.Resource]
	if f == nil {
		// Without its file a service still runs and its tail still tells.
		f, _ = os.OpenFile(filepath.Join(l.dir, line.Resource+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		l.file[line.Resource] = f
	}
	if f != nil {
		_, _ = f.WriteString(line.Text + "\n")
	}
	tail := append(l.tail[line.Resource], line)
	if len(tail) > tailSize {
		tail = append([]Line(nil), tail[len(tail)-tailSize/2:]...)
	}
	l.tail[line.Resource] = tail
	for sub := range l.subs {
		select {
		case sub <- line:
		default: // a reader that does not keep up misses lines; instances never wait for it
		}
	}
}

// last returns the last n lines of a revision, or of all if revision is "".
func (l *logs) last(resource, revision string, n int) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Line
	for _, line := range l.tail[resource] {
		if revision == "" || line.Revision == revision {
			out = append(out, line)
		}
	}
	if len(out) > n {
		out = out[len(out)-n:]
	}
	return out
}

func (l *logs) subscribe() (<-chan Line, func()) {
	sub := make(chan Line, 1024)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[sub] = true
	return sub, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.subs[sub] {
			delete(l.subs, sub)
			close(sub)
		}
	}
}

func (l *logs) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.file {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	l.file = map[string]*os.File{}
	for sub := range l.subs {
		close(sub)
	}
	l.subs = map[chan Line]bool{}
	return errors.Join(errs...)
}
