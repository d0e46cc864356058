package node

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// packing is one file that is being written.
type packing struct {
	*carrier
	o       api.CarryOptions
	w       *carry.Writer
	end     carry.End
	report  api.Carried
	packed  *broker.Packed
	needs   []broker.CarriedBlob // of the records so far
	same    []string             // whose word says that it holds what this broker does
	vain    time.Duration        // spent on looking for blobs that nobody had
	lengths int64                // of the preamble, and what encryption needs
}

// mostBlobs bounds how many blobs are considered for one file, and vainWithin how long it is looked for blobs that nobody has who is
// there.
const (
	mostBlobs  = 1 << 18
	vainWithin = 10 * time.Second
)

// Pack writes a file (rule B1). Nothing was written if the error is an [httpd.CarryRefused]. One at a time.
func (c *carrier) Pack(ctx context.Context, out io.Writer, o api.CarryOptions) (api.Carried, error) {
	if !c.packing.TryLock() {
		return api.Carried{}, httpd.ErrBusy
	}
	defer c.packing.Unlock()
	o.Limit = cmp.Or(o.Limit, api.DefaultCarryLimit)
	buffered := bufio.NewWriterSize(out, chunkBytes)
	report, err := c.packInto(ctx, buffered, o)
	return report, errors.Join(err, buffered.Flush())
}

// packInto writes the file; Flush writes what is left of it.
func (c *carrier) packInto(ctx context.Context, out *bufio.Writer, o api.CarryOptions) (api.Carried, error) {
	p := &packing{carrier: c, o: o, end: carry.End{Kinds: map[string]int{}}}
	if o.Introduce {
		return p.introduce(out)
	}
	if c.city != nil { // before anybody is admitted
		if _, unknown := c.city.ReadersOf(o.For); o.Admit && len(unknown) > 0 {
			return api.Carried{}, keyless(unknown[0])
		}
	}
	words, silent := c.others(ctx)
	var err error
	p.packed, err = askCarry[*broker.Packed](ctx, c.engine, func(t broker.Token) broker.Input {
		return broker.Pack{Token: t, For: o.For, All: len(o.For) == 0, Admit: o.Admit, Whole: o.Whole, Held: c.clocks()}
	})
	if err != nil {
		return api.Carried{}, err
	}
	p.report.Silent = silent
	err = p.write(ctx, out, words)
	return p.report, err
}

// begin writes the preamble.
func (p *packing) begin(out io.Writer, names []string, readers []identity.PublicKey) (closing func() error, err error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(p.random, id); err != nil {
		return nil, fmt.Errorf("a number for the file: %w", err)
	}
	pre := &carry.Preamble{ID: id, From: p.actor(), For: names, At: clock.At(p.now()), Introduces: p.o.Introduce}
	seal := carry.Hashed()
	closing = func() error { return nil }
	var body func(io.Writer) (io.Writer, error)
	if p.city != nil {
		pre.City, pre.Credential, pre.Encrypted = []byte(p.city.Authorities().City()), p.city.Shows(), len(readers) > 0
		seal = carry.Seal{Size: identity.SealSize, Make: p.city.SignHash}
		if pre.Encrypted {
			body = func(w io.Writer) (io.Writer, error) {
				sealed, err := identity.EncryptTo(w, readers...)
				if err == nil {
					closing = sealed.Close
				}
				return sealed, err
			}
		}
	}
	p.report = describe(pre, p.report)
	p.w, err = carry.NewWriter(out, pre, seal, body)
	return closing, err
}

// describe says in the API's words what a preamble does.
func describe(p *carry.Preamble, r api.Carried) api.Carried {
	r.ID, r.From, r.For, r.At = fmt.Sprintf("%x", p.ID), p.From.Broker(), p.For, p.At.Time()
	r.City, r.Encrypted, r.Introduces = "", p.Encrypted, p.Introduces
	if len(p.City) > 0 {
		r.City = identity.City(p.City).String()
	}
	if r.For == nil {
		r.For = []string{}
	}
	return r
}

// introduce writes a file that says who this broker is.
func (p *packing) introduce(out io.Writer) (api.Carried, error) {
	if p.city == nil {
		return p.report, &httpd.CarryRefused{Reason: "this broker belongs to no city, and needs no introduction: pack for them with --for NAME --admit"}
	}
	counted := &countedWriter{w: out}
	closing, err := p.begin(counted, nil, nil)
	for _, proof := range p.city.Announce() {
		if err == nil {
			err = p.w.Write(carry.TypeProof, proof.Encode())
		}
	}
	if err == nil {
		err = errors.Join(p.w.Write(carry.TypeEnd, carry.Encode(&p.end)), closing())
	}
	p.report.Whole, p.report.Bytes = err == nil, counted.n
	return p.report, err
}

