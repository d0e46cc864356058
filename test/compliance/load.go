package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// loadGroup keeps all cores busy: nothing else can be measured meanwhile, and for a
// minute after.
func loadGroup() group {
	return group{
		name: "load", alone: true,
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			return l.start(ctx, name, 2, onLoopback, same("--news-links=false", "--sync-interval", loadSync.String()))
		},
		rows: []row{{
			name: "adaptive", requirement: 12, limit: "stretch = load a core, 1 to 2; intervals with it",
			how: "busy loops, 16 a core, until the one-minute load is above the number of cores, then a while longer: sync_stretch in coordination-status " +
				"against that load, and the pauses between exchanges with a peer (--sync-interval 500ms) against the stretched interval",
			within: 2 * time.Minute, check: adaptive,
		}},
	}
}

const loadSync = 500 * time.Millisecond

// busyLoops are processes that keep cores busy.
type busyLoops []*exec.Cmd

func burn(n int) (b busyLoops, err error) {
	line := guestLine(guestWorks, "busy", "0", "90s")
	for range n {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.SysProcAttr = diesWithUs()
		if err := cmd.Start(); err != nil {
			b.end()
			return nil, fmt.Errorf("starting a busy loop: %w", err)
		}
		// They count all the same, but brokers come first.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 19) // where that is not allowed they compete
		b = append(b, cmd)
	}
	return b, nil
}

func (b busyLoops) end() {
	for _, cmd := range b {
		_ = cmd.Process.Kill() // fails when it has ended
		_ = cmd.Wait()
	}
}

// load is how many programs wanted each core in the last minute.
func load() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, lacking{"there is no /proc/loadavg"}
	}
	var minute float64
	_, err = fmt.Sscan(string(text), &minute)
	return minute / float64(runtime.NumCPU()), err
}

func adaptive(ctx context.Context, c *cluster) (string, error) {
	at, peer := c.brokers[0], c.brokers[1].Name
	s, err := at.Client().Coordination(ctx)
	if err != nil {
		return "", err
	}
	before, was, err := s.SyncStretch, 0.0, error(nil)
	if was, err = load(); err != nil {
		return "", err
	}
	var loops busyLoops
	if loops, err = burn(16 * runtime.NumCPU()); err != nil { // also when it is busy as it is: that may end
		return "", err
	}
	defer func() { loops.end() }()
	now := 0.0
	if _, err := until(ctx, time.Minute, func(context.Context) error {
		if now, err = load(); err == nil && now < 1.5 {
			err = fmt.Errorf("the load a core is %.1f", now)
		}
		return err
	}); err != nil {
		return "", err
	}
	loops.end()
	loops = nil
	began := time.Now()
	var stretch float64
	// The broker looks every 10 s.
	if _, err = until(ctx, 15*time.Second, func(ctx context.Context) error {
		s, err := at.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		l, err := load()
		now, stretch = max(now, l), s.SyncStretch
		if err == nil && stretch < 1.2 {
			err = fmt.Errorf("the load a core is %.1f, and sync_stretch %.2f", now, stretch)
		}
		return err
	}); err != nil {
		return fmt.Sprintf("stretch %.2f at load %.1f a core", stretch, now), err
	}
	after := time.Since(began)
	interval, expected, err := intervals(ctx, at, peer)
	figure := fmt.Sprintf("stretch %.2f at load %.1f a core, before %.2f at %.1f; %s later; exchanges every %s, stretched %s",
		stretch, now, before, was, tenths(after), tenths(interval), tenths(expected))
	switch {
	case err != nil:
	case stretch > min(now, 2)+0.01 || stretch > 2:
		err = fmt.Errorf("the stretch is more than the load, or than 2")
	case was < 1 && before > 1.01:
		err = fmt.Errorf("at load %.2f a core it was stretched already", was)
	// Jitter takes up to a tenth off; a busy machine adds.
	case interval < expected*85/100 || interval > expected*3/2+200*time.Millisecond:
		err = fmt.Errorf("exchanges come every %s, with the stretch it should be %s", tenths(interval), tenths(expected))
	}
	return figure, err
}

// intervals watches exchanges of a broker with its peer for a while: the mean pause, and
// what it should be by the stretch meanwhile.
func intervals(ctx context.Context, at *rig.Broker, peer string) (mean, expected time.Duration, err error) {
	const over = 10 * time.Second
	var count, from uint64
	var firstAt, lastAt time.Time
	sum, looks := 0.0, 0
	for began := time.Now(); time.Since(began) < over; {
		s, err := at.Client().Coordination(ctx)
		if err != nil {
			return 0, 0, err
		}
		sum, looks = sum+s.SyncStretch, looks+1
		if n := s.PeerBrokers[peer].Attempts; n != count {
			if lastAt = time.Now(); looks > 1 && firstAt.IsZero() {
				firstAt, from = lastAt, n
			}
			count = n
		}
		if err := rig.Pause(ctx, 20*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	if firstAt.IsZero() || count == from {
		return 0, 0, fmt.Errorf("fewer than two exchanges in %v", over)
	}
	return lastAt.Sub(firstAt) / time.Duration(count-from), time.Duration(sum / float64(looks) * float64(loadSync)), nil
}
