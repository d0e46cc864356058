package audit

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Copy is a copy of a broker's log, as [Log.Copy] wrote it.
type Copy struct {
	Header
	Checkpoint Checkpoint
	Entries    []Entry

	lines  [][]byte
	hashes []tlog.Hash // as tlog stores them
	claims []claim     // what it is a witness of, and its own checkpoint
	found  []Finding   // entries that pass for witnesses, and are none
}

// ErrChanged says that a copy is not what its broker has signed.
var ErrChanged = errors.New("it is not what its broker has signed")

// Read reads a copy, and verifies that it is what its broker has signed; it returns an [ErrChanged] with what is wrong if
// it is not.
func Read(r io.Reader) (*Copy, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEntry+1)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("audit: this is no copy of an audit log: it is empty"), lines.Err())
	}
	c := new(Copy)
	if err := json.Unmarshal(lines.Bytes(), &c.Header); err != nil || c.Format != copyFormat {
		return nil, errors.New("audit: this is no copy of an audit log that this version knows")
	}
	var err error
	if c.Checkpoint, err = OpenCheckpoint(c.Header.Checkpoint, c.Key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	c.claims = []claim{{c.Checkpoint, c.Key, c.Checkpoint.Name}}
	for n := int64(0); lines.Scan(); n++ {
		line := slices.Clone(lines.Bytes())
		e, err := decodeEntry(line)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrChanged, n, err)
		}
		hashes, err := tlog.StoredHashes(n, line, c.reader())
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		c.hashes, c.lines, c.Entries = append(c.hashes, hashes...), append(c.lines, line), append(c.Entries, e)
		if e.What == Witness {
			c.hear(n, e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: after entry %d: %w", ErrChanged, len(c.lines)-1, err)
	}
	if n := int64(len(c.lines)); n != c.Checkpoint.Size {
		return nil, fmt.Errorf("%w: it has %d entries, and %d are signed", ErrChanged, n, c.Checkpoint.Size)
	}
	root, err := c.rootAt(c.Checkpoint.Size)
	if err != nil {
		return nil, err
	}
	if root != c.Checkpoint.Root {
		return nil, fmt.Errorf("%w: one or more of its %d entries were changed", ErrChanged, len(c.lines))
	}
	return c, nil
}

// hear notes what an entry is a witness of.
func (c *Copy) hear(n int64, e Entry) {
	seen, err := OpenCheckpoint(e.Note, e.Key)
	if err != nil || seen.Name != e.Which {
		name := c.Checkpoint.Name
		c.found = append(c.found, Finding{Log: name, By: name, Why: fmt.Sprintf("its entry %d is no checkpoint of %s", n, e.Which)})
		return
	}
	c.claims = append(c.claims, claim{seen, e.Key, c.Checkpoint.Name})
}

func (c *Copy) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if index >= int64(len(c.hashes)) {
				return nil, fmt.Errorf("hash %d is not there", index)
			}
			out[i] = c.hashes[index]
		}
		return out, nil
	})
}

// rootAt is the root of the tree of the first n entries.
func (c *Copy) rootAt(n int64) (tlog.Hash, error) {
	h, err := tlog.TreeHash(n, c.reader())
	if err != nil {
		return h, fmt.Errorf("audit: %w", err)
	}
	return h, nil
}

// Finding is something that is wrong with copies of logs.
type Finding struct {
	Log string `json:"log"` // the broker whose log it is about
	By  string `json:"by"`  // the broker whose log is the witness
	Why string `json:"why"`
	Old bool   `json:"old"` // the copy may just be an older one than what the witness saw
}

// Compare looks for what is wrong with copies that are each as their brokers have signed them: whether each log holds what
// the others are witnesses of. What no other broker is a witness of can't be told. Several copies of one log may be
// among them.
func Compare(copies []*Copy) (found []Finding) {
	var claims []claim
	for _, c := range copies {
		claims, found = append(claims, c.claims...), append(found, c.found...)
	}
	for _, a := range claims {
		for _, c := range copies {
			if why, old := c.contradicts(a); why != "" {
				found = append(found, Finding{Log: a.of.Name, By: a.by, Why: why, Old: old})
			}
		}
	}
	found = append(found, forks(claims)...)
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Log, b.Log), cmp.Compare(a.By, b.By), cmp.Compare(a.Why, b.Why))
	})
	return slices.Compact(found)
}

// claim is a checkpoint that somebody is a witness of.
type claim struct {
	of  Checkpoint
	key string
	by  string
}

// contradicts says why a copy can't be of the log that a checkpoint is of, "" if it can, and whether it may just be too old.
func (c *Copy) contradicts(a claim) (why string, old bool) {
	switch {
	case a.of.Name != c.Checkpoint.Name:
		return "", false
	case a.key != c.Key:
		return "there are two keys of its log: its disk was lost or replaced, or somebody else speaks in its name", false
	case a.of.Size > c.Checkpoint.Size:
		return fmt.Sprintf("the copy has %d entries, and it had %d; it is an old copy, or entries were left out", c.Checkpoint.Size, a.of.Size), true
	}
	if root, err := c.rootAt(a.of.Size); err != nil || root != a.of.Root {
		return fmt.Sprintf("its first %d entries are not those that it had", a.of.Size), false
	}
	return "", false
}

// GoesOnFrom reports whether the log holds all that an earlier copy of it holds.
func (c *Copy) GoesOnFrom(before *Copy) bool {
	why, _ := c.contradicts(before.claims[0])
	return why == "" && c.Checkpoint.Name == before.Checkpoint.Name
}

// Witnessed is how many entries of a log, from the first on, others of the copies are witnesses of: up to there no change
// goes unnoticed, whoever has the log's key.
func Witnessed(copies []*Copy, name, key string) (size int64) {
	for _, c := range copies {
		for _, a := range c.claims {
			if c.Checkpoint.Name != name && a.of.Name == name && a.key == key {
				size = max(size, a.of.Size)
			}
		}
	}
	return size
}

// forks finds two signed versions of the same part of a log.
func forks(claims []claim) (found []Finding) {
	type part struct {
		name, key string
		size      int64
	}
	first := map[part]claim{}
	for _, a := range claims {
		p := part{a.of.Name, a.key, a.of.Size}
		b, ok := first[p]
		if !ok {
			first[p] = a
		} else if a.of.Root != b.of.Root {
			found = append(found, Finding{Log: a.of.Name, By: a.by, Why: fmt.Sprintf("it has shown %s other first %d entries than %s", a.by, a.of.Size, b.by)})
		}
	}
	return found
}
