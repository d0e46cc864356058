package ledger

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// L10: what can't be read is kept for as long as somebody sends it, and a while longer; then it is as if it had never come.
func TestWhatNobodySendsIsGivenUp(t *testing.T) {
	const after = time.Hour
	disk := story.Disk{}
	store := func(l *Ledger) {
		for _, op := range l.Take().Ops() {
			if disk[string(op.Key)] = op.Value; op.Value == nil {
				delete(disk, string(op.Key))
			}
		}
	}
	l := New("a~1", disk, setSchema)
	comes := func() { tell(t, l, first, clock.NewTips(dot(first, 3)), bad("y", "?", dot(first, 2))) }
	tell(t, l, first, clock.NewTips(dot(first, 1)), good("x", dot(first, 1)))
	comes()
	tell(t, l, first, clock.NewTips(dot(first, 3)), good("z", dot(first, 3)))
	below := clock.NewTips(dot(first, 1))
	for at := time.Duration(0); at < 3*after; at += after / 4 {
		comes()
		require.Zero(t, l.DropQuarantined(at, after), at)
	}
	store(l)

	l = New("a~2", disk, setSchema) // its age goes on
	require.NoError(t, l.Load(disk.Scan, nil))
	require.Zero(t, l.DropQuarantined(3*after, after))
	require.Equal(t, 1, l.Quarantined())
	require.Equal(t, below, l.Clock())
	require.Equal(t, 1, l.DropQuarantined(4*after, after))
	require.Zero(t, l.Quarantined())
	require.Equal(t, []clock.Tips{below, below}, []clock.Tips{l.Clock(), l.Seen()}, "whoever holds it sends it again")
	refs, _ := l.StraysBehind(clock.Dot{}, 10)
	require.Equal(t, []Ref{setRef("z")}, refs, "what is held beyond is covered by no clock")
	store(l)
	n, err := StoredQuarantine(disk.Scan)
	require.NoError(t, err)
	require.Zero(t, n)

	tell(t, l, "c~1", clock.NewTips(dot(first, 3)), good("z", dot(first, 3))) // who knows of it, and holds no such record
	require.Equal(t, clock.NewTips(dot(first, 3)), l.Clock())
	refs, _ = l.StraysBehind(clock.Dot{}, 10)
	require.Empty(t, refs)
}

// An age that an earlier version has not stored begins with the first look.
func TestAQuarantineWithoutAnAge(t *testing.T) {
	l := New("a~1", nil, setSchema)
	tell(t, l, first, clock.NewTips(dot(first, 1)), bad("y", "?", dot(first, 1)))
	require.Zero(t, l.DropQuarantined(90*24*time.Hour, time.Hour))
	require.Equal(t, 1, l.DropQuarantined(90*24*time.Hour+2*time.Hour, time.Hour))
}

// Whatever its peers send, a broker keeps no more aside than it has memory for, and does not believe their clocks beyond that.
func TestAQuarantineIsBounded(t *testing.T) {
	l := New("a~1", nil, setSchema)
	large := string(bytes.Repeat([]byte("?"), maxQuarantinedBytes/10))
	for i := range uint64(20) {
		m := tell(t, l, first, clock.NewTips(dot(first, i+1)), bad(fmt.Sprint("y", i), large, dot(first, i+1)))
		require.Equal(t, i >= 10, m.Refused, i)
	}
	require.Equal(t, 10, l.Quarantined())
	m := tell(t, l, first, clock.NewTips(dot(first, 30)), bad("y0", large+large, dot(first, 30))) // it grows
	require.True(t, m.Refused)
	require.LessOrEqual(t, l.quarantinedBytes(), maxQuarantinedBytes)
	require.Equal(t, 10, l.DropQuarantined(0, time.Hour)+l.DropQuarantined(2*time.Hour, time.Hour))
	require.False(t, tell(t, l, first, clock.NewTips(dot(first, 11)), bad("y10", large, dot(first, 11))).Refused)

	for i := range maxQuarantined + 1 {
		tell(t, l, first, nil, bad(fmt.Sprint("h", i), "?", dot("d~1", 1))) // by hearsay (rule X4)
	}
	require.Len(t, l.hearsay, maxQuarantined)
	l.DropQuarantined(2*time.Hour, time.Hour)
	require.Empty(t, l.hearsay)
}

// A record that would make one here larger than others read is set aside, and is joined when there is room for it. One that so many have
// written that it can't be kept leaves the rest of its sender's clock as it is (rules L10, L11, X4).
func TestWhatIsTooLargeIsSetAside(t *testing.T) {
	schema := Grows(setSchema, 100, decodeSet)
	disk := story.Disk{}
	l := New("a~1", disk, schema)
	good := func(text string) Entry {
		r, err := decodeSet([]byte(text))
		require.NoError(t, err)
		return Entry{Ref: setRef(r.key), Dots: r.Writers(), Encoded: []byte(text), Record: r}
	}
	long := strings.Repeat("w", 60)
	require.Empty(t, tell(t, l, "b~1", clock.NewTips(dot("b~1", 1)), good("j1 b~1:1* b"+long+"~1:1")).TooLarge)
	m := tell(t, l, "c~1", clock.NewTips(dot("c~1", 2)), good("j1 c~1:1* c"+long+"~1:1"), good("j2 c~1:2*"))
	require.Equal(t, []Ref{setRef("j1")}, m.TooLarge)
	require.Equal(t, "{b~1:1}", l.Clock().String(), "it stays below what is set aside")
	require.Equal(t, "{b~1:1 c~1:2}", l.Seen().String())
	for _, op := range l.Take().Ops() {
		disk.Write(op.Key, op.Value)
	}
	l = New("a~2", disk, schema)
	require.NoError(t, l.Load(disk.Scan, nil))
	require.Equal(t, 1, l.Quarantined())
	l = New("a~3", disk, setSchema) // a version that reads more
	require.NoError(t, l.Load(disk.Scan, nil))
	require.Zero(t, l.Quarantined())
	require.Equal(t, "{b~1:1 c~1:2}", l.Clock().String())

	many := bad("j3", "?", dot("d~1", 1))
	for i := range uint64(maxBad) {
		many.Dots.Set(dot(clock.Actor(fmt.Sprint("x", i, "~1")), 1))
	}
	m = tell(t, l, "d~1", clock.NewTips(dot("d~1", 1), dot("e~1", 7)), many)
	require.True(t, m.Adopted)
	require.Zero(t, l.Quarantined())
	require.Equal(t, "{b~1:1 c~1:2 e~1:7}", l.Clock().String())
}
