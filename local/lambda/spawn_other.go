//go:build unix && !linux

package lambda

import (
	"os/exec"
	"sync"
	"syscall"
)

// spawner starts children. Only Linux ties a child's life to its parent's;
// elsewhere a host that is killed with SIGKILL leaves its children behind.
type spawner struct {
	stop chan struct{}
	once sync.Once
}

func newSpawner() *spawner { return &spawner{stop: make(chan struct{})} }

func (s *spawner) run(cmd *exec.Cmd) error {
	select {
	case <-s.stop:
		return errClosed
	default:
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

func (s *spawner) close() { s.once.Do(func() { close(s.stop) }) }

func waitNoReap(int) {}
