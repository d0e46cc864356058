package store

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// diskImage is the content of the database's files.
type diskImage map[string][]byte

func imageOf(t *testing.T, mem *vfs.MemFS) diskImage {
	names, err := mem.List("/data/db")
	require.NoError(t, err)
	image := diskImage{}
	for _, name := range names {
		data, err := mem.UnsafeGetFileDataBuffer("/data/db/" + name)
		require.NoError(t, err)
		image[name] = slices.Clone(data)
	}
	return image
}

// flipped returns a disk with this image in which one file has other content.
func (m diskImage) flipped(t *testing.T, name string, data []byte) *vfs.MemFS {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("/data/db", 0o700))
	m = maps.Clone(m)
	m[name] = data
	for name, data := range m {
		f, err := mem.Create("/data/db/"+name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = f.Write(bytes.Clone(data)) // MemFS keeps what it is given
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	return mem
}

// file returns the newest file with this beginning and ending.
func (m diskImage) file(t *testing.T, begin, end string) string {
	var found []string
	for name := range m {
		if strings.HasPrefix(name, begin) && strings.HasSuffix(name, end) {
			found = append(found, name)
		}
	}
	require.NotEmpty(t, found)
	return slices.Max(found)
}

// damageStore commits n values, flushes after every flush-th, and returns the disk after a
// power cut and what was confirmed. Logs that are no longer needed are removed, as they are
// on a disk a little later.
func damageStore(t *testing.T, n, flush int, closed, again bool) (diskImage, map[string]string) {
	mem := vfs.NewCrashableMem()
	o := small(mem)
	o.MemTableSize = 1 << 20 // no flush but ours
	s := mustOpen(t, o)
	_, err := s.Identify("a", "", time.Unix(1_800_000_000, 0), rand.Reader)
	require.NoError(t, err)
	want := map[string]string{}
	for i := range n {
		want[text(i)] = strings.Repeat(text(i), 20)
		require.NoError(t, set(s, text(i), want[text(i)]))
		if i%flush == flush-1 {
			require.NoError(t, s.db.Flush())
		}
	}
	if again {
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
		require.NoError(t, set(s, text(n), "after the restart"))
		want[text(n)] = "after the restart"
	}
	after := crashed(mem, 0, 1)
	if closed {
		require.NoError(t, s.Close())
		after = crashed(mem, 0, 1)
	}
	image := imageOf(t, after)
	newest := image.file(t, "", ".log")
	maps.DeleteFunc(image, func(name string, _ []byte) bool { return strings.HasSuffix(name, ".log") && name != newest })
	return image, want
}

// reading is what became of a damaged disk: an error that says so, or data.
func reading(t *testing.T, mem *vfs.MemFS) (map[string]string, error) {
	s, err := Open(small(mem))
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Identify("", "a", time.Unix(1_800_000_000, 0), rand.Reader); err != nil {
		return nil, err
	}
	got := map[string]string{}
	err = s.Scan(nil, func(k, v []byte) error { got[string(k)] = string(v); return nil })
	return got, err
}

// TestFlippedBytes flips many bytes of each kind of file of the database, one at a
// time. The damage is refused as corrupt, with the file's name, or does no harm:
// no value is ever read that was not written, and no confirmed value is missing.
// Only damage in the last two commits of a log that was not closed may lose them, because it
// looks as if the power had been cut before. (Two, because Pebble answers a commit a
// moment before it records the fsync.) Pebble alone would silently drop everything after a
// flipped byte of the newest log or of the manifest.
func TestFlippedBytes(t *testing.T) {
	for _, c := range []struct {
		name, begin, end string
		n, flush         int
		closed, again    bool
		tail             bool
	}{
		{name: "log", end: ".log", n: 40, flush: 100, tail: true},
		{name: "log that was closed", end: ".log", n: 40, flush: 100, closed: true},
		{name: "log after tables", end: ".log", n: 50, flush: 20, tail: true},
		{name: "table", end: ".sst", n: 40, flush: 20},
		{name: "manifest", begin: "MANIFEST-", n: 50, flush: 20},
		{name: "manifest of a second start", begin: "MANIFEST-", n: 30, flush: 20, again: true},
		{name: "log of a second start", end: ".log", n: 30, flush: 20, again: true, tail: true},
		{name: "options", begin: "OPTIONS-", n: 20, flush: 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			image, want := damageStore(t, c.n, c.flush, c.closed, c.again)
			name := image.file(t, c.begin, c.end)
			last := slices.Sorted(maps.Keys(want))
			slices.Reverse(last)
			refused, harmless, torn := 0, 0, 0
			for at := 0; at < len(image[name]); at += 5 {
				data := bytes.Clone(image[name])
				data[at] ^= []byte{0x01, 0x55, 0x80, 0xff}[at%4]
				got, err := reading(t, image.flipped(t, name, data))
				switch {
				case err != nil:
					refused++
					if c.name != "options" { // there, Pebble names the invalid option instead
						require.ErrorIs(t, err, errCorrupt, "byte %d of %s", at, name)
						number := strings.TrimSuffix(strings.TrimPrefix(name, c.begin), c.end)
						require.ErrorContains(t, err, number, "byte %d: the error names the file", at)
					}
				case maps.Equal(got, want):
					harmless++
				default:
					require.True(t, c.tail, "byte %d of %s: synced data is missing or wrong", at, name)
					lost := maps.Clone(want)
					delete(lost, last[0])
					if len(got) < len(lost) {
						delete(lost, last[1])
					}
					require.Equal(t, lost, got, "byte %d of %s: more than the last two commits is missing or wrong", at, name)
					torn++
				}
			}
			t.Logf("%s, %d bytes: %d flips refused, %d harmless, %d took the last commits", name, len(image[name]), refused, harmless, torn)
			require.Positive(t, refused+torn)
		})
	}
}

