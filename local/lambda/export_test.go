package lambda

import "slices"

// Pids returns the process ids of a function's live processes.
func (h *Host) Pids(name string) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	var pids []int
	if f := h.functions[name]; f != nil {
		for p := range f.alive {
			pids = append(pids, p.cmd.Process.Pid)
		}
	}
	slices.Sort(pids)
	return pids
}
