package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// The faults of what a broker needs of its machine: file descriptors, and space on
// its disk. It must go on, say clearly what it refuses, and recover by itself.
var fewKinds = []kind{
	{name: "few-files", lane: resources, takes: 6 * time.Second, lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return &fewFiles{n: who[0]}, who
	}},
	{name: "disk-full", lane: resources, lasts: 6 * time.Second, draw: func(d *dealer) (fault, []int) {
		return diskFull{}, []int{smallDisk}
	}},
	{name: "no-inodes", lane: resources, needs: inBox, lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) {
		return noInodes{}, []int{smallDisk}
	}},
}

// fewest is the descriptors that a broker gets: enough to start with peers and some
// workers, and then idle connections take the rest.
const fewest = 96

// fewFiles is a broker with few file descriptors, and clients who take them all.
type fewFiles struct {
	n     int
	conns []net.Conn
	eased func()
}

// tries is how often it is asked to take a job meanwhile.
const tries = 3

// Begin implements fault.
func (f *fewFiles) Begin(ctx context.Context, w *world) error {
	b := w.brokers[f.n]
	b.Files = fewest
	if err := w.restart(b); err != nil {
		return err
	}
	f.eased = b.Hinder()
	dialer := net.Dialer{Timeout: time.Second}
	for range fewest {
		if c, err := dialer.DialContext(ctx, "tcp", b.HTTP); err == nil {
			f.conns = append(f.conns, c)
		}
	}
	w.tell("%s restarts with %d file descriptors, and %d idle connections take them", b.Name, fewest, len(f.conns))
	for range tries {
		what, err := w.askStarved(ctx, b)
		w.shortOf(what)
		if what == noAnswer && ctx.Err() == nil {
			w.problem("%s, short of descriptors, neither takes an upload nor refuses it clearly: %v", b.Name, err)
		}
	}
	return nil
}

// askStarved uploads something to a broker that has no descriptors left, and says what
// became of that: taken, refused with these words, or no answer.
func (w *world) askStarved(ctx context.Context, b *rig.Broker) (what string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	content := api.Bytes([]byte(w.token("short of descriptors")))
	blob, err := api.Measure(content)
	if err == nil {
		_, err = b.Client().PutBlob(ctx, blob, content)
	}
	var said *api.Error
	switch {
	case err == nil:
		return "taken", nil
	case errors.As(err, &said):
		return fmt.Sprintf("refused with %d", said.Status), nil
	}
	return noAnswer, err
}

const noAnswer = "no answer"

// End implements fault.
func (f *fewFiles) End(ctx context.Context, w *world) error {
	b := w.brokers[f.n]
	for _, c := range f.conns {
		c.Close()
	}
	f.conns, b.Files = nil, 0
	if f.eased == nil {
		return nil
	}
	if !b.Running() {
		w.problem("%s has ended by itself for want of file descriptors; its log is %s", b.Name, b.Log)
		return w.back(b)
	}
	if err := w.until(ctx, 10*time.Second, b.Client().Ready); err != nil {
		w.problem("%s does not answer although descriptors are free again: %v", b.Name, err)
	}
	f.eased()
	w.tell("%s has its file descriptors back", b.Name)
	return w.restart(b)
}

// The broker with this number has a small disk of its own, in a box.
const smallDisk = 0

const (
	smallDiskBytes = 256 << 20
	smallReserve   = 64 << 20
)

// diskFull is a disk with less free than the reserve: new jobs are refused with 507,
// old ones are served and go on.
type diskFull struct{}

func filling(b *rig.Broker) string { return filepath.Join(b.Disk, "filling") }

// Begin implements fault.
func (diskFull) Begin(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	if rig.Inside() {
		free, err := fill(b)
		if err != nil {
			return err
		}
		w.tell("the disk of %s fills up: %d MiB are left, its reserve is %d MiB", b.Name, free>>20, smallReserve>>20)
	} else {
		w.reserve(b, "1000TiB")
		if err := w.restart(b); err != nil {
			return err
		}
		w.tell("%s restarts with a reserve beyond all that its disk has free", b.Name)
	}
	w.mustRefuse(ctx, b)
	return nil
}

// mustRefuse demands that a broker whose disk is below its reserve refuses with 507, and serves all the same.
func (w *world) mustRefuse(ctx context.Context, b *rig.Broker) {
	var full *api.Error
	err := w.until(ctx, 6*time.Second, func(ctx context.Context) error {
		content := api.Bytes([]byte(w.token("full")))
		blob, err := api.Measure(content)
		if err != nil {
			return err
		}
		_, err = b.Client().PutBlob(ctx, blob, content)
		if errors.As(err, &full) && full.Status == 507 {
			return nil
		}
		return fmt.Errorf("it took a blob, or said: %w", first(err, errTaken))
	})
	if err != nil && ctx.Err() == nil {
		w.problem("%s has less free than its reserve and does not refuse with 507: %v", b.Name, err)
	}
	if err := w.until(ctx, 6*time.Second, b.Client().Ready); err != nil && ctx.Err() == nil {
		w.problem("%s has less free than its reserve and does not serve any more: %v", b.Name, err)
	}
}

var errTaken = errors.New("nothing is wrong")

// End implements fault.
func (diskFull) End(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	if rig.Inside() {
		if err := os.Remove(filling(b)); err != nil {
			return fmt.Errorf("freeing space on the disk of %s: %w", b.Name, err)
		}
	} else {
		w.reserve(b, smallReserveFlag)
		if err := w.restart(b); err != nil {
			return err
		}
	}
	w.tell("the disk of %s has space again", b.Name)
	w.mustTake(ctx, b)
	return nil
}

// mustTake demands that a broker notices that its disk is above its reserve again.
func (w *world) mustTake(ctx context.Context, b *rig.Broker) {
	err := w.until(ctx, 10*time.Second, func(ctx context.Context) error {
		s, err := b.Client().Coordination(ctx)
		if err == nil && s.DiskFull {
			err = errors.New("it still says disk_full")
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		w.problem("%s does not notice that its disk has space again: %v", b.Name, err)
	}
}

// fill writes ballast until half of the reserve is free.
func fill(b *rig.Broker) (free uint64, err error) {
	f, err := os.OpenFile(filling(b), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("filling the disk of %s: %w", b.Name, err)
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	_, _ = rand.Read(chunk) // never fails
	for {
		if free, err = rig.Free(b.Disk); err != nil || free < smallReserve/2 {
			return free, err
		}
		if _, err := f.Write(chunk); err != nil {
			return free, fmt.Errorf("filling the disk of %s: %w", b.Name, err)
		}
	}
}

// The files (inodes) of the small disk: in all, and how many of them are left by noInodes, which is less than the 1,024
// that a broker keeps free, and enough for the store.
const (
	smallDiskFiles = 1 << 16
	filesLeft      = 512
)

// noInodes is a disk with hardly any inodes left, and bytes enough: a full disk.
type noInodes struct{}

// Begin implements fault.
func (noInodes) Begin(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	used, err := rig.FilesOn(b.Disk)
	if err != nil {
		return err
	}
	if err := rig.LimitFiles(b.Disk, used+filesLeft); err != nil {
		return err
	}
	w.tell("the disk of %s runs out of inodes: %d are left", b.Name, filesLeft)
	w.mustRefuse(ctx, b)
	return nil
}

// End implements fault.
func (noInodes) End(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	if err := rig.LimitFiles(b.Disk, smallDiskFiles); err != nil {
		return err
	}
	w.tell("the disk of %s has inodes again", b.Name)
	w.mustTake(ctx, b)
	return nil
}
