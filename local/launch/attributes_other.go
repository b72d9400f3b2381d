//go:build !linux

package launch

import "syscall"

// attributes give the system a group of its own, as a shell does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
