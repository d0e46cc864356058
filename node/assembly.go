package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/urban-compute/ucp/chunk"
	"github.com/urban-compute/ucp/store"
)

// assembly is a blob that is put together of chunks, from several sources at once.
type assembly struct {
	part *store.Partial
	list chunk.List

	mu      sync.Mutex
	state   []chunkState
	by      map[chunk.ID][]int // the chunks with this content, as long as some may be lacking
	next    int                // none before it is lacking
	missing int64              // bytes of chunks that are not here
	came    int64              // bytes that have come from other brokers
	runs    map[*run]bool      // under way
	changed chan struct{}      // closed when something was given back or taken in, and replaced
}

// chunkState says where a chunk is.
type chunkState uint8

const (
	chunkLacking chunkState = iota
	chunkComing
	chunkHere
)

// run is a row of chunks that one source is asked for.
type run struct {
	first, n int // n shrinks when another source takes the rest
	done     int
	began    time.Time
	bytes    int64  // that have come
	cancel   func() // ends it
}

// errWrongChunk says that a chunk's content is not what the list says.
var errWrongChunk = errors.New("it has sent other bytes than the list of chunks says")

// newAssembly looks at what has come already, which takes reading it.
func newAssembly(ctx context.Context, part *store.Partial, list chunk.List) (*assembly, error) {
	a := &assembly{part: part, list: list, state: make([]chunkState, len(list)), by: map[chunk.ID][]int{}, runs: map[*run]bool{}, changed: make(chan struct{})}
	var buf [chunk.Max]byte
	end := part.Len()
	for i, c := range list {
		if c.End() <= end {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if n, _ := part.ReadAt(buf[:c.Size], c.At); n == c.Size && chunk.IDOf(buf[:n]) == c.ID {
				a.state[i] = chunkHere
				continue
			}
		}
		a.missing += int64(c.Size)
		a.by[c.ID] = append(a.by[c.ID], i)
	}
	return a, nil
}

// left is how many bytes are not here.
func (a *assembly) left() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.missing
}

// lacks lists the chunks of this content that nobody is asked for.
func (a *assembly) lacks(id chunk.ID) (out []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.by[id] {
		if a.state[i] == chunkLacking {
			out = append(out, i)
		}
	}
	return out
}

// have takes in a chunk, verified.
func (a *assembly) have(i int, b []byte) error {
	c := a.list[i]
	if len(b) != c.Size || chunk.IDOf(b) != c.ID {
		return errWrongChunk
	}
	a.mu.Lock()
	here := a.state[i] == chunkHere
	a.mu.Unlock()
	if here {
		return nil
	}
	if _, err := a.part.WriteAt(b, c.At); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state[i] != chunkHere {
		a.state[i] = chunkHere
		a.missing -= int64(c.Size)
		if a.missing == 0 {
			a.change()
		}
	}
	return nil
}

// change wakes all that wait. The caller holds mu.
func (a *assembly) change() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// take gives a source the next chunks that are lacking, one row of at most so many bytes; nil when none is.
func (a *assembly) take(most int64) *run {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.next < len(a.list) && a.state[a.next] != chunkLacking {
		a.next++
	}
	r := &run{first: a.next, began: time.Now()}
	size := int64(0)
	for i := a.next; i < len(a.list) && a.state[i] == chunkLacking; i++ {
		if size += int64(a.list[i].Size); size > most && r.n > 0 {
			break
		}
		a.state[i] = chunkComing
		r.n++
	}
	if r.n == 0 {
		return nil
	}
	a.runs[r] = true
	return r
}

// takeOver gives a source that has nothing to do, and brings so many bytes a second, the rest of what another one is much slower with;
// nil when there is none.
func (a *assembly) takeOver(rate float64) *run {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r := range a.runs {
		took := time.Since(r.began)
		rest := a.bytes(r.first+r.done, r.first+r.n)
		if took < time.Second || rest == 0 || rate <= 0 {
			continue
		}
		theirs := float64(rest) / (float64(r.bytes+1) / took.Seconds())
		if own := float64(rest) / rate; theirs < 2*own+1 {
			continue
		}
		taken := &run{first: r.first + r.done, n: r.n - r.done, began: time.Now()}
		r.n = r.done
		if r.cancel != nil {
			r.cancel()
		}
		a.runs[taken] = true
		return taken
	}
	return nil
}

// bytes is the size of a row of chunks.
func (a *assembly) bytes(from, to int) (n int64) {
	if from >= to {
		return 0
	}
	return a.list[to-1].End() - a.list[from].At
}

// start notes how a row is ended, and says where it begins and ends in the blob; ok is false where another source has taken it.
func (a *assembly) start(r *run, cancel func()) (at, end int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.n == 0 {
		return 0, 0, false
	}
	r.cancel = cancel
	r.began = time.Now()
	return a.list[r.first].At, a.list[r.first+r.n-1].End(), true
}

// following is the next chunk of a row; ok is false at its end.
func (a *assembly) following(r *run) (i int, c chunk.Chunk, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.done >= r.n {
		return 0, c, false
	}
	i = r.first + r.done
	return i, a.list[i], true
}

// got notes that the next chunk of a row has come.
func (a *assembly) got(r *run, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.done < r.n {
		r.done++
	}
	r.bytes += int64(size)
	a.came += int64(size)
}

// end gives back what has not come of a row.
func (a *assembly) end(r *run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.runs, r)
	for i := r.first; i < r.first+r.n; i++ {
		if a.state[i] == chunkComing {
			a.state[i] = chunkLacking
			a.next = min(a.next, i)
		}
	}
	a.change()
}

// wait waits until something has changed, but not for long: another source may have become slow.
func (a *assembly) wait(ctx context.Context) {
	a.mu.Lock()
	changed := a.changed
	a.mu.Unlock()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

// String says how far it is.
func (a *assembly) String() string {
	return fmt.Sprintf("%d of %d bytes are lacking", a.left(), a.list.Size())
}
