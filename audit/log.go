package audit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Disk is where a log lies.
type Disk interface {
	// Get reads a value.
	Get(key []byte) (value []byte, found bool, err error)
	// Set writes all of these, or none; they are synced when it returns.
	Set(writes []Write) error
	// Walk shows what begins with a prefix and comes after a key, in the order of the keys, while fn asks for more. Key and
	// value are valid during the call only.
	Walk(prefix, after []byte, fn func(key, value []byte) (more bool)) error
}

// Write is a value to be written.
type Write struct{ Key, Value []byte }

// The keys on disk; all begin with "a", and nothing else of a broker's does.
const (
	entryPrefix   = "ae" // and eight bytes, big-endian: the entry of that index
	hashPrefix    = "ah" // and eight bytes: the hash of that index, by tlog.StoredHashIndex
	witnessPrefix = "aw" // and a name: what was last written down of that broker's log
	seedKey       = "as" // the secret that the key is made of
	sizeKey       = "an" // how many entries, and orders, there are: two numbers of eight bytes
)

func indexed(prefix string, i int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), uint64(i)) //nolint:gosec // an index is not negative
}

// Log is a broker's own audit log. Make it with [Open]. All methods may be called by several goroutines at once.
type Log struct {
	disk   Disk
	name   string
	key    string
	signer note.Signer

	mu        sync.Mutex
	at        Checkpoint
	signed    string
	witnesses map[string]witness // by the broker's name
}

// Open reads the log of a broker of that name, and begins one where there is none. A broker whose name has changed begins
// another key, and goes on with its log.
func Open(disk Disk, name string, random io.Reader) (*Log, error) {
	l := &Log{disk: disk, name: name, at: Checkpoint{Name: name}, witnesses: map[string]witness{}}
	seed, found, err := disk.Get([]byte(seedKey))
	if err == nil && !found {
		if seed, err = newSeed(random); err == nil {
			err = disk.Set([]Write{{[]byte(seedKey), seed}})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit: the log's key: %w", err)
	}
	if len(seed) != seedSize {
		return nil, fmt.Errorf("audit: the log's key is damaged: it has %d bytes, not %d", len(seed), seedSize)
	}
	if l.signer, l.key, err = signer(name, seed); err != nil {
		return nil, err
	}
	size, found, err := disk.Get([]byte(sizeKey))
	if err != nil {
		return nil, fmt.Errorf("audit: the log's size: %w", err)
	}
	if found {
		if len(size) != 16 {
			return nil, fmt.Errorf("audit: the log's size is damaged: it has %d bytes", len(size))
		}
		l.at.Size, l.at.Orders = int64(binary.BigEndian.Uint64(size)), int64(binary.BigEndian.Uint64(size[8:])) //nolint:gosec // as they were written
	}
	if l.at.Root, err = tlog.TreeHash(l.at.Size, l.hashes(nil)); err != nil {
		return nil, fmt.Errorf("audit: the log's hashes: %w", err)
	}
	if err := l.recall(); err != nil {
		return nil, err
	}
	l.signed, err = sign(l.signer, l.at)
	return l, err
}

func sign(s note.Signer, c Checkpoint) (string, error) {
	b, err := note.Sign(&note.Note{Text: c.text()}, s)
	if err != nil {
		return "", fmt.Errorf("audit: signing: %w", err)
	}
	return string(b), nil
}

// Key is the public key with which the log's checkpoints are signed, as package note writes it: NAME+HASH+KEY.
func (l *Log) Key() string { return l.key }

// Checkpoint is the log's present checkpoint, signed.
func (l *Log) Checkpoint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signed
}

// hashes reads the tree's hashes, those of pending from there.
func (l *Log) hashes(pending map[int64]tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if h, ok := pending[index]; ok {
				out[i] = h
				continue
			}
			b, found, err := l.disk.Get(indexed(hashPrefix, index))
			if err != nil {
				return nil, err
			}
			if !found || len(b) != tlog.HashSize {
				return nil, fmt.Errorf("hash %d is not there", index)
			}
			out[i] = tlog.Hash(b)
		}
		return out, nil
	})
}

// Append adds entries. They are on disk, and the checkpoint covers them, when it returns.
func (l *Log) Append(entries ...Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(entries)
}

// append adds entries, and writes what else is given with them.
func (l *Log) append(entries []Entry, also ...Write) error {
	at, pending, writes := l.at, map[int64]tlog.Hash{}, also
	for i := range entries {
		line, err := entries[i].encode()
		if err != nil {
			return err
		}
		hashes, err := tlog.StoredHashes(at.Size, line, l.hashes(pending))
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		for j, h := range hashes {
			index := tlog.StoredHashIndex(0, at.Size) + int64(j)
			pending[index] = h
			writes = append(writes, Write{indexed(hashPrefix, index), h[:]})
		}
		writes = append(writes, Write{indexed(entryPrefix, at.Size), line})
		at.Size++
		if entries[i].What != Witness {
			at.Orders++
		}
	}
	root, err := tlog.TreeHash(at.Size, l.hashes(pending))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	at.Root = root
	signed, err := sign(l.signer, at)
	if err != nil {
		return err
	}
	sizes := binary.BigEndian.AppendUint64(nil, uint64(at.Size))    //nolint:gosec // it counts
	sizes = binary.BigEndian.AppendUint64(sizes, uint64(at.Orders)) //nolint:gosec // it counts
	if err := l.disk.Set(append(writes, Write{[]byte(sizeKey), sizes})); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	l.at, l.signed = at, signed
	return nil
}

// Header begins a copy of a log.
type Header struct {
	Format     string `json:"format"` // copyFormat
	Key        string `json:"key"`
	Checkpoint string `json:"checkpoint"` // signed
}

const copyFormat = "ucp-audit-1"

// Copy writes a copy of the log as it is now: lines of JSON, first a [Header], then the entries.
func (l *Log) Copy(w io.Writer) error {
	l.mu.Lock()
	h, size := Header{copyFormat, l.key, l.signed}, l.at.Size
	l.mu.Unlock()
	if err := json.NewEncoder(w).Encode(h); err != nil {
		return err
	}
	var failed error
	written := int64(0)
	err := l.disk.Walk([]byte(entryPrefix), nil, func(_, line []byte) bool {
		if written == size {
			return false
		}
		written++
		_, failed = w.Write(append(line[:len(line):len(line)], '\n'))
		return failed == nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("audit: %w", err)
	case failed != nil:
		return failed
	case written < size:
		return fmt.Errorf("audit: %d of %d entries are on the disk", written, size)
	}
	return nil
}
