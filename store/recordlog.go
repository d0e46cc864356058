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

// Pebble's log and manifest are both sequences of records in checked chunks. When it
// opens a database, Pebble takes a chunk that does not check for the end that a power
// cut has torn off, unless a later block of 32 KiB proves otherwise. Inside the last
// block, and anywhere in a manifest, one flipped bit would then silently cost all
// commits behind it, also synced ones. So Open looks first: a bad chunk is damage, and
// no torn end, when something stands behind it that was written only after the bad
// one was synced.
//
// The last record of a manifest has nothing behind it, but leaves traces: see lost.
//
// What no look can tell from a torn end is damage in what the last few fsyncs wrote to a
// log that was not closed (two when they come one by one, up to four behind large commits), and in the manifest's record of the first flush
// since a start while that is its last. A broker then stands where it would with a disk
// restored from an older copy; rules I1 and L9 are made for that.
//
// The format is that of pebble's package record, which keeps it to itself.
const (
	logBlock     = 32 << 10
	chunkHeader  = 7  // checksum 4, length 2, type 1: a manifest's
	plainHeader  = 11 // and 4 of the log's number
	syncedHeader = 19 // and 8: how much of the log was synced when this was written
	chunkWhole   = 1
	chunkFirst   = 2
	chunkLast    = 4
	plainWhole   = 5 // also what ends a log that was closed
	plainLast    = 8
	syncedWhole  = 9
	syncedLast   = 12
	checksumAt   = 6 // what the checksum covers begins with the type
	tagOrder     = 1 // in a manifest's record
	tagOldestLog = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkRecordLogs refuses a database whose manifest or newest log is damaged in
// the middle. Older logs that are still needed Pebble itself reads strictly.
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
	if what := m.lost(manifest, names); what != "" {
		return fmt.Errorf("%w in %s: %s", ErrCorrupt, name, what)
	}
	return nil
}

// lost says by which trace the last record of a manifest is missed. A log that was
// written into a table is removed, when the manifest says so; if that names it still as
// needed, what it said last is lost. Numbers below the manifest's own do not count: there,
// at a start, Pebble gives numbers to logs that it never makes. And a manifest that
// follows another begins with two records, before it is in use.
func (l *recordLog) lost(manifest string, names []string) string {
	own, err := strconv.ParseUint(strings.TrimPrefix(manifest, "MANIFEST-"), 10, 64)
	needed := fmt.Sprintf("%06d.log", l.oldest)
	switch {
	case err != nil || l.oldest == 0:
		return ""
	case l.records == 1:
		return "its second record is lost"
	case l.oldest > own && !slices.Contains(names, needed):
		return needed + ", which it names as needed, is gone: its last record is lost"
	}
	return ""
}

func checkRecordLog(fsys vfs.FS, name string, l *recordLog) error {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Pebble says what is missing
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	l.data, err = io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if at, proof, damaged := l.damage(); damaged {
		return fmt.Errorf("%w in %s: what stands at byte %d was synced, as byte %d shows, and does not check", ErrCorrupt, name, at, proof)
	}
	return nil
}

// recordLog is a log, or a manifest, as it lies on the disk.
type recordLog struct {
	data   []byte
	number uint32 // of a log
	synced bool   // a log, whose chunks tell what was synced before them

	records int    // of a manifest, that check
	oldest  uint64 // log that they name as still needed; 0 for none
}

// damage finds the first chunk that does not check although something behind it
// proves that it was synced.
func (l *recordLog) damage() (at, proof int, damaged bool) {
	for at < len(l.data) {
		end, ok := l.chunk(at)
		if !ok {
			break
		}
		if !l.synced {
			l.note(at, end)
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

// note reads the log number of the manifest's record that begins at a chunk. Only the
// name of the order of keys stands before it.
func (l *recordLog) note(at, end int) {
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

// header returns the size of the header of a chunk of this type, 0 if there can be none.
// A log that Pebble began before it knew the database's format has plain ones, which
// prove nothing; see checkFormat.
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

// chunk returns the end of the chunk at a place, if that is whole; zeros at the end of a
// block, where no chunk fits, count as one.
func (l *recordLog) chunk(at int) (end int, ok bool) {
	block := min(len(l.data), (at/logBlock+1)*logBlock)
	h := l.data[at:block]
	if len(h) < syncedHeader && block%logBlock == 0 && len(bytes.Trim(h, "\x00")) == 0 {
		return block, true
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

// checksum is the one of LevelDB.
func checksum(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// proves reports whether a chunk at p says that the one at bad was synced. A chunk of a
// log carries the mark of the last fsync before it was written: how many bytes that
// covered, or fewer, since Pebble 2.1.7 does not count blocks that were full. So a third
// mark behind the bad chunk is proof too: the first was written behind it, the fsync of
// the second ended after that, and the fsync of the third began after the second.
func (l *recordLog) proves(p, bad int, marks map[uint64]bool) bool {
	h := l.data[p:]
	if l.synced && l.isEnd(h) {
		return true // written by Close, when every commit had returned
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
	// A record of a manifest is written when the one before is synced.
	return h[checksumAt] == chunkWhole || h[checksumAt] == chunkFirst
}

// isEnd recognises the end of a log that was closed: the last bytes of the file, with
// the number of the next one.
func (l *recordLog) isEnd(h []byte) bool {
	return len(h) == plainHeader && binary.LittleEndian.Uint32(h) == 0 && binary.LittleEndian.Uint16(h[4:]) == 0 &&
		h[checksumAt] == plainWhole && binary.LittleEndian.Uint32(h[7:]) == l.number+1
}
