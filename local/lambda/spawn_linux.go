package lambda

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// spawner starts every child from one operating system thread. The kernel
// sends Pdeathsig when the thread that forked ends, not when the process does,
// so a child started from any goroutine could be killed when Go ends that
// goroutine's thread; this thread is locked and lives as long as the host.
type spawner struct {
	start chan func()
	stop  chan struct{}
	once  sync.Once
}

func newSpawner() *spawner {
	s := &spawner{start: make(chan func()), stop: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case f := <-s.start:
				f()
			case <-s.stop:
				return
			}
		}
	}()
	return s
}

// run starts cmd in a process group of its own, to be killed with the host.
func (s *spawner) run(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	select {
	case s.start <- func() { done <- cmd.Start() }:
		return <-done
	case <-s.stop:
		return errClosed
	}
}

// close ends the thread: whatever child it still has dies with it.
func (s *spawner) close() { s.once.Do(func() { close(s.stop) }) }

// waitNoReap blocks until the process has ended and leaves it a zombie, so
// that its id (and its group's) cannot belong to anyone else yet.
func waitNoReap(pid int) {
	const (
		pPID    = 1          // P_PID
		wExited = 0x4        // WEXITED
		wNoWait = 0x01000000 // WNOWAIT
	)
	var info [128]byte // siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid), uintptr(unsafe.Pointer(&info)), wExited|wNoWait, 0, 0) //nolint:gosec // the kernel fills siginfo_t, which is 128 bytes
		if errno != syscall.EINTR {
			return
		}
	}
}
