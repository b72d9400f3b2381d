package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Lambda gives a function of 1,769 MB one processor, and one of 256 MB a seventh
// of it (AWS Lambda Developer Guide, "Configure Lambda function memory").
const (
	slicePeriod = 20 * time.Millisecond
	sliceQuota  = slicePeriod * defaultMemory / 1769
)

// slice is a control group that gets a seventh of a processor.
type slice struct {
	group string // its folder
	dir   string // for the scripts that enter it
}

// errNoSlice says that this machine lets no control group be made.
var errNoSlice = errors.New("no control group can be made here (root and a writable /sys/fs/cgroup are needed)")

// newSlice makes the group, of version 1 or 2, whichever the machine has.
func newSlice(dir string) (*slice, error) {
	name := "orderbridge-bench-" + strconv.Itoa(os.Getpid())
	period, quota := strconv.FormatInt(slicePeriod.Microseconds(), 10), strconv.FormatInt(sliceQuota.Microseconds(), 10)
	for _, v := range []struct {
		root  string
		files [][2]string
	}{
		{"/sys/fs/cgroup/cpu", [][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}}},
		{"/sys/fs/cgroup", [][2]string{{"cpu.max", quota + " " + period}}},
	} {
		s := &slice{group: filepath.Join(v.root, name), dir: dir}
		if os.Mkdir(s.group, 0o750) != nil {
			continue
		}
		made := true
		for _, f := range v.files {
			// O_CREATE would make a plain file where there is no control group.
			file, err := os.OpenFile(filepath.Join(s.group, f[0]), os.O_WRONLY, 0)
			if err == nil {
				_, err = file.WriteString(f[1])
				err = errors.Join(err, file.Close())
			}
			made = made && err == nil
		}
		if made {
			return s, nil
		}
		s.remove()
	}
	return nil, errNoSlice
}

// wrap writes a bootstrap that enters the group and becomes the given one.
func (s *slice) wrap(bootstrap, name string) (string, error) {
	path, err := filepath.Abs(bootstrap)
	if err != nil {
		return "", fmt.Errorf("find bootstrap of %s: %w", name, err)
	}
	script := filepath.Join(s.dir, name+"-sliced")
	text := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs && cd %s && exec %s\n", s.group, filepath.Dir(path), path)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil { //nolint:gosec // it is to be run
		return "", fmt.Errorf("write bootstrap of %s: %w", name, err)
	}
	return script, nil
}

// remove takes the group away; it can hold no process any more.
func (s *slice) remove() { _ = os.Remove(s.group) }
