package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/node/httpd"
)

// carrier packs and unpacks files that are carried by hand (rules B1 to B3, docs/carry.md). What others have said of themselves in such
// files it keeps, so that the next file for them holds what they lack and no more, after a restart too.
type carrier struct {
	name    string
	engine  *engine
	blobs   *blobs
	peers   *peers
	city    *city.Self // nil where the broker belongs to none
	heads   *heads     // nil likewise
	reserve *diskReserve
	actor   func() clock.Actor
	now     func() time.Time
	random  io.Reader
	digest  func() (*api.Digest, error)
	log     *slog.Logger
	path    string // of the file with what is kept
	outbox  string // directories; "" for none
	inbox   string

	packing, unpacking sync.Mutex // held while a file is made, or read: one at a time of each

	mu   sync.Mutex
	held map[string]heldBy
}

// heldBy is what a broker was last known to hold, and lacked.
type heldBy struct {
	Word  []byte   `codec:"word"` // its own, encoded
	Lacks []string `codec:"lacks,omitempty"`
	word  *wire.Word

	// Of the word that came with what it lacks. The time at which its machine took it to be may be set back; this is not.
	Actor  clock.Actor  `codec:"lacks_actor,omitempty"`
	Hybrid clock.Hybrid `codec:"lacks_hybrid,omitempty"`
}

// lacksNow reports whether what a broker lacks, which came with this word of it, is not older than what was told before.
func (h *heldBy) lacksNow(w *wire.Word) bool {
	return !w.Actor.Before(h.Actor) && (w.Actor != h.Actor || w.Hybrid >= h.Hybrid)
}

// heldName is what is kept, in the data directory.
const heldName = "carried"

// maxHeld bounds that file, in bytes.
const maxHeld = 64 << 20

// recall reads what was kept. What can't be read costs a larger file the next time, and nothing else.
func (c *carrier) recall() {
	c.held = map[string]heldBy{}
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var b []byte
	if err == nil && info.Size() <= maxHeld {
		b, err = os.ReadFile(c.path)
	}
	kept := map[string]heldBy{}
	if err == nil {
		err = canon.Decode(b, &kept)
	}
	for name, h := range kept {
		if h.word, err = wire.DecodeWord(h.Word); err == nil && h.word.From == name {
			c.held[name] = h
		}
	}
	if err != nil {
		c.log.Warn("what other brokers have said by hand can't be read; the next file for them holds more than it must", "file", c.path, "error", err)
	}
}

// keep notes what brokers have said, and what the packer of a file lacks.
func (c *carrier) keep(words []*wire.Word, packer string, lacks []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	for _, w := range words {
		h := c.held[w.From]
		if w.From == packer && h.lacksNow(w) {
			h.Lacks, h.Actor, h.Hybrid, changed = lacks, w.Actor, w.Hybrid, true
			if h.word != nil {
				c.held[w.From] = h
			}
		}
		if o := h.word; o != nil && (w.Actor.Before(o.Actor) || w.Actor == o.Actor && w.Told.Version <= o.Told.Version) {
			continue
		}
		h.Word, h.word = w.Encode(), w
		c.held[w.From], changed = h, true
	}
	if !changed {
		return nil
	}
	part := c.path + ".new"
	if err := os.WriteFile(part, canon.Encode(c.held), 0o600); err != nil {
		return err
	}
	return os.Rename(part, c.path)
}

// clocks are what brokers were last known to hold, by name, and wanted what those of these names lack.
func (c *carrier) clocks() map[string]clock.Tips {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]clock.Tips{}
	for name, h := range c.held {
		out[name] = h.word.Clock
	}
	return out
}

