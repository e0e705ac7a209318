// Package lock is a lock between processes on a file. The kernel gives it up
// when its holder ends, however that happens, so it is never stale.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// HeldError says who has a lock.
type HeldError struct {
	Path   string
	Holder string // what the holder wrote: its process id and its purpose
}

func (e *HeldError) Error() string {
	if e.Holder == "" {
		return e.Path + " is held by another process"
	}
	return e.Path + " is held by " + e.Holder
}

// Lock is a lock that this process holds.
type Lock struct{ f *os.File }

// Try takes the lock at path for a purpose, or fails with a *HeldError.
func Try(path, purpose string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &HeldError{Path: path, Holder: holder(f)}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The words are for people; the lock holds without them.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "process %d (%s)\n", os.Getpid(), purpose)
	}
	return &Lock{f: f}, nil
}

// Wait takes the lock, waiting until ctx is done. If it must wait, it calls
// waiting once with the holder.
func Wait(ctx context.Context, path, purpose string, waiting func(*HeldError)) (*Lock, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		l, err := Try(path, purpose)
		held, ok := errors.AsType[*HeldError](err)
		if err == nil || !ok {
			return l, err
		}
		if first && waiting != nil {
			waiting(held)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(held, ctx.Err())
		case <-tick.C:
		}
	}
}

// Held reports whether some process holds the lock at path.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	// A shared lock, so that two who ask do not take each other for a holder.
	err = flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Release gives the lock up. The file stays: removing it would let two
// processes hold locks on two files of one name.
func (l *Lock) Release() { _ = l.f.Close() }

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func holder(f *os.File) string {
	b := make([]byte, 200)
	n, _ := f.ReadAt(b, 0)
	return strings.TrimSpace(string(b[:n]))
}