// TestTornLog cuts the newest log at many places, and fills the rest of the file with
// nothing or with zeros, as a power cut does. That is not damage, and a prefix of the
// commits is there.
func TestTornLog(t *testing.T) {
	image, want := damageStore(t, 40, 100, false, false)
	name := image.file(t, "", ".log")
	for at := 0; at < len(image[name]); at += 41 {
		for _, zeros := range []int{0, len(image[name]) - at, 1 << 16} {
			data := append(bytes.Clone(image[name][:at]), make([]byte, zeros)...)
			mem := image.flipped(t, name, data)
			s, err := Open(small(mem))
			require.NoError(t, err, "cut at %d, %d zeros", at, zeros)
			got := contents(t, s, "")
			for i := range len(got) {
				require.Equal(t, want[text(i)], got[text(i)], "cut at %d: it is not a prefix", at)
			}
			require.NoError(t, s.Close())
		}
	}
}

// TestOutOfOrderTail: of several commits that were not synced, a disk may keep a
// later one and lose an earlier one. That is a torn end, not damage, because the later one
// does not claim that the earlier one was synced.
func TestOutOfOrderTail(t *testing.T) {
	l := &recordLog{number: 7, synced: true}
	synced := 0
	for i := range 6 {
		if i < 3 {
			synced = len(l.data) // each is written after the fsync of the previous one
		}
		l.data = append(l.data, logChunk(7, synced, fmt.Sprint("commit ", i))...)
	}
	size := len(l.data) / 6
	for i := range 6 {
		bad := &recordLog{data: bytes.Clone(l.data), number: 7, synced: true}
		bad.data[i*size+25] ^= 1
		at, _, damaged := bad.damage()
		require.Equal(t, i < 2, damaged, "commit %d", i)
		if damaged {
			require.Equal(t, i*size, at)
		}
	}
	// Marks may lag behind, as in a log of large commits. Then the third one is proof.
	lag := slices.Concat(logChunk(7, 0, strings.Repeat("x", logBlock-syncedHeader)), logChunk(7, 0, "bad"))
	lag[logBlock+20] ^= 1
	for mark, want := range []bool{false, false, true} {
		lag = append(lag, logChunk(7, 100+mark, "x")...)
		_, _, damaged := (&recordLog{data: lag, number: 7, synced: true}).damage()
		require.Equal(t, want, damaged, "%d marks", mark+1)
	}
	// Pebble writes the end of a log together with commits that it has not synced yet.
	ended := slices.Concat(l.data[:size], make([]byte, size), []byte{0, 0, 0, 0, 0, 0, plainWhole, 8, 0, 0, 0})
	_, _, damaged := (&recordLog{data: ended, number: 7, synced: true}).damage()
	require.False(t, damaged, "the end of a log")
	// Zeros fill a block; a byte of the next one is no type of theirs.
	filled := slices.Concat(make([]byte, logBlock), bytes.Repeat([]byte{syncedWhole}, 2*syncedHeader))
	_, _, damaged = (&recordLog{data: filled, number: 7, synced: true}).damage()
	require.False(t, damaged, "zeros at the end of a block")
	other := &recordLog{data: slices.Concat(l.data[:size], make([]byte, 30), logChunk(6, 1<<20, "of the log that this file was before")), number: 7, synced: true}
	_, _, damaged = other.damage()
	require.False(t, damaged)
}

