package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// Pebble's log and manifest are both sequences of records in chunks with checksums. When it opens a database,
// Pebble takes a chunk with a wrong checksum for an end that a power failure has torn off, unless a later
// block of 32 KiB proves otherwise. Inside the last block, and anywhere in a manifest, one flipped bit would
// then silently lose all commits after it, even synced ones. Therefore Open checks the files first: a bad
// chunk is damage, and not a torn end, if something after it was written only after the bad chunk had been
// synced.
//
// Nothing follows the last record of a manifest, but its loss leaves traces: see missingRecord.
//
// Two cases cannot be distinguished from a torn end: damage in what the last few fsyncs wrote to a log that
// was not sealed (two fsyncs if commits came one by one, up to four after large commits), and damage in the
// manifest's record of the first flush since a start while that is the last record. The broker is then in the
// same state as with a disk that was restored from an older copy, which rules I1 and L9 cover.
//
// The format is that of Pebble's internal package record.
const (
	logBlock     = 32 << 10
	chunkHeader  = 7  // checksum 4, length 2, type 1: a manifest's
	plainHeader  = 11 // 4 more: the log's number
	syncedHeader = 19 // 8 more: how many bytes of the log were synced when the chunk was written
	chunkWhole   = 1
	chunkFirst   = 2
	chunkLast    = 4
	plainWhole   = 5
	plainLast    = 8
	syncedWhole  = 9
	syncedLast   = 12
	checksumAt   = 6 // the checksum covers the chunk from here, that is from the type on
	tagOrder     = 1 // in a manifest's record: the name of the order of keys
	tagOldestLog = 2 // in a manifest's record: the oldest log that is still needed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkRecordLogs refuses a database whose manifest or newest log is damaged before its end. Pebble itself
// reads older logs that are still needed strictly.
func checkRecordLogs(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	newest, number := "", uint64(0)
	for _, name := range names {
		base, isLog := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseUint(base, 10, 64); isLog && err == nil && n >= number {
			newest, number = name, n
		}
	}
	if newest != "" {
		if err := checkRecordLog(fsys, fsys.PathJoin(dir, newest), &recordLog{number: uint32(number), synced: true}); err != nil {
			return err
		}
	}
	manifest, err := atomicfs.ReadMarker(fsys, dir, "manifest")
	if err != nil || manifest == "" || path.Base(manifest) != manifest {
		return nil // a new database, or one that Pebble refuses
	}
	name := fsys.PathJoin(dir, manifest)
	m := &recordLog{}
	if err := checkRecordLog(fsys, name, m); err != nil {
		return err
	}
	if what := m.missingRecord(manifest, names); what != "" {
		return fmt.Errorf("%w in %s: %s", errCorrupt, name, what)
	}
	return nil
}

// missingRecord says which trace shows that the last record of a manifest is missing, or returns "". A log
// whose contents are in a table is removed after the manifest has recorded that; if the manifest still names
// a removed log as needed, its last record is lost. Numbers below the manifest's own do not count, because at
// a start Pebble assigns numbers to logs that it never makes. A manifest that follows another one has two
// records before it is used.
func (l *recordLog) missingRecord(manifest string, names []string) string {
	own, err := strconv.ParseUint(strings.TrimPrefix(manifest, "MANIFEST-"), 10, 64)
	needed := fmt.Sprintf("%06d.log", l.oldest)
	switch {
	case err != nil || l.oldest == 0:
		return ""
	case l.records == 1:
		return "its second record is lost"
	case l.oldest > own && !slices.Contains(names, needed):
		return needed + ", which it names as needed, is missing: its last record is lost"
	}
	return ""
}

func checkRecordLog(fsys vfs.FS, name string, l *recordLog) error {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Pebble reports that it is missing
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	l.data, err = io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if at, proof, damaged := l.damage(); damaged {
		return fmt.Errorf("%w in %s: the checksum at byte %d is wrong, although that was synced, as byte %d shows", errCorrupt, name, at, proof)
	}
	return nil
}

// recordLog is the content of a log or a manifest.
type recordLog struct {
	data   []byte
	number uint32 // of a log
	synced bool   // it is a log, whose chunks say how much was synced before them

	records int    // of a manifest: the number of intact records
	oldest  uint64 // of a manifest: the oldest log that they name as needed; 0 is none
}

// damage finds the first bad chunk, at byte at, if the chunk at byte proof shows that it had been synced.
func (l *recordLog) damage() (at, proof int, damaged bool) {
	for at < len(l.data) {
		end, ok := l.chunk(at)
		if !ok {
			break
		}
		if !l.synced {
			l.noteOldestLog(at, end)
		}
		at = end
	}
	marks := map[uint64]bool{}
	for p := at + 1; p+chunkHeader <= len(l.data); p++ {
		if l.proves(p, at, marks) {
			return at, p, true
		}
	}
	return 0, 0, false
}

// noteOldestLog reads the oldest needed log from the manifest's record that begins with a chunk. Only the
// name of the order of keys precedes it in a record.
func (l *recordLog) noteOldestLog(at, end int) {
	if end-at < chunkHeader || l.data[at+checksumAt] != chunkWhole && l.data[at+checksumAt] != chunkFirst {
		return
	}
	l.records++
	payload := slices.Clone(l.data[at+chunkHeader : end])
	if next, ok := l.chunk(min(end, len(l.data)-1)); ok && l.data[at+checksumAt] == chunkFirst && next-end > chunkHeader {
		payload = append(payload, l.data[end+chunkHeader:next]...)
	}
	tag, n := binary.Uvarint(payload)
	if tag == tagOrder && n > 0 {
		size, m := binary.Uvarint(payload[n:])
		if m <= 0 || size > uint64(len(payload)-n-m) {
			return
		}
		payload = payload[n+m+int(size):]
		tag, n = binary.Uvarint(payload)
	}
	if tag == tagOldestLog && n > 0 {
		if oldest, m := binary.Uvarint(payload[n:]); m > 0 {
			l.oldest = oldest
		}
	}
}

// header returns the header size of a chunk of this type, or 0 if the type is invalid. A log that Pebble
// began before it knew the database's format has plain chunks, which prove nothing; see checkFormat.
func (l *recordLog) header(chunkType byte) int {
	switch {
	case l.synced && chunkType >= syncedWhole && chunkType <= syncedLast:
		return syncedHeader
	case l.synced && chunkType >= plainWhole && chunkType <= plainLast:
		return plainHeader
	case !l.synced && chunkType >= chunkWhole && chunkType <= chunkLast:
		return chunkHeader
	}
	return 0
}

// block returns the bytes from here to the end of their block, which no chunk crosses.
func (l *recordLog) block(at int) []byte {
	return l.data[at:min(len(l.data), (at/logBlock+1)*logBlock)]
}

// chunk returns the end of the chunk that begins at a byte, if it is intact. Zeros at the end of a block,
// where no chunk fits, count as one.
func (l *recordLog) chunk(at int) (end int, ok bool) {
	h := l.block(at)
	if len(h) < syncedHeader && (at+len(h))%logBlock == 0 && len(bytes.Trim(h, "\x00")) == 0 {
		return at + len(h), true
	}
	if len(h) < chunkHeader {
		return 0, false
	}
	size := l.header(h[checksumAt])
	if size == 0 || len(h) < size || l.synced && binary.LittleEndian.Uint32(h[7:]) != l.number {
		return 0, false
	}
	size += int(binary.LittleEndian.Uint16(h[4:]))
	if size > len(h) {
		return 0, false
	}
	return at + size, binary.LittleEndian.Uint32(h) == checksum(h[checksumAt:size])
}

// checksum returns LevelDB's masked CRC-32C.
func checksum(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// proves reports whether a chunk at p shows that the chunk at bad was synced. A chunk of a log carries the
// mark of the last fsync before it was written: how many bytes that had covered, or fewer, since Pebble 2.1.7
// does not count full blocks. Therefore a third mark after the bad chunk is proof, too: the first was written
// after the bad chunk, the fsync of the second ended after that, and the fsync of the third began after the
// second. The chunk with which Pebble ends a log proves nothing: Pebble writes it together with commits that it
// has yet to sync, and a power failure between the two may keep it and lose them. See [Store.seal].
func (l *recordLog) proves(p, bad int, marks map[uint64]bool) bool {
	h := l.block(p)
	if len(h) < chunkHeader {
		return false // zeros at the end of a block
	}
	size := l.header(h[checksumAt])
	if size == 0 || size == plainHeader {
		return false
	}
	if _, ok := l.chunk(p); !ok {
		return false
	}
	if l.synced {
		mark := binary.LittleEndian.Uint64(h[plainHeader:])
		marks[mark] = true
		return mark > uint64(bad) || len(marks) == 3
	}
	// A record of a manifest is written after the previous one was synced.
	return h[checksumAt] == chunkWhole || h[checksumAt] == chunkFirst
}
