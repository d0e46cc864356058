package rig

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Load is what a broker's process uses: goroutines, file descriptors, and resident
// memory in bytes. Figures that the machine does not tell are -1.
type Load struct {
	Goroutines, Files int
	Memory            int64
}

// Load asks the broker, and the machine, what its process uses.
func (b *Broker) Load(ctx context.Context) (Load, error) {
	out := Load{Goroutines: -1, Files: -1, Memory: -1}
	v, err := b.metric(ctx, "go_goroutines")
	if err != nil {
		return out, fmt.Errorf("asking %s for its goroutines: %w", b.Name, err)
	}
	out.Goroutines = int(v)
	proc := filepath.Join("/proc", strconv.Itoa(b.Pid()))
	if files, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
		out.Files = len(files)
	}
	if text, err := os.ReadFile(filepath.Join(proc, "status")); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
				if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					out.Memory = kib << 10
				}
			}
		}
	}
	return out, nil
}

// metric reads one figure, without labels or with them as /metrics writes them.
func (b *Broker) metric(ctx context.Context, name string) (float64, error) {
	all, err := b.Metrics(ctx, name)
	if err != nil {
		return 0, err
	}
	v, ok := all[name]
	if !ok {
		return 0, fmt.Errorf("%s has no metric %s", b.Name, name)
	}
	return v, nil
}

// Metrics reads the figures whose names begin so.
func (b *Broker) Metrics(ctx context.Context, prefix string) (map[string]float64, error) {
	body, err := b.Client().Metrics(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || !strings.HasPrefix(line, prefix) {
			continue
		}
		if out[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
			return nil, fmt.Errorf("%s: metric %q: %w", b.Name, line, err)
		}
	}
	return out, lines.Err()
}

// Workers are the processes in which a broker runs jobs at the moment, that stand
// not still.
func (b *Broker) Workers() []int { return b.children("worker") }

// Spawners are the processes that start a broker's workers, that stand not still.
func (b *Broker) Spawners() []int { return b.children("spawner") }

// children are the processes of a broker in one role.
func (b *Broker) children(role string) (pids []int) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state parent ...; the name may hold anything.
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) < 2 || f[1] != strconv.Itoa(b.Pid()) || f[0] == "T" || f[0] == "Z" {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if args := strings.Split(string(line), "\x00"); len(args) > 1 && args[1] == role {
			pids = append(pids, pid)
		}
	}
	return pids
}
