package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/chunk"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// errAbsent says that a broker has answered that it has not got a blob.
var errAbsent = errors.New("it does not have it")

// errNowhere says that no broker that answers has a blob.
var errNowhere = errors.New("no broker that answers has it")

// fetches are the blobs that are being brought here. Those who want the same one at the same time share one transfer.
type fetches struct {
	mu sync.Mutex
	by map[job.Digest]*fetch
}

// fetch is one of them.
type fetch struct {
	mu   sync.Mutex
	want []func() int // how urgent it is to those who want it

	arriving *arriving

	done    chan struct{} // closed when it is over
	came    int64         // bytes that it has brought
	err     error         // how it ended
	givenUp bool          // by who ran it
}

// urgency is that of the one who wants it most.
func (x *fetch) urgency() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	most := x.want[0]()
	for _, f := range x.want[1:] {
		most = max(most, f())
	}
	return most
}

// wanted notes that somebody else wants it.
func (x *fetch) wanted(urgency func() int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.want = append(x.want, urgency)
}

// join runs f, unless somebody does it already for this blob: then it waits for that to end. One that was given up by who ran
// it goes on with who waits for it. It is as urgent as it is to the one who wants it most.
func (x *fetches) join(ctx context.Context, d job.Digest, f func(ctx context.Context) (came int64, err error)) (came int64, err error) {
	for {
		x.mu.Lock()
		other := x.by[d]
		if other == nil {
			break
		}
		x.mu.Unlock()
		other.wanted(urgencyOf(ctx))
		select {
		case <-other.done:
			if !other.givenUp {
				return other.came, other.err
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	own := &fetch{done: make(chan struct{}), want: []func() int{urgencyOf(ctx)}, arriving: newArriving(arrivingOf(ctx), time.Now)}
	x.by[d] = own
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.by, d)
		close(own.done)
	}()
	own.came, own.err = f(withArriving(withUrgency(ctx, own.urgency), own.arriving))
	own.givenUp = ctx.Err() != nil
	return own.came, own.err
}

// fetch brings the inputs of an attempt here; it ends in a Fetched.
func (p *peers) fetch(f broker.Fetch) {
	p.hurry(broker.Hurry{Key: f.Key, Urgency: f.Urgency})
	p.work.Go(func() {
		defer p.arrived(f.Key)
		ctx := withUrgency(p.ctx, func() int { return p.urgencyOfJob(f.Key) })
		in := broker.Fetched{Key: f.Key, Attempt: f.Attempt}
		all := newArriving(nil, time.Now)
		ctx = withArriving(ctx, all)
		for i, d := range f.Digests {
			p.beginsToCome(f.Key, coming{of: len(f.Digests), here: i, next: d, all: all})
			if err := p.need(ctx, d, f.From); err != nil {
				in.Err, in.Nowhere = fmt.Sprintf("blob %.12s: %v", d, err), errors.Is(err, errNowhere)
				break
			}
		}
		p.engine.Tell(in)
	})
}

// hurry notes how urgent a job is whose inputs are on their way.
func (p *peers) hurry(h broker.Hurry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.urgent[h.Key] = h.Urgency
}

// arrived notes that no inputs of a job are on their way any more. One that another attempt fetches at the moment is as urgent as usual
// then.
func (p *peers) arrived(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.urgent, key)
	delete(p.coming, key)
}

// urgencyOfJob is how urgent a job is whose inputs are on their way.
func (p *peers) urgencyOfJob(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, known := p.urgent[key]; known {
		return u
	}
	return usualUrgency
}

// fetchRounds is how often all brokers are asked for a blob without that anything comes; the pause between two
// rounds doubles from a second.
const fetchRounds = 4

