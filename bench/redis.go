package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// redis is a real Redis server on loopback that keeps nothing on disk.
type redis struct {
	address string
	cmd     *exec.Cmd
	life    io.WriteCloser // it ends when this is closed, by us or by our death
}

// startRedis starts it on a free port.
func startRedis() (*redis, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only for its number
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	r := &redis{address: l.Addr().String()}
	_, port, _ := net.SplitHostPort(r.address) // it is one
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	r.cmd = exec.Command("sh", "-c", `redis-server --bind 127.0.0.1 --port "$0" --save "" --appendonly no >/dev/null & cat >/dev/null; kill $!; wait`, port) //nolint:noctx // its life is that of its input
	if r.life, err = r.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	for range 200 {
		if _, err = r.commands(); err == nil {
			return r, nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("redis does not answer: %w", err), r.close())
}

// commands returns how many commands it has run, this question among them.
func (r *redis) commands() (int, error) {
	conn, err := net.DialTimeout("tcp", r.address, time.Second)
	if err != nil {
		return 0, fmt.Errorf("ask redis: %w", err)
	}
	defer func() { _ = conn.Close() }() // it was only asked
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, fmt.Errorf("ask redis: %w", err)
	}
	if _, err := io.WriteString(conn, "INFO stats\r\n"); err != nil {
		return 0, fmt.Errorf("ask redis: %w", err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "total_commands_processed:"); ok {
			return strconv.Atoi(n)
		}
	}
	return 0, errors.Join(errors.New("redis does not say how many commands it ran"), lines.Err())
}

func (r *redis) close() error {
	if err := r.life.Close(); err != nil {
		return fmt.Errorf("end redis: %w", err)
	}
	_ = r.cmd.Wait() // it was told to end
	return nil
}
