package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is how far a log has come.
type Checkpoint struct {
	Name   string    // of the broker
	Size   int64     // entries
	Root   tlog.Hash // of the tree of them
	Orders int64     // of the entries, those that are no witnesses: a log that only took note of others has nothing to be witnessed
}

// origin is the first line of what is signed, before the broker's name: no other kind of note begins so.
const origin = "ucp audit log of "

// maxNote bounds a signed checkpoint, in bytes.
const maxNote = 1 << 10

// text is what is signed.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s%s\n%d\n%s\norders %d\n", origin, c.Name, c.Size, c.Root, c.Orders)
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[4] != "" {
		return c, errors.New("a checkpoint has four lines")
	}
	var named, counted bool
	c.Name, named = strings.CutPrefix(lines[0], origin)
	orders, counted := strings.CutPrefix(lines[3], "orders ")
	if !named || !counted {
		return c, errors.New("this is no checkpoint of an audit log")
	}
	var errs [3]error
	c.Size, errs[0] = strconv.ParseInt(lines[1], 10, 64)
	c.Root, errs[1] = tlog.ParseHash(lines[2])
	c.Orders, errs[2] = strconv.ParseInt(orders, 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return c, err
	}
	if c.Size < 0 || c.Orders < 0 || c.Orders > c.Size || c.text() != text {
		return c, errors.New("the checkpoint is not written as it should be")
	}
	return c, nil
}

// OpenCheckpoint reads a signed checkpoint, and verifies that it is signed with a key: as [Log.Key] writes it. The key's
// name must be that of the log.
func OpenCheckpoint(signed, key string) (c Checkpoint, err error) {
	if len(signed) > maxNote {
		return c, fmt.Errorf("audit: a checkpoint of %d bytes, at most %d are allowed", len(signed), maxNote)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return c, fmt.Errorf("audit: the key %.100q: %w", key, err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return c, fmt.Errorf("audit: the checkpoint's signature: %w", err)
	}
	c, err = parseCheckpoint(n.Text)
	if err == nil && c.Name != v.Name() {
		err = fmt.Errorf("%q has signed for the log of %q", v.Name(), c.Name)
	}
	if err != nil {
		return c, fmt.Errorf("audit: %w", err)
	}
	return c, nil
}

// seedSize is the size in bytes of the secret that a log's key is made of.
const seedSize = ed25519.SeedSize

func newSeed(random io.Reader) ([]byte, error) {
	seed := make([]byte, seedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("audit: randomness for a key: %w", err)
	}
	return seed, nil
}

// signer makes the key of a broker's log from its secret, in the two forms of package note.
func signer(name string, seed []byte) (s note.Signer, key string, err error) {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if key, err = note.NewEd25519VerifierKey(name, public); err != nil {
		return nil, "", fmt.Errorf("audit: %w", err)
	}
	hash, _, _ := strings.Cut(strings.TrimPrefix(key, name+"+"), "+")
	const ed25519Note = 1 // how package note marks the kind of a key
	private := append([]byte{ed25519Note}, seed...)
	s, err = note.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(private))
	if err != nil {
		return nil, "", fmt.Errorf("audit: %w", err)
	}
	return s, key, nil
}