// readers are the keys to which the file is encrypted: of all that may take it in, as far as they are known; nobody is left that it is for
// where none is.
func (p *packing) readers() ([]identity.PublicKey, error) {
	if p.city == nil {
		return nil, nil
	}
	keys, unknown := p.city.ReadersOf(p.packed.Roll)
	if !slices.ContainsFunc(p.packed.For, func(name string) bool { return !slices.Contains(unknown, name) }) {
		return nil, keyless(p.packed.For[0])
	}
	return keys, nil
}

// keyless refuses to pack for somebody to whom nothing can be encrypted.
func keyless(name string) error {
	return &httpd.CarryRefused{Reason: fmt.Sprintf("the key of %s is not known here, so that nothing can be encrypted to it: let it pack a file with --introduce, and unpack that here first", name)}
}

// write writes all of the file.
func (p *packing) write(ctx context.Context, out io.Writer, words [][]byte) error {
	readers, err := p.readers()
	if err != nil {
		return err
	}
	counted := &countedWriter{w: out}
	closing, err := p.begin(counted, p.packed.For, readers)
	if err != nil {
		return err
	}
	p.lengths = counted.n
	for _, step := range []func() error{
		p.header,
		func() error { return p.words(words) },
		p.signedHeads,
		func() error { return p.records(ctx) },
		func() error { return p.content(ctx) },
		p.asks,
		func() error { p.end.Bytes = p.w.Bytes; return p.w.Write(carry.TypeEnd, carry.Encode(&p.end)) },
		func() error { return closing() },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	p.report.Whole, p.report.Bytes = true, counted.n
	p.report.Records, p.report.Kinds, p.report.Blobs, p.report.Left, p.report.Short = p.end.Records, p.end.Kinds, p.end.Blobs, p.end.Left, p.end.Short
	p.report.Missing = p.end.Missing
	return nil
}

func (p *packing) header() error {
	return p.w.Write(carry.TypeHeader, carry.Encode(&carry.Header{Protocol: wire.Version, Roll: p.packed.Roll, Since: p.packed.Since}))
}

// words writes what this broker says of itself, and those that are there. Who holds the same as this one is noted.
func (p *packing) words(others [][]byte) error {
	p.report.Words = []string{p.name}
	if err := p.w.Write(carry.TypeWord, p.signed(p.packed.Word.Encode())); err != nil {
		return err
	}
	for _, b := range others {
		w, err := p.open(b)
		if err != nil || !slices.Contains(p.packed.Roll, w.From) {
			continue
		}
		if w.Clock.Equal(p.packed.Transfer.Clock()) {
			p.same = append(p.same, w.From)
		}
		p.report.Words = append(p.report.Words, w.From)
		if err := p.w.Write(carry.TypeWord, b); err != nil {
			return err
		}
	}
	slices.Sort(p.same)
	return nil
}

func (p *packing) signedHeads() error {
	if p.heads == nil {
		return nil
	}
	for _, list := range p.heads.all.All() {
		if err := p.w.Write(carry.TypeHead, carry.Encode(&list)); err != nil {
			return err
		}
	}
	return nil
}

// fits reports whether a frame of so many bytes keeps the file within its limit.
func (p *packing) fits(bytes int64) bool {
	const ends = 64 << 10 // what comes in any case
	return p.lengths+p.w.Bytes+bytes+p.w.Overhead()+ends <= p.o.Limit
}

// records writes all pages, and the clock behind the last one. Where not all fit there is no clock: their reader must not believe that it
// has them all.
func (p *packing) records(ctx context.Context) error {
	for last := false; !last; {
		page, err := askCarry[*broker.PackedPage](ctx, p.engine, func(t broker.Token) broker.Input {
			return broker.PackPage{Token: t, Transfer: p.packed.Transfer, Since: p.packed.Since}
		})
		if err != nil {
			return err
		}
		last = page.Last
		d := wire.FromLedger(page.Delta)
		if len(d.Records) == 0 {
			continue
		}
		b := wire.EncodePage(d)
		if !p.fits(int64(len(b))) {
			p.end.Short = true
			return nil
		}
		if err := p.w.Write(carry.TypeRecords, b); err != nil {
			return err
		}
		p.end.Records += len(d.Records)
		for _, e := range page.Delta.Entries {
			p.end.Kinds[kindText(e.Record, string(e.Kind))]++
		}
		p.needs = append(p.needs, page.Blobs...)
	}
	digest, err := p.digest()
	if err != nil {
		return err
	}
	text, err := json.Marshal(digest)
	if err != nil {
		return err
	}
	return p.w.Write(carry.TypeClock, carry.Encode(&carry.Clocks{Clock: p.packed.Transfer.Clock(), Digest: text, Names: p.same}))
}

// kindText is what a record is, for people.
func kindText(r any, kind string) string {
	if r, ok := r.(*job.Record); ok {
		return string(r.State()) + " jobs"
	}
	return strings.TrimSuffix(kind, "s") + " records"
}

// content writes blobs, the most urgent first, what their readers have asked for before all others of the same urgency. One that
// is not here is fetched from the brokers that are there; one that does not fit is left out.
func (p *packing) content(ctx context.Context) error {
	var list []broker.CarriedBlob
	seen := map[job.Digest]bool{}
	add := func(d job.Digest, urgency int) {
		files := []job.Digest{d}
		if manifest, isTree := d.Tree(); isTree {
			p.bringHere(ctx, manifest)
			m, err := p.blobs.manifest(manifest)
			if err != nil {
				return // nobody who is there has it, or it is none
			}
			files = append([]job.Digest{manifest}, m.Files()...)
		}
		for _, f := range files {
			if !seen[f] && len(list) < mostBlobs && job.ValidDigest(string(f)) {
				seen[f] = true
				list = append(list, broker.CarriedBlob{Digest: f, Urgency: urgency})
			}
		}
	}
	for _, d := range p.wanted(p.packed.For) {
		add(job.Digest(d), usualUrgency)
	}
	for _, b := range p.needs {
		add(b.Digest, b.Urgency)
	}
	slices.SortStableFunc(list, func(a, b broker.CarriedBlob) int { return cmp.Compare(b.Urgency, a.Urgency) })
	for _, b := range list {
		if err := p.blob(ctx, b.Digest); err != nil {
			return err
		}
	}
	return nil
}

// bringHere fetches a blob that is not here, and reports whether it is then. A blob is on as many brokers as are to hold copies of it, and the
// packer need not be one of them.
func (p *packing) bringHere(ctx context.Context, d job.Digest) bool {
	if !job.ValidDigest(string(d)) || p.blobs.has(d) {
		return p.blobs.has(d)
	}
	if p.vain >= vainWithin || !p.fits(0) {
		p.end.Missing++
		return false
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.peers.ctx, cancel)()
	if _, err := p.peers.find(withUrgency(ctx, func() int { return leastUrgency }), d, nil); err != nil {
		p.vain += time.Since(began)
		p.end.Missing++
		return false
	}
	return true
}

// chunkBytes is how much of a blob one frame holds.
const chunkBytes = 256 << 10

// blob writes one, if it is here and fits.
func (p *packing) blob(ctx context.Context, d job.Digest) error {
	if !p.bringHere(ctx, d) {
		return ctx.Err()
	}
	b, err := p.blobs.store.Blobs().Open(string(d))
	if errors.Is(err, store.ErrNotFound) {
		return nil // it has gone meanwhile
	}
	if err != nil {
		return err
	}
	defer b.Close()
	size := b.Size()
	if !p.fits(size + (size/chunkBytes+2)*p.w.Overhead() + 128) {
		p.end.Left++
		return nil
	}
	if err := p.w.Write(carry.TypeBlob, carry.Encode(&carry.Blob{Digest: string(d), Size: size})); err != nil {
		return err
	}
	buf := make([]byte, chunkBytes)
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(b, buf[:min(left, chunkBytes)])
		if err != nil {
			return fmt.Errorf("reading blob %.12s: %w", d, err)
		}
		if err := p.w.Write(carry.TypeData, buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	p.end.Blobs++
	p.report.BlobBytes += size
	return nil
}

// asks writes what this broker was looking for in vain.
func (p *packing) asks() error {
	lacks := p.peers.lacking.list(p.blobs.has)
	p.report.Lacks = len(lacks)
	if len(lacks) == 0 {
		return nil
	}
	names := make([]string, len(lacks))
	for i, d := range lacks {
		names[i] = string(d)
	}
	return p.w.Write(carry.TypeLacks, carry.Encode(&carry.Lacks{Blobs: names}))
}

// countedWriter counts what is written.
type countedWriter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
