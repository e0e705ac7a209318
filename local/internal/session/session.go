// Package session finds and ends all processes of a Unix session: a daemon
// that was started as a session's leader, and everything that came from it,
// whatever process groups it made and whether or not it is still there.
package session

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Members returns the processes of the session that sid leads or led.
func Members(sid int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,stat=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes with ps: %w", err)
	}
	var pids []int
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[1], "Z") {
			continue // a zombie has ended; only its parent can remove it
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		if s, err := unix.Getsid(pid); err == nil && s == sid {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Alive reports whether a process exists and has not ended. One that only
// waits for its parent to take notice has.
func Alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	// ps fails if the process ended meanwhile.
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// Gone waits up to timeout for a process to end, and reports whether it has.
func Gone(pid int, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for Alive(pid) {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// End asks the session's leader to end, waits for the whole session, and kills
// what is left after timeout. It fails if something survives that.
func End(sid int, timeout time.Duration) error {
	if err := syscall.Kill(sid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", sid, err)
	}
	// A leader that is gone cannot tell the others.
	told := false
	deadline := time.Now().Add(timeout)
	killed := false
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, err := Members(sid)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		switch {
		case !told && !Alive(sid):
			told = true
			signal(pids, syscall.SIGTERM)
		case !killed && time.Now().After(deadline):
			killed = true
			signal(pids, syscall.SIGKILL)
		case killed && time.Now().After(deadline.Add(timeout)):
			return fmt.Errorf("processes %v cannot be stopped", pids)
		}
		<-tick.C
	}
}

func signal(pids []int, s syscall.Signal) {
	for _, p := range pids {
		// One that ended meanwhile is what we want.
		_ = syscall.Kill(p, s)
	}
}
