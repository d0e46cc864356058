package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/store"
)

// reserveEvery is how often the free space of the disk is looked at.
const reserveEvery = 2 * time.Second

// diskReserve refuses new jobs and blobs while less than the reserve is free. The reserve is what
// running jobs' output and other brokers' records go on to use, and what the store needs to write at
// all: a disk that is full in the middle of a commit ends the process. It is several of the store's
// own buffers of 64 MiB.
type diskReserve struct {
	dir     string
	reserve int64 // bytes; negative is none
	store   *store.Store
	engine  *engine
	log     *slog.Logger

	full atomic.Pointer[string] // why no new jobs are taken; nil while there is room
}

// why says why no new jobs and blobs are taken, "" while they are.
func (d *diskReserve) why() string {
	if why := d.full.Load(); why != nil {
		return *why
	}
	return ""
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

func (d *diskReserve) measure() error {
	free, err := d.store.Free()
	if err != nil {
		return err
	}
	was := d.full.Load() != nil
	is := free < uint64(d.reserve)
	if is {
		why := fmt.Sprintf("the disk of %s has %d MiB free, less than the reserve of %d MiB (--disk-reserve)", d.dir, free>>20, d.reserve>>20)
		d.full.Store(&why)
	} else {
		d.full.Store(nil)
	}
	if was == is {
		return nil
	}
	d.engine.Tell(broker.Room{Full: is})
	if is {
		d.log.Warn("new jobs are refused: " + d.why())
	} else {
		d.log.Info("the disk has room again: new jobs are taken", "free", free)
	}
	return nil
}
