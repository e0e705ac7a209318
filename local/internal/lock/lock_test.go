package lock

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	if held, err := Held(path); held || err != nil {
		t.Fatalf("Held without a file: %v, %v", held, err)
	}
	first, err := Try(path, "up")
	if err != nil {
		t.Fatal(err)
	}
	if held, err := Held(path); !held || err != nil {
		t.Fatalf("Held = %v, %v", held, err)
	}
	_, err = Try(path, "down")
	held, ok := errors.AsType[*HeldError](err)
	if !ok || !strings.Contains(held.Holder, "(up)") {
		t.Fatalf("second Try: %v", err)
	}

	// A waiter is told once who has it, and gets it when it is free.
	told := 0
	got, err := Wait(t.Context(), path, "down", func(h *HeldError) {
		told++
		first.Release()
	})
	if err != nil || told != 1 {
		t.Fatalf("Wait: %v, told %d times", err, told)
	}
	defer got.Release()

	ctx, cancel := context.WithCancel(t.Context())
	_, err = Wait(ctx, path, "status", func(*HeldError) { cancel() })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "(down)") {
		t.Fatalf("Wait that gives up: %v", err)
	}
}
