package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

var trackingRow = row{
	name: "tracking", requirement: 8, limit: "cpu within 1/3, memory within 1/4 of /proc's; moves in 5 s",
	how: "conflict-statistics.resource_usage of a broker before, while and after a job of it keeps a core busy and holds 200 MiB, beside what /proc says of " +
		"that process; io (asked for: 40) and coordination-status.usage move with it",
	check: tracking,
}

// What the job of tracking holds and asks for.
const (
	heldMemory = 200 << 20
	askedIO    = 40
	askedCPU   = 900
)

// used is what a broker says of its use, in its own units.
type used struct {
	api.Usage       // percent, measured
	asked     int64 // millicores
}

func usage(ctx context.Context, b *rig.Broker) (u used, err error) {
	var s api.ConflictStatistics
	if err := get(ctx, b, "/broker/conflict-statistics", &s); err != nil {
		return u, err
	}
	k, err := b.Client().Coordination(ctx)
	return used{s.ResourceUsage, k.Usage.CPU}, err
}

func tracking(ctx context.Context, c *cluster) (string, error) {
	at, tag := c.brokers[1], "tracking-"+strconv.Itoa(os.Getpid())
	before, err := usage(ctx, at)
	if err != nil {
		return "", err
	}
	spec := command(askedCPU, guestLine(guestWorks, tag, fmt.Sprint(heldMemory), "9s"), "name="+at.Name)
	spec.Resources.Memory, spec.Resources.IO = 1<<30, askedIO
	if _, err := submit(ctx, at, "tracked", spec, ""); err != nil {
		return "", err
	}
	var pid int
	if _, err := until(ctx, 10*time.Second, func(context.Context) error { pid, err = processOf(tag); return err }); err != nil {
		return "", err
	}
	var shown used
	var real proc
	moved, err := until(ctx, 8*time.Second, func(ctx context.Context) error {
		var err error
		shown, real, err = compareUse(ctx, at, pid)
		return first(err, rig.Pause(ctx, 200*time.Millisecond))
	})
	figure := fmt.Sprintf("cpu %.1f -> %.1f %% (/proc %.1f), memory %.1f -> %.1f %% (%.1f), io %.0f -> %.0f, asked %dm -> %dm, after %s",
		before.CPU, shown.CPU, real.cpu, before.Memory, shown.Memory, real.memory, before.IO, shown.IO, before.asked, shown.asked, tenths(moved))
	if err != nil {
		return figure, err
	}
	if _, err := ended(ctx, at, "tracked", 30*time.Second); err != nil {
		return figure, err
	}
	_, err = until(ctx, 10*time.Second, func(ctx context.Context) error {
		u, err := usage(ctx, at)
		if err == nil && (u.CPU > shown.CPU/2 || u.Memory > shown.Memory/2 || u.IO != before.IO || u.asked != before.asked) {
			err = fmt.Errorf("the job has ended, and it still says %+v", u)
		}
		return err
	})
	return figure, first(err, inTime("moving", moved, 5*time.Second))
}

// proc is what the machine says, in percent of what the broker offers.
type proc struct{ cpu, memory float64 }

// compareUse measures over a while what the broker says and what the machine does.
func compareUse(ctx context.Context, b *rig.Broker, pid int) (u used, real proc, err error) {
	const over = 2 * time.Second
	began, from, err := time.Now(), time.Duration(0), error(nil)
	if from, err = cpuOf(pid); err != nil {
		return u, real, err
	}
	if err := rig.Pause(ctx, over); err != nil {
		return u, real, err
	}
	to, err := cpuOf(pid)
	if err != nil {
		return u, real, err
	}
	real.cpu = 100 * (to - from).Seconds() / time.Since(began).Seconds() * 1000 / roomCPU
	resident, err := residentOf(pid)
	if err != nil {
		return u, real, err
	}
	real.memory = 100 * float64(resident) / roomMemory
	if u, err = usage(ctx, b); err != nil {
		return u, real, err
	}
	switch {
	case u.CPU < real.cpu*2/3-1 || u.CPU > real.cpu*4/3+1:
		return u, real, fmt.Errorf("it says %.1f %% of CPU, /proc %.1f %%", u.CPU, real.cpu)
	case u.Memory < real.memory*3/4 || u.Memory > real.memory*5/4+3: // the worker has memory of its own
		return u, real, fmt.Errorf("it says %.1f %% of memory, /proc %.1f %%", u.Memory, real.memory)
	case u.IO != askedIO || u.asked != askedCPU:
		return u, real, fmt.Errorf("it says io %.0f and %dm, asked are %d and %dm", u.IO, u.asked, askedIO, askedCPU)
	}
	return u, real, nil
}

// get reads a path of a broker's HTTP interface.
func get(ctx context.Context, b *rig.Broker, path string, out any) error {
	resp, err := b.Ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.200s", path, resp.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// processOf finds the guest with this tag on its command line.
func processOf(tag string) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		return 0, lacking{"there is no /proc"}
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		args := strings.Split(string(text), "\x00")
		if len(args) > 3 && args[1] == guestVerb && args[3] == tag {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, fmt.Errorf("no process runs %s", tag)
}

// cpuOf is the CPU time that the threads of a process have used, exactly where the kernel
// says so in nanoseconds.
func cpuOf(pid int) (sum time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, lacking{fmt.Sprintf("/proc has no schedstat of process %d", pid)}
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread has just ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// residentOf is the resident memory of a process in bytes.
func residentOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("statm of %d: %w", pid, err)
	}
	return resident * int64(os.Getpagesize()), nil
}
