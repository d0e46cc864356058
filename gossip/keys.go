package gossip

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// keys keeps the file of a keyring as the keyring is. "serf keys" and [Pool.SetKeys] change that; the file is written before
// anything more leaves this node, so also before the answer that says so.
type keys struct {
	ring *memberlist.Keyring
	path string
	log  *slog.Logger

	mu      sync.Mutex
	written [][]byte  // what the file holds: a list that the ring has given, which has another one after each change
	failed  time.Time // when it could not be written
}

// keep writes the keyring if it has changed. What can't be written is tried again a second later, and logged.
func (k *keys) keep() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.ring.GetKeys()
	if len(list) == len(k.written) && &list[0] == &k.written[0] || time.Since(k.failed) < time.Second {
		return
	}
	if err := writeKeyring(k.path, list); err != nil {
		k.failed = time.Now()
		k.log.Error("the keyring has changed and can't be written: after a restart this broker has the old keys", "file", k.path, "error", err)
		return
	}
	k.written, k.failed = list, time.Time{}
}

// writeKeyring replaces the file of a keyring as a whole, so that a power cut leaves the old one or the new one. Where its
// directory can't be written it is overwritten.
func writeKeyring(path string, list [][]byte) error {
	text, err := json.MarshalIndent(encodeKeys(list), "", "  ")
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	text = append(text, '\n')
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	defer dir.Close()
	tmp, err := os.CreateTemp(dir.Name(), filepath.Base(path)+".*") // mode 0600
	if errors.Is(err, os.ErrPermission) {
		return os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	defer os.Remove(tmp.Name()) // it is gone by then, or was of no use
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	return dir.Sync()
}

func encodeKeys(list [][]byte) (out []string) {
	for _, key := range list {
		out = append(out, base64.StdEncoding.EncodeToString(key))
	}
	return out
}

// Keys lists the keys of the keyring as its file has them, the one to send with first; nil where gossip is not encrypted.
func (p *Pool) Keys() []string {
	if p.keys == nil {
		return nil
	}
	return encodeKeys(p.keys.ring.GetKeys())
}

// SetKeys replaces the keyring; the first key is the one to send with. It reports whether that has changed anything. Keys that
// are none change nothing. Only a node that has a keyring can be given another one.
func (p *Pool) SetKeys(list []string) (changed bool, err error) {
	if p.keys == nil {
		return false, errors.New("gossip: there is no keyring to replace")
	}
	if slices.Equal(list, p.Keys()) {
		return false, nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return false, fmt.Errorf("gossip: %w", err)
	}
	if len(text) > maxKeyring {
		return false, fmt.Errorf("gossip: a keyring of %d bytes, at most %d are allowed", len(text), maxKeyring)
	}
	next, err := parseKeyring(text)
	if err != nil {
		return false, err
	}
	ring, wanted := p.keys.ring, next.GetKeys()
	for _, key := range wanted {
		err = errors.Join(err, ring.AddKey(key))
	}
	err = errors.Join(err, ring.UseKey(wanted[0]))
	for _, key := range slices.Clone(ring.GetKeys()) {
		if !slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.Equal(w, key) }) {
			err = errors.Join(err, ring.RemoveKey(key))
		}
	}
	p.keys.keep()
	return true, err
}
