package session

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestAlive(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if !Alive(pid) || Gone(pid, 50*time.Millisecond) {
		t.Error("a process that runs is taken for one that ended")
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	// It ends now, and is a zombie until Wait.
	if !Gone(pid, 10*time.Second) {
		t.Error("a process that ended is taken for one that runs")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if Alive(pid) {
		t.Error("a process that does not exist is alive")
	}
	if !Alive(os.Getpid()) {
		t.Error("this process is not alive")
	}
}
