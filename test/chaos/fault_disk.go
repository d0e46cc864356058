package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// The faults of disks: a broker comes back without what it had written, or without
// the latest of it (rules I1, L9).
var diskKinds = []kind{
	{name: "wipe", lasts: 3 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return wipes{who[0]}, who
	}},
	{name: "rollback", lasts: 7 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return &rollback{n: who[0], down: d.between(200*time.Millisecond, 2*time.Second)}, who
	}},
	{name: "rollback-alone", needs: onNetwork, lasts: 5 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return &rollback{n: who[0], down: d.between(200*time.Millisecond, time.Second), alone: true}, who
	}},
}

// aloneFor is how long a broker with an older disk hears nobody who could tell it what
// it has written since; clients reach it. It is less than it waits for an audit, so
// that it runs nothing old meanwhile (rule L9).
const aloneFor = 3 * time.Second

// wipes is a broker that is killed and comes back with an empty disk.
type wipes struct{ n int }

// Begin implements fault.
func (x wipes) Begin(_ context.Context, w *world) error {
	w.tell("%s is killed", w.brokers[x.n].Name)
	return w.kill([]int{x.n})
}

// End implements fault.
func (x wipes) End(_ context.Context, w *world) error {
	b := w.brokers[x.n]
	if err := w.replaceDisk(b, ""); err != nil {
		return err
	}
	w.tell("%s comes back with an empty disk", b.Name)
	return w.back(b)
}

// rollback is a broker whose disk is copied while it is down, and which later comes
// back with that copy.
type rollback struct {
	n     int
	down  time.Duration
	alone bool // it comes back to a network that is cut
	copy  string
	at    time.Time
}

// Begin implements fault.
func (x *rollback) Begin(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	w.tell("%s is killed, and a copy of its disk made", b.Name)
	if err := w.kill([]int{x.n}); err != nil {
		return err
	}
	x.at, x.copy = time.Now(), filepath.Join(w.o.dir, "copies", fmt.Sprintf("%s-%d", b.Name, time.Now().UnixNano()))
	if err := rig.CopyDisk(b.Disk, x.copy); err != nil {
		return err
	}
	if err := rig.Pause(ctx, x.down); err != nil {
		return err
	}
	w.tell("%s is back", b.Name)
	return w.back(b)
}

// End implements fault.
func (x *rollback) End(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	w.tell("%s is killed once more", b.Name)
	if err := w.kill([]int{x.n}); err != nil {
		return err
	}
	if err := rig.Pause(ctx, x.down); err != nil {
		return err
	}
	if err := w.replaceDisk(b, x.copy); err != nil {
		return err
	}
	where := ""
	if x.alone {
		where = fmt.Sprintf(", and hears nobody for %v", aloneFor)
		if err := w.spoil("rollback", alone(x.n, len(w.brokers))); err != nil {
			return err
		}
	}
	w.tell("%s comes back from a copy of its disk that is %.0f s old%s", b.Name, time.Since(x.at).Seconds(), where)
	err := w.back(b)
	if x.alone {
		if err == nil {
			err = rig.Pause(ctx, aloneFor)
		}
		err = first(err, w.spoil("rollback", nil))
	}
	return first(err, os.RemoveAll(x.copy))
}

// replaceDisk gives a broker that is down another disk: an empty one, or a copy. The
// old one is kept, to be read at the end: dots that it held may not come again with
// other contents (rule I1).
func (w *world) replaceDisk(b *rig.Broker, from string) error {
	aside := filepath.Join(w.o.dir, "replaced", fmt.Sprintf("%s-%d", b.Name, time.Now().UnixNano()))
	if err := rig.CopyDisk(b.Disk, aside); err != nil {
		return err
	}
	if err := rig.EmptyDisk(b.Disk); err != nil {
		return err
	}
	if from != "" {
		if err := rig.CopyDisk(from, b.Disk); err != nil {
			return err
		}
	}
	w.replaced(b, aside)
	return nil
}
