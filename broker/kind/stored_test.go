package kind

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// pairs is a store as its keys and values, in the order of the keys.
type pairs [][2][]byte

func oldStore(t *testing.T) (out pairs) {
	text, err := os.ReadFile("testdata/store.hex")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var pair [2][]byte
		for i, word := range strings.Fields(line) {
			pair[i], err = hex.DecodeString(word)
			require.NoError(t, err)
		}
		out = append(out, pair)
	}
	return out
}

// scan overwrites what it has shown, as a store may.
func (p pairs) scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, pair := range p {
		if !bytes.HasPrefix(pair[0], prefix) {
			continue
		}
		key, value := bytes.Clone(pair[0]), bytes.Clone(pair[1])
		err := fn(key, value)
		for _, b := range [][]byte{key, value} {
			for i := range b {
				b[i] = 0xff
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p pairs) Get(key []byte) (value []byte, found bool, err error) {
	for _, pair := range p {
		if bytes.Equal(pair[0], key) {
			return pair[1], true, nil
		}
	}
	return nil, false, nil
}

func (p pairs) Walk(prefix, after []byte, fn func(key, value []byte) bool) error {
	for _, pair := range p {
		if bytes.HasPrefix(pair[0], prefix) && bytes.Compare(pair[0], after) > 0 && !fn(pair[0], pair[1]) {
			break
		}
	}
	return nil
}

// A data directory of an older version opens: every record is read, and is written as it was.
func TestOldStoreIsRead(t *testing.T) {
	store := oldStore(t)
	var found []string
	var decoded []ledger.Record
	require.NoError(t, ledger.Records(store.scan, Schemas, func(s ledger.Stored) error {
		require.NoError(t, s.Err)
		require.Equal(t, s.Ref.Key, s.Record.Key())
		id, _, _ := strings.Cut(s.Ref.Key, "~")
		found = append(found, fmt.Sprintf("%s %s finished %v, created %v, %d blobs", s.Kind, id, s.Record.Finished(),
			slices.Collect(s.Record.Creations()), len(slices.Collect(s.Record.Blobs()))))
		decoded = append(decoded, s.Record)
		return nil
	}))
	seen, err := ledger.StoredClock(store.scan)
	require.NoError(t, err)
	bad, err := ledger.StoredQuarantine(store.scan)
	require.NoError(t, err)
	require.Equal(t, 1, bad)
	require.Equal(t, []string{
		"emergency flood-1 finished false, created [b0~00000001:4], 0 blobs",
		"emergency smoke-1 finished true, created [b1~00000001:2], 0 blobs",
		"job done-1 finished true, created [b0~00000001:1], 2 blobs",
		"job waits-1 finished false, created [b1~00000001:1], 1 blobs",
		"setting strategy finished false, created [b0~00000001:5], 0 blobs",
	}, found)
	require.Equal(t, "{b0~00000001:7 b1~00000001:3 n~1:3}", seen.String())
	for i, pair := range store[len(store)-len(decoded):] {
		require.Equal(t, pair[1], decoded[i].Encode(), "%q", pair[0])
	}
}

func TestOldStoreLoads(t *testing.T) {
	store := oldStore(t)
	l := ledger.New("b0~2", store, Schemas[Job], Schemas[Setting], Schemas[Emergency])
	visited := 0
	require.NoError(t, l.Load(store.scan, func(ledger.Ref, ledger.Record) { visited++ }))
	require.Equal(t, 5, visited)
	require.Equal(t, 5, l.Len())
	require.Equal(t, 1, l.Quarantined())
	require.Equal(t, "{b0~00000001:7 b1~00000001:3 n~1:3}", l.Seen().String())
	require.False(t, l.Has(clock.Dot{Actor: "n~1", Counter: 3}), "the clock stays below what could not be read (rule L10)")
	require.True(t, l.Take().Empty(), "there is nothing to convert")

	d, ok, err := l.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, d.Entries, 5)
	for _, e := range d.Entries {
		value, found, err := store.Get(ledger.RecordKey(e.Ref))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, value, e.Encoded)
	}
}

// Only package ledger knows how keys are made: everybody else asks it, and so reads every kind.
func TestNobodyElseSpellsKeys(t *testing.T) {
	var spelled []string
	for k := range Schemas {
		spelled = append(spelled, `"r`+string(k)+`\x00`, `"q`+string(k)+`\x00`)
	}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == filepath.Join(root, "ledger") || d.Name() == "testdata" || path != root && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		for _, key := range spelled {
			require.NotContains(t, string(text), key, "%s: ledger.RecordKey, RefOf or Records would do", path)
		}
		return err
	}))
}