func (c *carrier) wanted(names []string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		out = append(out, c.held[name].Lacks...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// metadata is what these brokers have said of what they are.
func (c *carrier) metadata() (out []wire.Metadata) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.held {
		out = append(out, *h.word.Metadata)
	}
	return out
}

// askCarry asks the core about a file; a refusal is an error for people.
func askCarry[T broker.Answer](ctx context.Context, e *engine, in func(broker.Token) broker.Input) (out T, err error) {
	a, err := e.Ask(ctx, in)
	if err != nil {
		return out, err
	}
	switch a := a.(type) {
	case T:
		return a, nil
	case *broker.CarryRefused:
		return out, &httpd.CarryRefused{Reason: a.Reason}
	case *broker.Outdated:
		return out, &httpd.CarryRefused{Reason: a.Reason()}
	}
	return out, fmt.Errorf("unexpected answer %T", a)
}

// Word is this broker's own, signed in a city.
func (c *carrier) Word(ctx context.Context) ([]byte, error) {
	a, err := askCarry[*broker.Spoken](ctx, c.engine, func(t broker.Token) broker.Input { return broker.Speak{Token: t} })
	if err != nil {
		return nil, err
	}
	return c.signed(a.Word.Encode()), nil
}

func (c *carrier) signed(word []byte) []byte {
	if c.city == nil {
		return word
	}
	return c.city.SignWord(word)
}

// open reads a word, and looks at its signature.
func (c *carrier) open(b []byte) (*wire.Word, error) {
	if c.city != nil {
		var err error
		if b, err = c.city.OpenWord(b, func(word []byte) (string, error) {
			w, err := wire.DecodeWord(word)
			if err != nil {
				return "", err
			}
			return w.From, nil
		}); err != nil {
			return nil, err
		}
	}
	return wire.DecodeWord(b)
}

// Hear takes in words that another broker has got with a file.
func (c *carrier) Hear(ctx context.Context, list [][]byte) (unknown int, err error) {
	var words []*wire.Word
	for _, b := range list {
		w, err := c.open(b)
		if err != nil {
			return 0, err
		}
		words = append(words, w)
	}
	a, err := askCarry[*broker.WordsHeard](ctx, c.engine, func(t broker.Token) broker.Input { return broker.HearWords{Token: t, Words: words} })
	if err != nil {
		return 0, err
	}
	return a.Unknown, c.keep(words, "", nil)
}

// Bounds of the words of a file, and of asking for them.
const (
	wordsWithin  = 2 * time.Second
	wordsAtOnce  = 16
	maxWordBytes = 32 << 20
)

// others asks all brokers that are there for their word; silent are those that do not give it, as one of an earlier version.
func (c *carrier) others(ctx context.Context) (words [][]byte, silent []string) {
	ctx, cancel := context.WithTimeout(ctx, wordsWithin)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	room := make(chan struct{}, wordsAtOnce)
	size := 0
	for _, m := range c.peers.holders(nil) {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			b, err := c.wordOf(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && size+len(b) > maxWordBytes {
				err = errors.New("there are too many words")
			}
			if err != nil {
				c.log.Debug("a broker's word can't be had", "peer", m.Name, "error", err)
				silent = append(silent, m.Name)
				return
			}
			size += len(b)
			words = append(words, b)
		})
	}
	wg.Wait()
	slices.SortFunc(words, func(a, b []byte) int { return slices.Compare(a, b) })
	slices.Sort(silent)
	return words, silent
}

// wordOf asks a broker for its word.
func (c *carrier) wordOf(ctx context.Context, m membership.Member) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.peers.url(m.HTTPAddr, "/broker/word"), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.peers.do(req, m.Name, m.Actor)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, carry.MaxFrame+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(saidReason(b))
	case len(b) > carry.MaxFrame:
		return nil, errors.New("it is too long")
	}
	w, err := c.open(b)
	if err == nil && w.From != m.Name {
		err = fmt.Errorf("it gives the word of %.64s", w.From)
	}
	return b, err
}

// How often, and in what pauses, a broker is told words of others that do not take part yet, as far as it knows.
const (
	spreadTries = 5
	spreadPause = time.Second
)

// spread tells the brokers that are there what others have said in a file: each has to hear it before something is stable everywhere
// (rule F1). Who is told before it knows who these are is told again.
func (c *carrier) spread(words [][]byte) {
	if len(words) == 0 {
		return
	}
	body, err := json.Marshal(words)
	if err != nil || len(body) > httpd.MaxWords {
		c.log.Warn("what brokers say of themselves in a file is not passed on: it is too much", "bytes", len(body))
		return
	}
	for _, m := range c.peers.holders(nil) {
		c.peers.work.Go(func() {
			for range spreadTries {
				again, err := c.tell(m, body)
				if err != nil {
					c.log.Debug("a broker does not hear what was carried here", "peer", m.Name, "error", err)
				}
				if !again {
					return
				}
				select {
				case <-time.After(spreadPause):
				case <-c.peers.ctx.Done():
					return
				}
			}
		})
	}
}

// tell tells a broker; again says that it may take more later.
func (c *carrier) tell(m membership.Member, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(c.peers.ctx, c.peers.cfg.PeerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.peers.url(m.HTTPAddr, "/broker/word"), newBody(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.peers.do(req, m.Name, m.Actor)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	var heard api.WordsHeard
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode >= http.StatusInternalServerError, errors.Join(err, errors.New(saidReason(b)))
	}
	err = json.Unmarshal(b, &heard)
	return heard.Unknown > 0, err
}

// heldPath is where a broker keeps what was said by hand.
func heldPath(dir string) string { return filepath.Join(dir, heldName) }
