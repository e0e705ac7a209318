package cloudrun

import "syscall"

// groupAttr puts a child in its own process group and has the kernel kill it
// when the daemon dies, however it dies.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
