package node

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/store"
)

// roomEvery is how often the free space of the disk is looked at.
const roomEvery = 2 * time.Second

// watchRoom refuses new jobs and blobs while less than the reserve is free. The
// reserve is what running jobs' output and other brokers' records go on to use, and
// what the store needs to write at all: a disk that is full in the middle of a
// commit ends the process. It is several of the store's own buffers of 64 MiB.
func (n *Node) watchRoom() error {
	if n.cfg.DiskReserve < 0 {
		return nil
	}
	t := time.NewTicker(roomEvery)
	defer t.Stop()
	for {
		if err := n.measureRoom(); err != nil {
			n.log.Debug("the free space of the disk is not known", "error", err)
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
		}
		select {
		case <-n.ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (n *Node) measureRoom() error {
	free, err := n.store.Free()
	if err != nil {
		return err
	}
	was := n.full.Load() != nil
	is := free < uint64(n.cfg.DiskReserve)
	if is {
		why := fmt.Sprintf("the disk of %s has %d MiB free, less than the reserve of %d MiB (--disk-reserve)", n.cfg.DataDir, free>>20, n.cfg.DiskReserve>>20)
		n.full.Store(&why)
	} else {
		n.full.Store(nil)
	}
	if was == is {
		return nil
	}
	n.engine.tell(broker.Room{Full: is})
	if is {
		n.log.Warn("new jobs are refused: " + *n.full.Load())
	} else {
		n.log.Info("the disk has room again: new jobs are taken", "free", free)
	}
	return nil
}

// hasRoom is nil when new jobs and blobs may be stored; reads go on in any case.
func (n *Node) hasRoom() error {
	if why := n.full.Load(); why != nil {
		return fail(http.StatusInsufficientStorage, api.CodeNoSpace, "%s; what is here can still be read; submit at another broker, or make room", *why)
	}
	return nil
}
