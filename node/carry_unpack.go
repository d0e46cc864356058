package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

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

// unpacking is one file that is being read.
type unpacking struct {
	*carrier
	r      *carry.Reader
	look   bool // nothing is taken
	report api.Carried

	header *carry.Header
	words  []*wire.Word
	raw    [][]byte // the same, as they came
	size   int      // of these, in bytes
	clocks *carry.Clocks
	lacks  []string
	needs  []job.Digest // blobs that the file is to bring for its records, the most urgent first
	proofs []*identity.Proof
	bad    bool // as in broker.Unpacked
	unread bool
	taken  bool // all records have come
	missed bool // the file goes on from what was not here

	introduced bool // the core was told who has let its packer in
}

// Unpack takes a file in as far as it goes (rule B1); with look it only says what is in it. What is wrong with the file is in the report, unless
// nothing of it was taken: then the error is an [httpd.CarryRefused]. One at a time.
func (c *carrier) Unpack(ctx context.Context, in io.Reader, look bool) (api.Carried, error) {
	if !c.unpacking.TryLock() {
		return api.Carried{}, httpd.ErrBusy
	}
	defer c.unpacking.Unlock()
	counted := &countedReader{r: in}
	r, err := carry.NewReader(counted)
	if err != nil {
		return api.Carried{}, &httpd.CarryRefused{Reason: err.Error()}
	}
	u := &unpacking{carrier: c, r: r, look: look}
	u.report = describe(r.Preamble, u.report)
	u.report.Words = []string{}
	if err := u.unlock(); err != nil {
		return u.report, &httpd.CarryRefused{Reason: fmt.Sprintf("%s, packed by %s: %v", fileName(r.Preamble), u.report.From, err)}
	}
	err = u.frames(ctx)
	u.report.Bytes = counted.n
	return u.end(ctx, err)
}

// fileName is what a file is called in messages.
func fileName(p *carry.Preamble) string { return fmt.Sprintf("file %.4x", p.ID) }

// unlock looks at who has packed the file, and decrypts it.
func (u *unpacking) unlock() error {
	p := u.r.Preamble
	switch {
	case u.city == nil && len(p.City) > 0:
		return fmt.Errorf("it is of the city %.12s, and this broker belongs to none", identity.City(p.City))
	case u.city == nil:
		return u.r.Unlock(carry.Hashed(), nil)
	case len(p.City) == 0:
		return errors.New("it is of brokers that belong to no city: nobody has signed it")
	case !bytes.Equal(p.City, []byte(u.city.Authorities().City())):
		return fmt.Errorf("it is of the city %.12s, and this broker belongs to %.12s", identity.City(p.City), u.city.Authorities().City())
	case !p.Encrypted && !p.Introduces:
		return errors.New("it is not encrypted, as files of a city are")
	}
	key, err := u.city.Shown(p.Credential, p.From.Broker())
	if err != nil {
		return err
	}
	seal := carry.Seal{Size: identity.SealSize, Open: key.SignedHash}
	if !p.Encrypted {
		return u.r.Unlock(seal, nil)
	}
	err = u.r.Unlock(seal, u.city.DecryptFrom)
	if errors.Is(err, identity.ErrNotForUs) {
		return errors.New("it was encrypted to others: let it be packed with --for and the name of this broker")
	}
	return err
}

