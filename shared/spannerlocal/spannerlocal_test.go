package spannerlocal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStartStop(t *testing.T) {
	e, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := e.PID()
	if e.Addr() == "" || e.Err() != nil {
		t.Fatalf("Addr() = %q, Err() = %v", e.Addr(), e.Err())
	}
	e.Stop()
	e.Stop()
	if err := e.Err(); err != nil {
		t.Errorf("Err() after Stop = %v, want nil", err)
	}
	if err := syscall.Kill(-pid, 0); err != syscall.ESRCH {
		t.Errorf("process group %d after Stop: %v, want none", pid, err)
	}
}

func TestUnexpectedEnd(t *testing.T) {
	e, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-e.Done()
	if err := e.Err(); err == nil || !strings.Contains(err.Error(), "ended on its own") {
		t.Errorf("Err() = %v, want that it ended on its own", err)
	}
}

func TestStartFails(t *testing.T) {
	script := func(body string) string {
		path := filepath.Join(t.TempDir(), "emulator_main")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("says why", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Binary: script("echo cannot bind >&2; exit 3")})
		if err == nil || !strings.Contains(err.Error(), "cannot bind") || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("Start = %v, want the program's words and status", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Start(ctx, Options{Binary: script("exec sleep 1000")}); err == nil {
			t.Error("Start with a canceled context succeeded")
		}
	})
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "emulator_main")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sdk := filepath.Join(t.TempDir(), "sdk", "bin")
	inSDK := filepath.Join(sdk, "cloud_spanner_emulator", "emulator_main")
	for _, path := range []string{inSDK, filepath.Join(sdk, "gcloud")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	links := t.TempDir()
	if err := os.Symlink(filepath.Join(sdk, "gcloud"), filepath.Join(links, "gcloud")); err != nil {
		t.Fatal(err)
	}
	if real, err := filepath.EvalSymlinks(inSDK); err == nil {
		inSDK = real
	}
	tests := []struct {
		name, env, path string
		want, wantErr   string
	}{
		{name: "variable names the file", env: bin, want: bin},
		{name: "variable names its folder", env: dir, want: bin},
		{name: "variable is wrong", env: filepath.Join(dir, "nothing"), path: dir, wantErr: EnvBinary},
		{name: "on PATH", path: dir, want: bin},
		{name: "in the SDK behind the gcloud link", path: links, want: inSDK},
		{name: "nowhere", path: t.TempDir(), wantErr: "gcloud components install cloud-spanner-emulator"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(EnvBinary, test.env)
			t.Setenv("PATH", test.path)
			got, err := Find()
			if got != test.want {
				t.Errorf("Find() = %q, want %q", got, test.want)
			}
			if (err != nil) != (test.wantErr != "") || (err != nil && !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("Find() error = %v, want one with %q", err, test.wantErr)
			}
		})
	}
}
