package story

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// Disk is a store in memory: what is synced of a broker, and so what a crash leaves behind.
type Disk map[string][]byte

// Get implements ledger.Archive. The caller must not change the value.
func (d Disk) Get(key []byte) (value []byte, found bool, err error) {
	value, found = d[string(key)]
	return value, found, nil
}

// Scan is a ledger.Scan, in the order of the keys, so that runs are repeatable.
func (d Disk) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if strings.HasPrefix(k, string(prefix)) {
			if err := fn([]byte(k), d[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Walk implements ledger.Archive.
func (d Disk) Walk(prefix, after []byte, fn func(key, value []byte) bool) error {
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if strings.HasPrefix(k, string(prefix)) && k > string(after) && !fn([]byte(k), d[k]) {
			break
		}
	}
	return nil
}

// Write carries out a ledger.Op: it copies value to key, or deletes key when value is nil.
func (d Disk) Write(key, value []byte) {
	if value == nil {
		delete(d, string(key))
		return
	}
	d[string(key)] = bytes.Clone(value)
}
