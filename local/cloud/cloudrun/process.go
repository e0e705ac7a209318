package cloudrun

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long an instance may take between SIGTERM and SIGKILL, as
// on Cloud Run.
const stopGrace = 10 * time.Second

// command says what to run.
type command struct {
	argv []string
	env  []string // exactly the child's environment
	dir  string
	log  func(stream, line string)
}

// process is a running child in its own process group.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has been reaped
	err  error         // why it ended; read after done
}

// spawner starts every child from one operating system thread that lives as
// long as the spawner: Linux sends Pdeathsig when the starting thread ends,
// and Go would otherwise be free to end it.
type spawner struct {
	starts chan func()
	closed chan struct{}
	once   sync.Once
}

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func()), closed: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case start := <-s.starts:
				start()
			case <-s.closed:
				return
			}
		}
	}()
	return s
}

// close ends the thread; children that still run die with it.
func (s *spawner) close() { s.once.Do(func() { close(s.closed) }) }

// start runs the command.
func (s *spawner) start(c command) (*process, error) {
	for try := 0; ; try++ {
		p, err := s.try(c)
		// Another child that is between fork and exec may still hold the
		// binary open for writing, as it was when we unpacked it.
		if errors.Is(err, syscall.ETXTBSY) && try < 20 {
			<-time.After(10 * time.Millisecond)
			continue
		}
		return p, err
	}
}

func (s *spawner) try(c command) (*process, error) {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.env, c.dir, groupAttr()
	stdout := &lines{emit: func(l string) { c.log("stdout", l) }}
	stderr := &lines{emit: func(l string) { c.log("stderr", l) }}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A grandchild may keep the pipes open; do not wait for it.
	cmd.WaitDelay = time.Second
	result := make(chan error, 1)
	select {
	case s.starts <- func() { result <- cmd.Start() }:
	case <-s.closed:
		return nil, errors.New("the local Cloud Run is closed")
	}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.argv[0], err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		stdout.flush()
		stderr.flush()
		// The leader is gone; what it left behind in its group goes too.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		close(p.done)
	}()
	return p, nil
}

// stop ends the process: SIGTERM, and SIGKILL to the group after the grace.
func (p *process) stop() {
	// ESRCH means that it has ended already, which done reports.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.kill()
	}
}

// kill ends the process group at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// exit describes how an ended process ended.
func (p *process) exit() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// maxLine bounds one log line in bytes, as Cloud Logging bounds an entry.
const maxLine = 256 << 10

// lines cuts what is written to it into lines.
type lines struct {
	emit func(string)
	rest []byte
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			if len(l.rest) > maxLine {
				l.flush()
			}
			return len(p), nil
		}
		l.emit(strings.TrimSuffix(string(l.rest[:i]), "\r"))
		l.rest = l.rest[i+1:]
	}
}

// flush emits an unfinished last line.
func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
		l.rest = nil
	}
}
