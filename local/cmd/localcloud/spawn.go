package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/session"
)

// daemonCommand is the hidden subcommand that becomes the daemon.
const daemonCommand = "daemon"

// envReadyFD names the file descriptor on which a started daemon writes
// "ready" once it answers.
const envReadyFD = "LOCALCLOUD_READY_FD"

const (
	startTimeout = 90 * time.Second // the emulator may have to be downloaded
	stopTimeout  = 15 * time.Second // services get Cloud Run's 10 s to end
)

// serve is the daemon's process around run, which is runDaemon.
func serve(ctx context.Context, run func(context.Context, daemonOptions) error) error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	repo, err := layout.Find(wd)
	if err != nil {
		return err
	}
	build, err := buildID()
	if err != nil {
		return err
	}
	ready, err := readyPipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	release, err := daemonapi.Hold(repo.State())
	if err != nil {
		return err
	}
	defer release()
	token := rand.Text()
	var once sync.Once
	return run(ctx, daemonOptions{
		Root: string(repo), StateDir: repo.State(), LogDir: repo.Logs(), BuildID: build, Token: token,
		Ready: func(info daemonapi.Info) error {
			info.BuildID, info.Token = build, token
			if err := daemonapi.Announce(repo.State(), info); err != nil {
				return err
			}
			once.Do(func() {
				// The starter may be gone; the daemon runs on without it.
				_, _ = io.WriteString(ready, "ready\n")
				_ = ready.Close()
			})
			return nil
		},
	})
}

// readyPipe returns the pipe to the starter, or a file that goes nowhere if a
// person started the daemon.
func readyPipe() (*os.File, error) {
	s := os.Getenv(envReadyFD)
	if s == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	fd, err := strconv.Atoi(s)
	if err != nil {
		return nil, fmt.Errorf("%s=%q is no file descriptor", envReadyFD, s)
	}
	// Not for the daemon's children: one that lives on would keep it open.
	syscall.CloseOnExec(fd)
	if err := os.Unsetenv(envReadyFD); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "ready"), nil
}

// buildID identifies this program by its content.
func buildID() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// startDaemon starts a daemon in its own session and returns when it answers.
// If it does not, or ctx ends first, nothing of it is left.
func (a *app) startDaemon(ctx context.Context) (daemonapi.Info, error) {
	self, err := os.Executable()
	if err != nil {
		return daemonapi.Info{}, err
	}
	if err := os.MkdirAll(a.repo.State(), 0o700); err != nil {
		return daemonapi.Info{}, err
	}
	if err := os.MkdirAll(a.repo.Logs(), 0o755); err != nil {
		return daemonapi.Info{}, err
	}
	logPath := filepath.Join(a.repo.Logs(), "daemon.log")
	logFile, err := os.Create(logPath)
	if err != nil {
		return daemonapi.Info{}, err
	}
	defer logFile.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return daemonapi.Info{}, err
	}
	defer r.Close()
	cmd := exec.Command(self, daemonCommand) //nolint:noctx // it outlives this command
	cmd.Dir = string(a.repo)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{w} // descriptor 3
	cmd.Env = append(os.Environ(), envReadyFD+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return daemonapi.Info{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	word := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		word <- strings.TrimSpace(line)
	}()

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	var reason error
	select {
	case line := <-word:
		if line == "ready" {
			return daemonapi.Running(a.repo.State())
		}
		reason = errors.New("it ended while it was starting")
	case <-timeout.C:
		reason = fmt.Errorf("it was not ready after %v", startTimeout)
	case <-ctx.Done():
		reason = ctx.Err()
	}
	stopErr := session.End(cmd.Process.Pid, stopTimeout)
	<-ended //nolint:errcheck // reason says more
	return daemonapi.Info{}, errors.Join(
		fmt.Errorf("the local cloud did not start: %w\n\n%s\n\nThe whole log is in %s", reason, tail(logPath, 15), logPath), stopErr)
}

// tail returns the last n lines of a file, indented.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "    (" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "    " + strings.Join(lines, "\n    ")
}

// stopDaemon ends the daemon of the state folder, if there is one, and
// everything it started, and verifies it. It reports whether anything ran.
func (a *app) stopDaemon(ctx context.Context) (ran bool, err error) {
	state := a.repo.State()
	info, err := daemonapi.ReadInfo(state)
	if errors.Is(err, fs.ErrNotExist) {
		// One that is only starting holds the lock but cannot be asked.
		if _, err := daemonapi.Running(state); !errors.Is(err, daemonapi.ErrNotRunning) {
			return false, err
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = daemonapi.Running(state)
	alive := err == nil
	if err != nil && !errors.Is(err, daemonapi.ErrNotRunning) {
		return false, err
	}
	if alive {
		// If it does not answer, the signals of session.End reach it.
		_ = daemonapi.NewClient(info).Shutdown(ctx)
	} else if !session.Gone(info.PID, time.Second) {
		// A daemon that was killed gives up its lock a moment before its
		// process is gone. One that stays has nothing to do with us: the
		// number went on to it.
		return false, nil
	}
	left, err := session.Members(info.PID)
	if err != nil {
		return alive, err
	}
	if len(left) == 0 {
		return alive, nil
	}
	return true, session.End(info.PID, stopTimeout)
}