// need makes sure that a blob is here, asking the named brokers first, then all
// others.
func (p *peers) need(ctx context.Context, d job.Digest, from []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	err := error(errNowhere)
	for round := 0; round < fetchRounds; round++ {
		if p.blobs.sound(ctx, d) {
			return nil
		}
		var came int64
		if came, err = p.find(ctx, d, from); err == nil {
			return nil
		}
		if came > 0 {
			round = 0
		}
		select {
		case <-time.After(time.Second << round):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// find gets a blob from the first broker that has it, asking each once. It returns errNowhere when all have answered
// that they have not, and how many bytes have come in any case.
func (p *peers) find(ctx context.Context, d job.Digest, from []string) (came int64, err error) {
	defer func() {
		if ctx.Err() == nil {
			p.lacking.note(d, err == nil)
		}
	}()
	if manifest, isTree := d.Tree(); isTree {
		return p.findTree(ctx, manifest, from)
	}
	return p.fetches.join(ctx, d, func(ctx context.Context) (int64, error) { return p.findBlob(ctx, d, from) })
}

// findBlob is find for one file.
func (p *peers) findBlob(ctx context.Context, d job.Digest, from []string) (came int64, err error) {
	err = errNowhere
	fresh := false
	for _, m := range p.holders(from) {
		n, failed := p.download(ctx, m, d, fresh)
		// Who gave the list of chunks that is here, or who contradicts it, lies: the next one is asked for another list.
		lied := errors.As(failed, new(*store.MismatchError)) || errors.Is(failed, errWrongChunk)
		fresh = fresh || lied
		if !lied {
			came += n // what a liar sends is no progress, or it would be asked without end
		}
		if failed == nil {
			return came, nil
		}
		if !errors.Is(failed, errAbsent) {
			err = failed // it may have it
		}
	}
	return came, err
}

// keep brings blobs here that are to stay (rule R3), one after another, so that what jobs wait for goes ahead; each ends in
// a Kept.
func (p *peers) keep(list []broker.Keep) {
	if len(list) == 0 {
		return
	}
	p.work.Go(func() {
		for _, k := range list {
			in := broker.Kept{Digest: k.Digest}
			if in.Here = p.blobs.has(k.Digest); !in.Here {
				_, err := p.find(withUrgency(p.ctx, func() int { return leastUrgency }), k.Digest, k.From)
				in.Here, in.New, in.Nowhere = err == nil, err == nil, errors.Is(err, errNowhere)
				if err != nil {
					p.log.Debug("a blob that is to be kept here could not be got", "blob", k.Digest, "error", err)
				}
			}
			p.engine.Tell(in)
		}
	})
}

// holders lists the brokers to ask: the named ones first.
func (p *peers) holders(first []string) (ask []membership.Member) {
	members := p.brokers()
	slices.SortStableFunc(members, func(a, b membership.Member) int {
		return rank(first, a.Name) - rank(first, b.Name)
	})
	for _, m := range members {
		if m.Name != p.name && m.Status == membership.Alive && m.HTTPAddr != "" {
			ask = append(ask, m)
		}
	}
	return ask
}

func rank(list []string, name string) int {
	if i := slices.Index(list, name); i >= 0 {
		return i
	}
	return len(list)
}

// A transfer that breaks goes on where it ended, at once, then after pauses that double from resumePause; it is given up when
// that many attempts in a row have brought nothing. What has come stays, and whoever fetches the blob next goes on there.
const (
	resumeTries = 4
	resumePause = 500 * time.Millisecond
)

// download gets a blob from one broker and stores it, verified. It goes on where an earlier transfer ended, from whichever
// broker that was.
func (p *peers) download(ctx context.Context, from membership.Member, d job.Digest, fresh bool) (came int64, err error) {
	for tries := 1; ; tries++ {
		var n int64
		n, err = p.downloadRest(ctx, from, d, fresh)
		if came += n; n > 0 {
			tries = 1
		}
		if !errors.As(err, new(*brokenError)) || ctx.Err() != nil || tries == resumeTries {
			return came, err
		}
		p.log.Debug("a transfer broke, and is resumed", "peer", from.Name, "blob", string(d), "error", err)
		select {
		case <-time.After(resumePause << tries):
		case <-ctx.Done():
			return came, ctx.Err()
		}
	}
}

// brokenError says that a transfer ended before its time: it may go on.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// downloadRest gets what is lacking of a blob from one broker, and of a large one, by its list of chunks, from others as well; it says
// how much has come. A fresh list is asked for where that which is here may be false.
func (p *peers) downloadRest(ctx context.Context, from membership.Member, d job.Digest, fresh bool) (came int64, err error) {
	blobs := p.blobs.store.Blobs()
	if _, here := blobs.Touch(string(d)); here {
		return 0, nil
	}
	part, err := blobs.Resume(string(d))
	if errors.Is(err, store.ErrBusy) { // somebody uploads it, who may be slow
		return 0, p.transfers.run(ctx, from.Name, func() error { return p.downloadWhole(ctx, from, d) })
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	list, err := p.chunksFor(ctx, from, d, part, fresh)
	if err != nil {
		return 0, err
	}
	if list != nil {
		return p.gather(ctx, from, d, part, list)
	}
	had, size := part.Len(), int64(0)
	err = p.transfers.run(ctx, from.Name, func() (err error) {
		size, err = p.readRange(ctx, from, d, part, firstLook)
		return err
	})
	if came = part.Len() - had; err != nil {
		return came, err
	}
	if size-part.Len() >= chunkedFrom {
		if list, err = p.newList(ctx, from, d, part); list != nil {
			n, err := p.gather(ctx, from, d, part, list)
			return came + n, err
		}
	}
	n, err := p.downloadPlain(ctx, from, d, part, size)
	return came + n, err
}

// chunksFor is the list of chunks by which a part with holes goes on; nil where it has none.
func (p *peers) chunksFor(ctx context.Context, from membership.Member, d job.Digest, part *store.Partial, fresh bool) (chunk.List, error) {
	if !part.Holey() {
		return nil, nil
	}
	if !fresh {
		list, err := part.Chunks(chunk.MaxEncoded(job.MaxBlob))
		if err == nil {
			var l chunk.List
			if l, err = chunk.Decode(list, job.MaxBlob); err == nil {
				return l, nil
			}
		}
		p.log.Debug("what had come of a blob is of no use: its list of chunks can't be read", "blob", string(d), "error", err)
		return nil, part.Reset()
	}
	has, err := p.holds(ctx, from.HTTPAddr, from.Name, from.Actor, d)
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, fmt.Errorf("%s: %w", from.HTTPAddr, errAbsent)
	}
	l, err := p.newList(ctx, from, d, part)
	if errors.Is(err, errAbsent) { // it has the blob, and knows no lists
		return nil, part.Reset()
	}
	return l, err
}

// newList asks a broker for a list of chunks, and keeps it for the blob's part.
func (p *peers) newList(ctx context.Context, from membership.Member, d job.Digest, part *store.Partial) (chunk.List, error) {
	list, l, err := p.listOf(ctx, from, d)
	if err != nil {
		p.log.Debug("a blob is fetched without a list of its chunks", "peer", from.Name, "blob", string(d), "error", err)
		return nil, err
	}
	return l, part.KeepChunks(list)
}

// firstLook is how many bytes of a blob are asked for first: small ones have come with that, and of others it tells how large
// they are.
const firstLook = 64 << 10

// downloadPlain gets what is lacking of a blob of which so many bytes are known to be there.
func (p *peers) downloadPlain(ctx context.Context, from membership.Member, d job.Digest, part *store.Partial, size int64) (came int64, err error) {
	had := part.Len()
	if had < size {
		err = p.transfers.run(ctx, from.Name, func() (err error) {
			size, err = p.readRange(ctx, from, d, part, 0)
			return err
		})
		if came = part.Len() - had; err != nil {
			return came, err
		}
	}
	if part.Len() < size {
		return came, &brokenError{fmt.Errorf("%s has sent %d of %d bytes", from.Name, part.Len(), size)}
	}
	err = part.Finish(ctx)
	if errors.As(err, new(*store.MismatchError)) { // of whom the wrong bytes are is not known: it begins again
		return came, errors.Join(err, part.Reset())
	}
	return came, err
}

// downloadWhole gets a blob in one go: what has come is lost when that breaks.
func (p *peers) downloadWhole(ctx context.Context, from membership.Member, d job.Digest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := p.get(ctx, from, d, 0, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := newWatched(p.rates.from(ctx, from.Name, resp.Body), p.cfg.PeerTimeout, cancel)
	defer body.stop()
	arrivingOf(ctx).sized(0, max(resp.ContentLength, 0))
	body.arriving, body.from = arrivingOf(ctx), from.Name
	return p.blobs.store.Blobs().PutExpect(ctx, string(d), body, job.MaxBlob)
}

// get asks a broker for a blob, or for what follows a byte of it. The answer is a success, or says that nothing follows.
func (p *peers) get(ctx context.Context, from membership.Member, d job.Digest, at int64, to string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.blobURL(from.HTTPAddr, d), nil)
	if err != nil {
		return nil, err
	}
	if at > 0 || to != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%s", at, to))
	}
	resp, err := p.do(req, from.Name, from.Actor)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	case http.StatusNotFound:
		err = fmt.Errorf("%s: %w", from.HTTPAddr, errAbsent)
	default:
		err = fmt.Errorf("%s does not give it: %s", from.HTTPAddr, resp.Status)
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// readRange reads from a broker what lies behind the end of a part, at most so many bytes unless that is 0, and returns the size of
// the blob.
func (p *peers) readRange(ctx context.Context, from membership.Member, d job.Digest, part *store.Partial, most int64) (size int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at, to := part.Len(), ""
	if most > 0 {
		to = strconv.FormatInt(at+most-1, 10)
	}
	resp, err := p.get(ctx, from, d, at, to)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	start, total, ok := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case resp.StatusCode == http.StatusOK: // it sends all of it
		at, total = 0, resp.ContentLength
		if part.Len() > 0 {
			err = part.Reset()
		}
	case !ok || total < at || resp.StatusCode == http.StatusPartialContent && start != at:
		err = errors.Join(fmt.Errorf("%d bytes of blob %.12s are here, and %s answers %s, %.80q", at, d, from.Name, resp.Status, resp.Header.Get("Content-Range")), part.Reset())
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable: // there is no more
		return total, nil
	}
	if err != nil {
		return 0, err
	}
	body := newWatched(p.rates.from(ctx, from.Name, resp.Body), p.cfg.PeerTimeout, cancel)
	defer body.stop()
	arrivingOf(ctx).sized(at, max(total, 0))
	body.arriving, body.from = arrivingOf(ctx), from.Name
	err = part.Append(ctx, body, at, job.MaxBlob)
	if body.failed && p.ctx.Err() == nil {
		err = &brokenError{err}
	}
	return max(total, part.Len()), err
}

// contentRange reads the Content-Range of an answer: where what it sends begins, and how long the whole is.
func contentRange(s string) (start, total int64, ok bool) {
	span, all, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	if !ok {
		return 0, 0, false
	}
	total, err := strconv.ParseInt(all, 10, 64)
	if err != nil || total < 0 || total > job.MaxBlob {
		return 0, 0, false
	}
	first, _, _ := strings.Cut(span, "-")
	start, err = strconv.ParseInt(first, 10, 64)
	return start, total, err == nil || span == "*"
}
