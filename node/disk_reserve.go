package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// reserveEvery is how often the free space of the disk is looked at.
const reserveEvery = 2 * time.Second

// reserveFiles is how many files (inodes) stay free, beside the bytes: a job takes a few in its directory, and each blob
// and each log of the store takes one.
const reserveFiles = 1024

// diskReserve refuses new jobs and blobs while less than the reserve is free, in bytes or in files. The reserve is what
// running jobs' output and other brokers' records go on to use, and what the store needs to write at
// all: a disk that is full in the middle of a commit ends the process. It is several of the store's
// own buffers of 64 MiB. What is only kept to save time goes before anything is refused.
type diskReserve struct {
	dir     string
	reserve int64 // bytes; negative is none
	store   *store.Store
	tell    func(broker.Input)
	log     *slog.Logger
	giveWay func(bytes int64) (freed int64) // removes what is only kept to save time

	measuring sync.Mutex
	told      broker.Room // what the core was told last

	full atomic.Pointer[string] // why no new jobs are taken; nil while there is room

	mu   sync.Mutex
	held int64 // bytes that uploads have announced and not sent yet
}

// why says why no new jobs and blobs are taken, "" while they are. It looks at the disk, which may have filled since the last
// look of watch.
func (d *diskReserve) why() string {
	if d.reserve >= 0 {
		if short, _, err := d.look(); err == nil && (short != "") != (d.full.Load() != nil) {
			_ = d.measure() // an error is said by watch
		}
	}
	return d.said()
}

// scarce reports whether the disk is near its reserve: less than twice as much is free.
func (d *diskReserve) scarce() bool {
	free, err := d.free()
	return d.reserve > 0 && err == nil && free < 2*uint64(d.reserve)
}

// said is why at the last look.
func (d *diskReserve) said() string {
	if why := d.full.Load(); why != nil {
		return *why
	}
	return ""
}

// hold keeps room for a file that a client has announced, beside what others have: it says why there is none, or returns a
// function that gives bytes back, which its caller calls with as many as have arrived, and in the end with the rest.
func (d *diskReserve) hold(size int64) (give func(bytes int64), why string) {
	for again := true; ; again = false {
		free, err := d.free()
		known := d.reserve >= 0 && err == nil
		if give, why = d.holdOf(size, free, known); why == "" || !again || d.giveWay(size) == 0 {
			return give, why
		}
	}
}

// holdOf is hold where so much is free, if that is known.
func (d *diskReserve) holdOf(size int64, free uint64, known bool) (give func(bytes int64), why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if room := int64(min(free, math.MaxInt64)) - d.reserve - d.held; known && size > max(room, 0) {
		return nil, fmt.Sprintf("the disk of %s has room for %d MiB above its reserve (--disk-reserve), what other uploads have announced left aside, and this file has %d MiB", d.dir, max(room, 0)>>20, size>>20)
	}
	d.held += size
	return func(bytes int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held -= bytes
	}, ""
}

// watch measures until the context ends.
func (d *diskReserve) watch(ctx context.Context) error {
	if d.reserve < 0 {
		return nil
	}
	t := time.NewTicker(reserveEvery)
	defer t.Stop()
	for {
		if err := d.measure(); err != nil {
			d.log.Debug("the free space of the disk is not known", "error", err)
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// shortage says what a disk is short of, "" when it has more than the reserve of bytes and files.
func shortage(dir string, free, reserve, files uint64) string {
	switch {
	case free < reserve:
		return fmt.Sprintf("the disk of %s has %d MiB free, less than the reserve of %d MiB (--disk-reserve)", dir, free>>20, reserve>>20)
	case files < reserveFiles:
		return fmt.Sprintf("the disk of %s has room for %d more files (inodes), less than the reserve of %d", dir, files, reserveFiles)
	}
	return ""
}

// look says what the disk is short of, and how much is free, the ballast for the next start included.
func (d *diskReserve) look() (why string, free uint64, err error) {
	if free, err = d.free(); err != nil {
		return "", 0, err
	}
	files, err := d.store.FreeFiles()
	return shortage(d.dir, free, uint64(d.reserve), files), free, err
}

// disk is what is known of the disk; what it can't tell is left out.
func (d *diskReserve) disk() httpd.Disk {
	out := httpd.Disk{Reserve: d.reserve}
	if size, free, err := d.store.Disk(); err == nil {
		out.Size, out.Free = size, free
	}
	if size, free, err := d.store.Files(); err == nil {
		out.Files, out.FreeFiles = size, free
	}
	return out
}

// freeStep is how exactly the core is told how many bytes are free: what it says to others is no other for each megabyte.
const freeStep = 64 << 20

// above is about how many of the free bytes are above the reserve.
func (d *diskReserve) above(free uint64) int64 {
	room := max(int64(min(free, math.MaxInt64))-max(d.reserve, 0), 1)
	if room < freeStep {
		return room
	}
	return room / freeStep * freeStep
}

// free is how many bytes are free, the ballast for the next start included: that is a part of the reserve.
func (d *diskReserve) free() (uint64, error) {
	free, err := d.store.Free()
	if ballast := uint64(d.store.Ballast()); err == nil && free < math.MaxUint64-ballast {
		free += ballast
	}
	return free, err
}

// Bounds of the ballast that a start on a full disk uses: as much as the store holds in memory at most, and half of the
// reserve.
const maxBallast = 16 << 20

// ballast is how many bytes of a reserve are kept by a file, for the next start.
func ballast(reserve int64) int64 {
	if reserve < 0 {
		return maxBallast
	}
	return min(maxBallast, reserve/2)
}

func (d *diskReserve) measure() error {
	d.measuring.Lock()
	defer d.measuring.Unlock()
	if err := d.store.KeepBallast(); err != nil {
		d.log.Debug("nothing is kept for a start on a full disk", "error", err)
	}
	why, free, err := d.look()
	if err == nil && why != "" && d.giveWay(max(d.reserve-int64(min(free, math.MaxInt64)), 1)) > 0 {
		why, free, err = d.look()
	}
	if err != nil {
		return err
	}
	was := d.full.Load() != nil
	is := why != ""
	if is {
		d.full.Store(&why)
	} else {
		d.full.Store(nil)
	}
	if room := (broker.Room{Full: is, Free: d.above(free)}); room != d.told {
		d.told = room
		d.tell(room)
	}
	if was == is {
		return nil
	}
	if is {
		d.log.Warn("new jobs are refused: " + d.said())
	} else {
		d.log.Info("the disk has room again: new jobs are taken", "free", free)
	}
	return nil
}
