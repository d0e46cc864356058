package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/node/httpd"
)

// How often the directories are looked at, and how often a file is packed at most: once a minute, and longer apart the longer
// that takes.
const (
	lookEvery  = 5 * time.Second
	packEvery  = time.Minute
	packFactor = 20
	askEvery   = 5 * time.Minute
	againAfter = time.Minute
	// mostIncoming bounds how many files of an inbox are looked at.
	mostIncoming = 4096
)

// stamp knows a file again that has not changed.
type stamp struct {
	size int64
	at   time.Time
}

// glance says when a file is looked at again that has not changed: one that was refused may be taken later. Zero is never.
type glance struct {
	stamp
	again time.Time
}

// dirs are the directories by which files come and go without being told to.
type dirs struct {
	*carrier
	out, in string            // "" for none
	seen    map[string]glance // files of the inbox that were looked at, by name
	packed  time.Time         // when a file for the outbox was last made
	took    time.Duration     // how long that took
	of      packedOf
	said    map[string]bool // what was logged
}

// packedOf is what the last file for the outbox was made of.
type packedOf struct {
	clock clock.Tips
	names string
	lacks int
	held  int
}

// run looks at the directories until the context ends.
func (c *carrier) run(ctx context.Context) error {
	c.engine.Tell(broker.Gossip{State: wire.State{Metadata: c.metadata()}}) // what those can do of whom only files tell
	d := &dirs{carrier: c, out: c.outbox, in: c.inbox, seen: map[string]glance{}, said: map[string]bool{}}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for asked := time.Now(); ; {
		if time.Since(asked) >= askEvery {
			c.askAll(ctx)
			asked = time.Now()
		}
		if d.in != "" {
			d.complain("inbox", d.takeIn(ctx))
		}
		if d.out != "" {
			d.complain("outbox", d.putOut(ctx))
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// askAll keeps what the brokers that are there hold now: if they are cut off, and this one starts again, it knows what they lack.
func (c *carrier) askAll(ctx context.Context) {
	list, _ := c.others(ctx)
	var words []*wire.Word
	for _, b := range list {
		if w, err := c.open(b); err == nil {
			words = append(words, w)
		}
	}
	if err := c.keep(words, "", nil); err != nil {
		c.log.Debug("what other brokers hold can't be kept", "error", err)
	}
}

// complain logs what is wrong with a directory, once until it is something else.
func (d *dirs) complain(which string, err error) {
	if err == nil || d.ctxOver() {
		d.said = map[string]bool{}
		return
	}
	if text := which + err.Error(); !d.said[text] {
		d.said = map[string]bool{text: true}
		d.log.Warn("the directory for files that are carried can't be used", "which", "--"+which, "error", err)
	}
}

func (d *dirs) ctxOver() bool { return d.peers.ctx.Err() != nil }

// takeIn unpacks the files of the inbox that are new, or others than before.
func (d *dirs) takeIn(ctx context.Context) error {
	list, err := filesIn(d.in)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, name := range list[:min(len(list), mostIncoming)] {
		there[name] = true
		path := filepath.Join(d.in, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		now := stamp{info.Size(), info.ModTime()}
		last, known := d.seen[name]
		if ctx.Err() != nil || known && last.stamp == now && (last.again.IsZero() || time.Now().Before(last.again)) {
			continue
		}
		s := glance{stamp: now}
		if !d.takeFile(ctx, path, !known || last.stamp != now) {
			s.again = time.Now().Add(againAfter)
		}
		d.seen[name] = s
	}
	for name := range d.seen {
		if !there[name] {
			delete(d.seen, name)
		}
	}
	return nil
}

// takeFile unpacks one file, and reports whether it need not be looked at again as long as it is the same.
func (d *dirs) takeFile(ctx context.Context, path string, first bool) bool {
	f, err := os.Open(path)
	if err != nil {
		d.log.Warn("a file that was carried here can't be read", "file", path, "error", err)
		return true
	}
	defer f.Close()
	p, err := carry.NewReader(f)
	if err == nil && p.Preamble.From.Broker() == d.name {
		return true // the same directory serves for both
	}
	if _, err := f.Seek(0, 0); err != nil {
		return true
	}
	r, err := d.Unpack(ctx, f, false)
	switch {
	case errors.Is(err, httpd.ErrBusy) || ctx.Err() != nil:
		return false
	case err != nil:
		if first {
			d.log.Warn("a file that was carried here was not taken", "file", path, "error", err)
		}
		return false
	case r.Trouble != "":
		d.log.Warn("a file that was carried here was taken in part", "file", path, "from", r.From, "trouble", r.Trouble, "records", r.Records, "blobs", r.New)
	default:
		d.log.Info("a file that was carried here was taken", "file", path, "from", r.From, "changed", r.Changed, "blobs", r.New, "advice", r.Advice)
	}
	return true
}

// filesIn lists the files of a directory that are carried, sorted.
func filesIn(dir string) (names []string, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), carry.Suffix) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// putOut packs a file for those that are not there, when there is something that the last one does not hold. It takes the place of that.
func (d *dirs) putOut(ctx context.Context) error {
	path := filepath.Join(d.out, d.name+carry.Suffix)
	if time.Since(d.packed) < max(packEvery, packFactor*d.took) && !d.packed.IsZero() {
		return nil
	}
	a, err := askCarry[*broker.Spoken](ctx, d.engine, func(t broker.Token) broker.Input { return broker.Speak{Token: t} })
	if err != nil {
		return nil // it is about to end, or very busy: the next look asks again
	}
	absent := a.Absent
	if len(absent) == 0 {
		d.of = packedOf{}
		return removed(path)
	}
	now := packedOf{a.Word.Clock, strings.Join(absent, ","), len(d.peers.lacking.list(d.blobs.has)), d.heldVersions()}
	if d.of.clock.Equal(now.clock) && d.of.names == now.names && d.of.lacks == now.lacks && d.of.held == now.held && there(path) {
		return nil
	}
	began := time.Now()
	defer func() { d.packed, d.took = time.Now(), time.Since(began) }()
	if err := d.packFile(ctx, path, absent); err != nil {
		return err
	}
	d.of = now
	return nil
}

// packFile writes a file under another name first: whoever copies the directory meanwhile gets no half of it.
func (d *dirs) packFile(ctx context.Context, path string, absent []string) (err error) {
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r, err := d.Pack(ctx, f, api.CarryOptions{For: absent, Limit: d.room()})
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("packing for %s: %w", strings.Join(absent, ", "), err), removed(part))
	}
	d.log.Info("a file was packed for who is not there", "file", path, "for", strings.Join(r.For, ","), "records", r.Records, "blobs", r.Blobs, "bytes", r.Bytes)
	return nil
}

// room is how large the file may become: it leaves the disk's reserve alone.
func (d *dirs) room() int64 {
	free, err := d.reserve.free()
	if err != nil || d.reserve.reserve < 0 {
		return api.DefaultCarryLimit
	}
	return min(api.DefaultCarryLimit, max(int64(min(free, 1<<62))-d.reserve.reserve, 1))
}

// heldVersions changes when somebody has said by hand that they hold more.
func (d *dirs) heldVersions() (sum int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.held {
		sum += int(h.word.Told.Version) + int(h.Hybrid) + len(h.Lacks)
	}
	return sum
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// removed removes a file; that it is not there is no error.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