// logChunk returns a record of a log as Pebble writes it.
func logChunk(number uint32, synced int, payload string) []byte {
	l := make([]byte, syncedHeader, syncedHeader+len(payload))
	l[4], l[5], l[checksumAt] = byte(len(payload)), byte(len(payload)>>8), syncedWhole
	l[7], l[plainHeader], l[plainHeader+1] = byte(number), byte(synced), byte(synced>>8)
	if synced > 1<<16 {
		l[plainHeader+2] = byte(synced >> 16)
	}
	l = append(l, payload...)
	sum := checksum(l[checksumAt:])
	l[0], l[1], l[2], l[3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	return l
}

// TestLongLogsAreRead checks that records that span blocks of 32 KiB are not taken for
// damage, and that a flipped byte in any block is found.
func TestLongLogsAreRead(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := small(mem)
	o.MemTableSize = 4 << 20
	s := mustOpen(t, o)
	var b Batch
	want := map[string]string{}
	for i := range 120 {
		v := strings.Repeat(text(i), 10+(i*i*37)%4000) // up to 24 kB; records end at many different places in a block
		b.Set([]byte(text(i)), []byte(v))
		want[text(i)] = v
		require.NoError(t, s.Commit(&b))
	}
	image := imageOf(t, crashed(mem, 0, 1))
	name := image.file(t, "", ".log")
	require.Greater(t, len(image[name]), 15*logBlock)
	got, err := reading(t, image.flipped(t, name, image[name]))
	require.NoError(t, err)
	require.Equal(t, want, got)
	for at := 11; at < len(image[name])-100_000; // four more commits follow
	at += 9973 {
		data := bytes.Clone(image[name])
		data[at] ^= 0x20
		_, err := reading(t, image.flipped(t, name, data))
		require.ErrorIs(t, err, errCorrupt, "byte %d", at)
	}
}

// TestDamagedIdentity checks that a damaged byte of the identity never makes another
// broker of this one (rule I1), whether it is in the log or in a table.
func TestDamagedIdentity(t *testing.T) {
	for _, flush := range []bool{false, true} {
		mem := vfs.NewCrashableMem()
		s := mustOpen(t, small(mem))
		first, err := s.Identify("broker-7", "", time.Unix(1_800_000_000, 0), rand.Reader)
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, set(s, text(i), "v"))
		}
		end := ".log"
		if flush {
			require.NoError(t, s.db.Flush())
			end = ".sst"
		}
		image := imageOf(t, crashed(mem, 0, 1))
		name := image.file(t, "", end)
		at := bytes.Index(image[name], []byte("broker-7"))
		require.Positive(t, at, "the name stands in %s", name)
		for i := range len("broker-7") {
			data := bytes.Clone(image[name])
			data[at+i] ^= 1
			s, err := Open(small(image.flipped(t, name, data)))
			if err == nil {
				var id Identity
				id, err = s.Identify("", "other", time.Unix(1_800_000_000, 0), rand.Reader)
				require.Error(t, err, "a damaged identity became %s (was %s)", id.Actor, first.Actor)
				_ = s.Close()
			}
			require.ErrorIs(t, err, errCorrupt)
		}
	}
}

// TestDamageIsFoundBeforeAnythingChanges checks that an Open that fails leaves the files
// as they were, so that they can be examined.
func TestDamageIsFoundBeforeAnythingChanges(t *testing.T) {
	image, _ := damageStore(t, 40, 100, false, false)
	name := image.file(t, "", ".log")
	data := bytes.Clone(image[name])
	data[100] ^= 1
	mem := image.flipped(t, name, data)
	before := imageOf(t, mem)
	_, err := Open(small(mem))
	require.ErrorIs(t, err, errCorrupt)
	require.ErrorContains(t, err, "the other brokers hold copies")
	require.Equal(t, before, imageOf(t, mem))
}
