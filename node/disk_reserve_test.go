package node

import (
	"log/slog"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/store"
)

// Bytes and files count: a disk without inodes takes as little as a full one.
func TestShortage(t *testing.T) {
	const mib = 1 << 20
	require.Empty(t, shortage("d", 256*mib, 256*mib, reserveFiles), "the reserve itself is enough")
	require.Empty(t, shortage("d", math.MaxUint64, 256*mib, math.MaxUint64))
	require.Equal(t, "the disk of d has 255 MiB free, less than the reserve of 256 MiB (--disk-reserve)", shortage("d", 256*mib-1, 256*mib, math.MaxUint64))
	require.Equal(t, "the disk of d has room for 1023 more files (inodes), less than the reserve of 1024", shortage("d", 300*mib, 256*mib, 1023))
}

// The core is told roughly how much jobs may write, so that others do not hear of each megabyte.
func TestFreeDiskIsRounded(t *testing.T) {
	const mib = 1 << 20
	d := &diskReserve{reserve: 256 * mib}
	require.EqualValues(t, 1, d.above(0), "0 would be unknown")
	require.EqualValues(t, 63*mib, d.above(319*mib))
	require.EqualValues(t, 128*mib, d.above(256*mib+191*mib))
	d.reserve = 0
	require.EqualValues(t, 64*mib, d.above(64*mib))
}

// Uploads have what they announce, and no two of them the same room.
func TestUploadsHoldTheirRoom(t *testing.T) {
	d := &diskReserve{dir: "d", reserve: 100 << 20}
	hold := func(mib int64, free uint64) (func(int64), string) { return d.holdOf(mib<<20, free<<20, true) }
	give, why := hold(30, 150)
	require.Empty(t, why)
	_, why = hold(21, 150)
	require.Equal(t, "the disk of d has room for 20 MiB above its reserve (--disk-reserve), what other uploads have announced left aside, and this file has 21 MiB", why)
	_, why = hold(20, 150)
	require.Empty(t, why)
	give(10 << 20) // has arrived
	_, why = hold(1, 140)
	require.NotEmpty(t, why)
	give(20 << 20) // comes no more
	_, why = hold(20, 140)
	require.Empty(t, why)
	_, why = hold(0, 90)
	require.Empty(t, why, "who announces nothing is judged by what is free: see shortage")
	_, why = d.holdOf(1<<30, 0, false)
	require.Empty(t, why, "where nobody knows how much is free")
}

// What is only kept to save time goes before anything is refused.
func TestTheReserveIsFreedFirst(t *testing.T) {
	s, err := store.Open(store.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer s.Close()
	free, err := s.Free()
	require.NoError(t, err)
	var asked []int64
	kept := int64(1) << 20
	var told []broker.Input
	d := &diskReserve{dir: "d", store: s, log: slog.New(slog.DiscardHandler), tell: func(in broker.Input) { told = append(told, in) }}
	d.giveWay = func(bytes int64) int64 {
		asked = append(asked, bytes)
		d.reserve -= kept // as if so much more were free
		defer func() { kept = 0 }()
		return kept
	}
	d.reserve = int64(free) + 1<<30
	require.NoError(t, d.measure())
	require.Len(t, asked, 1)
	require.InDelta(t, 1<<30, asked[0], 256<<20, "what is missing; others use this disk, too")
	require.Contains(t, d.why(), "less than the reserve")
	require.Equal(t, []broker.Input{broker.Room{Full: true, Free: 1}}, told)

	d.reserve, kept, asked = int64(free)/2, int64(free)/2, nil
	give, why := d.hold(int64(free) / 4 * 3)
	require.Empty(t, why, "there is room when what was kept has gone")
	give(int64(free) / 4 * 3)
	require.Len(t, asked, 1)
	d.reserve = int64(free) / 2
	_, why = d.hold(int64(free) / 4 * 3)
	require.NotEmpty(t, why)
	require.Len(t, asked, 2, "it is asked once, and not again and again")
}
