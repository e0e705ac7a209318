package daemonapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ingestion.internal/local/internal/lock"
)

const (
	infoFile = "daemon.json"
	lockFile = "daemon.lock"
)

// ErrNotRunning says that no daemon holds the state folder.
var ErrNotRunning = errors.New("the local cloud is not running (start it with: go run ./local up)")

// Hold makes this process the daemon of a state folder until release is called
// or the process ends. It fails if another one is.
func Hold(stateDir string) (release func(), err error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	// Waiting a moment, because whoever asks Running holds it for an instant.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	l, err := lock.Wait(ctx, filepath.Join(stateDir, lockFile), "daemon", nil)
	if err != nil {
		return nil, fmt.Errorf("another daemon has the state folder: %w", err)
	}
	return l.Release, nil
}

// Announce writes daemon.json. The caller holds the state folder and answers
// on every address in info.
func Announce(stateDir string, info Info) error {
	info.PID, info.StartedAt = os.Getpid(), time.Now().UTC()
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	// Renamed into place, so that no reader sees half of it.
	tmp := filepath.Join(stateDir, infoFile+".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(stateDir, infoFile))
}

// ReadInfo returns what the state folder says of its daemon, running or not.
// The error wraps fs.ErrNotExist if there is none.
func ReadInfo(stateDir string) (Info, error) {
	var info Info
	b, err := os.ReadFile(filepath.Join(stateDir, infoFile))
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("%s: %w", infoFile, err)
	}
	return info, nil
}

// Running returns the running daemon's information, or ErrNotRunning.
func Running(stateDir string) (Info, error) {
	held, err := lock.Held(filepath.Join(stateDir, lockFile))
	if err != nil {
		return Info{}, err
	}
	if !held {
		return Info{}, ErrNotRunning
	}
	info, err := ReadInfo(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("the local cloud is only starting: %w", ErrNotRunning)
	}
	return info, err
}
