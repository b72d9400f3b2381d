package launch

import "syscall"

// attributes give the system a group of its own, as a shell does, and have the
// kernel end it with its starter.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
