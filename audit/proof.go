package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof proves that an entry is in a log that its broker has signed, without the other entries. It takes about 300 bytes,
// and 43 for each doubling of the log.
type Proof struct {
	Entry      json.RawMessage `json:"entry"`
	Index      int64           `json:"index"`
	Path       []byte          `json:"path"` // the hashes beside the way to the root, 32 bytes each, from the bottom
	Checkpoint string          `json:"checkpoint"`
}

// Prove proves that the entry of an index is in the log.
func (c *Copy) Prove(index int64) (*Proof, error) {
	if index < 0 || index >= c.Checkpoint.Size {
		return nil, fmt.Errorf("audit: the log of %s has no entry %d: it has %d, from 0 on", c.Checkpoint.Name, index, c.Checkpoint.Size)
	}
	path, err := tlog.ProveRecord(c.Checkpoint.Size, index, c.reader())
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	p := &Proof{Entry: c.lines[index], Index: index, Path: []byte{}, Checkpoint: c.Header.Checkpoint}
	for _, h := range path {
		p.Path = append(p.Path, h[:]...)
	}
	return p, nil
}

// Check verifies the proof with the key of the log, and returns the entry and the log's checkpoint.
func (p *Proof) Check(key string) (e Entry, c Checkpoint, err error) {
	if c, err = OpenCheckpoint(p.Checkpoint, key); err != nil {
		return e, c, err
	}
	if len(p.Path)%tlog.HashSize != 0 || len(p.Path) > 64*tlog.HashSize {
		return e, c, errors.New("audit: the proof is damaged")
	}
	path := tlog.RecordProof{}
	for b := p.Path; len(b) > 0; b = b[tlog.HashSize:] {
		path = append(path, tlog.Hash(b))
	}
	if p.Index < 0 || p.Index >= c.Size {
		return e, c, errors.New("audit: the proof is of an entry that the log does not have")
	}
	var line bytes.Buffer // as the log has it, however the proof was laid out meanwhile
	if err := json.Compact(&line, p.Entry); err != nil {
		return e, c, fmt.Errorf("audit: the proof's entry: %w", err)
	}
	if err := tlog.CheckRecord(path, c.Size, c.Root, p.Index, tlog.RecordHash(line.Bytes())); err != nil {
		return e, c, fmt.Errorf("audit: the entry is not in the log: %w", err)
	}
	e, err = decodeEntry(line.Bytes())
	return e, c, err
}