// frames reads all frames; the error says why it came to no end.
func (u *unpacking) frames(ctx context.Context) error {
	var before carry.Type
	for {
		t, b, err := u.r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && before == 0 && t != carry.TypeHeader && !u.report.Introduces {
			err = fmt.Errorf("%w: it does not begin with its header", carry.ErrChanged)
		}
		before = t
		if err == nil {
			err = u.frame(ctx, t, b)
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacking) frame(ctx context.Context, t carry.Type, b []byte) (err error) {
	if u.report.Introduces && t != carry.TypeProof && t != carry.TypeEnd {
		return fmt.Errorf("%w: it introduces its packer, and holds something else", carry.ErrChanged)
	}
	switch t {
	case carry.TypeHeader:
		return u.begins(b)
	case carry.TypeProof:
		return u.proof(b)
	case carry.TypeHead:
		return u.signedHeads(b)
	case carry.TypeWord:
		return u.word(b)
	case carry.TypeRecords:
		return u.records(ctx, b)
	case carry.TypeClock:
		return u.clock(ctx, b)
	case carry.TypeBlob:
		return u.blob(ctx, b)
	case carry.TypeLacks:
		l, err := carry.Decode[carry.Lacks](b)
		if err == nil {
			u.lacks, u.report.Lacks = l.Blobs, len(l.Blobs)
		}
		return err
	case carry.TypeEnd:
		e, err := carry.Decode[carry.End](b)
		if err == nil {
			u.report.Kinds, u.report.Left, u.report.Short, u.report.Whole = e.Kinds, e.Left, e.Short, true
			u.report.Missing = e.Missing
		}
		return err
	}
	return fmt.Errorf("%w: it has a part of the unknown type %q; a newer version may have packed it", carry.ErrChanged, string(t))
}

func (u *unpacking) begins(b []byte) error {
	h, err := carry.Decode[carry.Header](b)
	switch {
	case err != nil:
		return err
	case u.header != nil:
		return fmt.Errorf("%w: it has two headers", carry.ErrChanged)
	case h.Protocol > wire.Version:
		return &httpd.CarryRefused{Reason: fmt.Sprintf("%s was packed by a newer version of ucp (protocol %d, this broker speaks %d): upgrade this broker", fileName(u.r.Preamble), h.Protocol, wire.Version)}
	}
	u.header = h
	return nil
}

func (u *unpacking) proof(b []byte) error {
	p, err := identity.DecodeProof(b)
	if err != nil || u.city == nil || len(u.proofs) >= carry.MaxNames {
		return fmt.Errorf("%w: %w", carry.ErrChanged, errors.Join(err, errors.New("what an authority has said of its packer can't be read")))
	}
	u.proofs = append(u.proofs, p)
	return nil
}

func (u *unpacking) signedHeads(b []byte) error {
	list, err := carry.Decode[[][]byte](b)
	if err == nil && u.heads != nil && !u.look {
		u.heads.See(u.r.Preamble.From.Broker(), u.r.Preamble.From, *list)
	}
	return err
}

// word reads what a broker says of itself. Where its signature is not right it does not count, and the rest does: who has packed the
// file can't make up what others say, and need not have tried to.
func (u *unpacking) word(b []byte) error {
	if u.size += len(b); u.size > maxWordBytes || len(u.words) >= carry.MaxNames {
		return fmt.Errorf("%w: it holds too many words", carry.ErrChanged)
	}
	w, err := u.open(b)
	if err != nil {
		u.log.Warn("what a broker is said to have said, in a file, was not believed", "packed by", u.report.From, "error", err)
		return nil
	}
	u.words, u.raw = append(u.words, w), append(u.raw, b)
	u.report.Words = append(u.report.Words, w.From)
	return nil
}

// records gives a page to the core.
func (u *unpacking) records(ctx context.Context, b []byte) error {
	d, err := wire.DecodePage(b)
	if err != nil {
		return fmt.Errorf("%w: %w", carry.ErrChanged, err)
	}
	u.report.Records += len(d.Records)
	if u.look {
		return nil
	}
	u.peers.metrics.Invalid(u.report.From, d.Bad())
	a, err := u.step(ctx, broker.Unpack{Delta: d})
	if err == nil {
		u.needs = append(u.needs, a.Blobs[:min(len(a.Blobs), mostBlobs-len(u.needs))]...)
	}
	return err
}

// clock takes in what all records come to: they have come.
func (u *unpacking) clock(ctx context.Context, b []byte) error {
	c, err := carry.Decode[carry.Clocks](b)
	if err != nil {
		return err
	}
	u.clocks, u.report.Same = c, c.Names
	if len(c.Digest) > 0 {
		u.report.Digest = new(api.Digest)
		if err := json.Unmarshal(c.Digest, u.report.Digest); err != nil {
			return fmt.Errorf("%w: the digest of its packer's ledger can't be read: %w", carry.ErrChanged, err)
		}
	}
	u.taken = true
	if u.look {
		return nil
	}
	a, err := u.step(ctx, broker.Unpack{Delta: new(wire.Delta), Last: true, Clock: c.Clock})
	if err == nil {
		u.report.Adopted, u.missed = a.Covered, !a.Covered && !a.Bad && !a.Adopted
	}
	return err
}

// step gives a part of the file to the core, with what all parts have in common.
func (u *unpacking) step(ctx context.Context, in broker.Unpack) (*broker.Unpacked, error) {
	if u.header == nil {
		return nil, fmt.Errorf("%w: it does not begin with its header", carry.ErrChanged)
	}
	in.From, in.Actor, in.Roll, in.Words = u.report.From, u.r.Preamble.From, u.header.Roll, u.words
	in.Since, in.Bad, in.Unread = u.header.Since, u.bad, u.unread
	if u.city != nil && !u.introduced { // its credential is in the file
		u.introduced = true
		if p := u.city.Introduce(u.report.From); p != nil {
			u.engine.Tell(broker.Vouch{Proofs: []*identity.Proof{p}})
		}
	}
	a, err := askCarry[*broker.Unpacked](ctx, u.engine, func(t broker.Token) broker.Input { in.Token = t; return in })
	if err != nil {
		return nil, err
	}
	u.bad, u.unread = a.Bad, a.Unread
	u.report.Changed += a.Changed
	u.report.News += a.Words
	return a, nil
}

// blob stores one, unless it is here, or there is no room for it.
func (u *unpacking) blob(ctx context.Context, b []byte) error {
	head, err := carry.Decode[carry.Blob](b)
	if err != nil {
		return err
	}
	if !job.ValidDigest(head.Digest) || head.Size > job.MaxBlob {
		return fmt.Errorf("%w: it holds a blob %.80q of %d bytes", carry.ErrChanged, head.Digest, head.Size)
	}
	u.report.Blobs++
	u.report.BlobBytes += head.Size
	content := &blobReader{r: u.r, left: head.Size}
	d := job.Digest(head.Digest)
	switch {
	case u.look || u.blobs.has(d):
	default:
		if err := u.store(ctx, d, content); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, content)
	return err
}

// store stores a blob; what is wrong with the file is an error.
func (u *unpacking) store(ctx context.Context, d job.Digest, content *blobReader) error {
	give, why := u.reserve.hold(content.left)
	if why == "" {
		defer give(content.left)
		why = u.reserve.why()
	}
	if why != "" {
		u.report.NoRoom++
		u.report.Advice = why
		return nil
	}
	err := u.blobs.store.Blobs().PutExpect(ctx, string(d), content, job.MaxBlob)
	switch {
	case content.failed != nil:
		return content.failed
	case errors.As(err, new(*store.MismatchError)):
		u.report.Damaged++
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT): // smaller ones may have room
		u.report.NoRoom++
		u.report.Advice = fmt.Sprintf("the disk has no room for all files: %v", err)
		return nil
	case err != nil:
		return err
	}
	u.report.New++
	u.peers.lacking.note(d, true)
	u.engine.Tell(broker.Kept{Digest: d, Here: true, New: true})
	return nil
}

// blobReader reads the content of one blob out of the frames behind its head.
type blobReader struct {
	r      *carry.Reader
	left   int64
	rest   []byte // of the present frame
	failed error  // why there is no more, but the end
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.left == 0 {
			return 0, io.EOF
		}
		t, data, err := b.r.Next()
		switch {
		case errors.Is(err, io.EOF):
			err = carry.ErrCut
		case err == nil && (t != carry.TypeData || len(data) == 0 || int64(len(data)) > b.left):
			err = fmt.Errorf("%w: a blob in it is shorter or longer than it says", carry.ErrChanged)
		}
		if err != nil {
			b.failed = err
			return 0, err
		}
		b.rest = data
		b.left -= int64(len(data))
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// end says what became of the file, which may have come to no end.
func (u *unpacking) end(ctx context.Context, err error) (api.Carried, error) {
	r := &u.report
	slices.Sort(r.Words)
	var refused *httpd.CarryRefused
	switch {
	case errors.As(err, &refused):
		return *r, err
	case errors.Is(err, carry.ErrCut), errors.Is(err, carry.ErrChanged):
		r.Whole, r.Trouble = false, err.Error()
		r.Cut, r.Tampered = errors.Is(err, carry.ErrCut), errors.Is(err, carry.ErrChanged)
		r.Advice = "what came before that was taken; copy the file again, or pack another one there"
	case err != nil:
		return *r, err
	}
	if u.look {
		if r.Trouble != "" {
			r.Advice = ""
		}
		return *r, nil
	}
	if len(u.proofs) > 0 && r.Whole {
		if _, err := u.engine.Ask(ctx, func(t broker.Token) broker.Input { return broker.Vouch{Token: t, Proofs: u.proofs} }); err != nil {
			return *r, err
		}
		return *r, nil
	}
	r.Lacking = u.ask()
	switch {
	case r.Trouble != "":
	case r.Short:
		r.Advice = fmt.Sprintf("not all records had room in the file: pack a larger one at %s (--limit)", r.From)
	case u.missed:
		r.Advice = fmt.Sprintf("the file goes on from what this broker was known to hold, and does not hold now: its records are taken, and %s is to pack another one for it with --whole", r.From)
	case r.Lacking > 0 && r.Advice == "":
		r.Advice = fmt.Sprintf("%d files that its records need have not come with it: the next file that is packed here asks for them", r.Lacking)
	}
	if err := u.keep(u.words, r.From, u.lacks, clock.At(r.At)); err != nil {
		u.log.Warn("what other brokers have said by hand can't be kept; after a restart the next file for them holds more than it must", "file", u.path, "error", err)
	}
	u.spread(u.raw)
	return *r, nil
}

// ask notes what this broker lacks of the blobs that the file was to bring, so that its own next file asks for them; it returns how many that
// are. What its packer did not have it need not be asked for.
func (u *unpacking) ask() (lacking int) {
	r := &u.report
	if r.Whole && r.Left == 0 && r.NoRoom == 0 && r.Damaged == 0 {
		return 0
	}
	for _, d := range u.needs {
		if lacking < carry.MaxLacks && !u.blobs.has(d) {
			lacking++
			u.peers.lacking.note(d, false)
		}
	}
	return lacking
}

// countedReader counts what is read.
type countedReader struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// newBody is a request's body.
func newBody(b []byte) io.Reader { return bytes.NewReader(b) }
