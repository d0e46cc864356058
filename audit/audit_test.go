package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memory is a disk that is lost with the process.
type memory map[string][]byte

func (m memory) Get(key []byte) (value []byte, found bool, err error) {
	value, found = m[string(key)]
	return value, found, nil
}

func (m memory) Set(writes []Write) error {
	for _, w := range writes {
		m[string(w.Key)] = bytes.Clone(w.Value)
	}
	return nil
}

func (m memory) Walk(prefix, after []byte, fn func(key, value []byte) bool) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, string(prefix)) && k > string(after) && !fn([]byte(k), m[k]) {
			break
		}
	}
	return nil
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// city is some brokers that witness each other.
type city struct {
	t     *testing.T
	rand  *rand.Rand
	now   time.Time
	names []string
	disks map[string]memory
	logs  map[string]*Log
}

func newCity(t *testing.T, seed uint64, names ...string) *city {
	c := &city{t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: noon, names: names, disks: map[string]memory{}, logs: map[string]*Log{}}
	for _, name := range names {
		c.disks[name] = memory{}
		c.open(name)
	}
	return c
}

// Read implements io.Reader: randomness for keys.
func (c *city) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c.rand.Uint32())
	}
	return len(b), nil
}

func (c *city) open(name string) {
	l, err := Open(c.disks[name], name, c)
	require.NoError(c.t, err)
	c.logs[name] = l
}

func (c *city) order(name string, n int) {
	for range n {
		c.now = c.now.Add(time.Second)
		e := Entry{At: c.now, What: Submit, Which: fmt.Sprintf("j%06d", c.rand.IntN(1e6)), Who: "10.0.0.7", Status: 201, Detail: "<any> & all"}
		require.NoError(c.t, c.logs[name].Append(e))
	}
}

// meet lets each broker see what the others show.
func (c *city) meet() {
	c.now = c.now.Add(witnessEvery)
	for _, name := range c.names {
		for _, other := range c.names {
			require.NoError(c.t, c.logs[name].Witness(other, c.logs[other].Key(), c.logs[other].Checkpoint(), c.now))
		}
	}
}

func (c *city) copyOf(name string) []byte {
	var b bytes.Buffer
	require.NoError(c.t, c.logs[name].Copy(&b))
	return b.Bytes()
}

func (c *city) copies() (all []*Copy) {
	for _, name := range c.names {
		x, err := Read(bytes.NewReader(c.copyOf(name)))
		require.NoError(c.t, err)
		all = append(all, x)
	}
	return all
}

func TestLogsThatNobodyChanged(t *testing.T) {
	c := newCity(t, 1, "n1", "n2", "n3")
	for range 20 {
		for _, name := range c.names {
			c.order(name, c.rand.IntN(4))
		}
		c.meet()
		c.open(c.names[c.rand.IntN(3)]) // a restart
	}
	copies := c.copies()
	require.Empty(t, Compare(copies))
	require.Greater(t, copies[0].Checkpoint.Size, int64(40))
	require.Equal(t, "<any> & all", copies[0].Entries[0].Detail)
	witnesses := slices.DeleteFunc(slices.Clone(copies[0].Entries), func(e Entry) bool { return e.What != Witness })
	require.NotEmpty(t, witnesses)
	require.Equal(t, copies[0].Checkpoint.Size, copies[0].Checkpoint.Orders+int64(len(witnesses)))
}

// Whom nobody gives orders writes nothing, however often brokers meet: no log grows because others do.
func TestIdleLogsStayAsTheyAre(t *testing.T) {
	c := newCity(t, 1, "n1", "n2", "n3")
	for _, name := range c.names {
		c.order(name, 1)
	}
	for range 5 {
		c.meet()
	}
	before := c.logs["n3"].Checkpoint()
	for range 5 {
		c.meet()
	}
	require.Equal(t, before, c.logs["n3"].Checkpoint())
}

// At most one entry a minute and broker, however fast its log grows, and one for a checkpoint that contradicts another.
func TestWitnessesAreFew(t *testing.T) {
	c := newCity(t, 1, "n1", "n2")
	for range 30 {
		c.order("n2", 1) // a second each
		require.NoError(t, c.logs["n1"].Witness("n2", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now))
	}
	require.Equal(t, int64(1), c.copies()[0].Checkpoint.Size)
	c.disks["n2"] = memory{} // it has lost its disk
	c.open("n2")
	c.order("n2", 1)
	require.NoError(t, c.logs["n1"].Witness("n2", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now), "a minute has not passed")
	c.now = c.now.Add(witnessEvery)
	var fork *ForkError
	require.ErrorAs(t, c.logs["n1"].Witness("n2", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now), &fork)
	require.Contains(t, fork.Error(), "n2")
	require.Contains(t, fork.Error(), "another key")
	require.NoError(t, c.logs["n1"].Witness("n2", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now.Add(time.Hour)), "once")
	c.now = c.now.Add(witnessEvery)
	c.disks["n2"] = memory{seedKey: c.disks["n2"][seedKey]} // its owner begins the log again, with its key
	c.open("n2")
	require.ErrorAs(t, c.logs["n1"].Witness("n2", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now), &fork)
	require.Contains(t, fork.Error(), "it has 0 entries and had 1")
	require.Error(t, c.logs["n1"].Witness("n3", c.logs["n2"].Key(), c.logs["n2"].Checkpoint(), c.now), "it is of n2")
	require.Error(t, c.logs["n1"].Witness("n3", "nonsense", "nonsense", c.now))
}

// trials is how many changes are tried: UCP_TRIALS=10000 tries as many as docs/security.md tells of.
func trials(t *testing.T) int {
	if s := os.Getenv("UCP_TRIALS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		return n
	}
	return 100
}

// Whatever is changed in, left out of or put into a copy, with the broker's key or without it: it is found. With the key,
// as far as another broker is a witness.
func TestEveryChangeIsFound(t *testing.T) {
	c := newCity(t, 2, "n1", "n2", "n3")
	for range 8 {
		for _, name := range c.names {
			c.order(name, 1+c.rand.IntN(3))
		}
		c.meet()
	}
	raw, copies, tried, found := map[string][]byte{}, c.copies(), map[string]int{}, map[string]int{}
	for _, name := range c.names {
		raw[name] = c.copyOf(name)
	}
	require.Empty(t, Compare(copies))
	for range trials(t) {
		i := c.rand.IntN(len(c.names))
		name := c.names[i]
		kind, changed := c.change(name, raw[name])
		tried[kind]++
		others := slices.Clone(copies)
		var err error
		if others[i], err = Read(bytes.NewReader(changed)); err != nil || len(Compare(others)) > 0 {
			found[kind]++
		} else {
			t.Errorf("%s in the log of %s was not found:\n%s", kind, name, changed)
		}
	}
	require.Equal(t, tried, found)
	t.Logf("found %v of %v", found, tried)
}

// change changes a copy, in a way that is drawn.
func (c *city) change(name string, raw []byte) (kind string, changed []byte) {
	lines := bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	entries := slices.Clone(lines[1:])
	seen := c.witnessed(name)
	n := c.rand.IntN(int(seen))
	another := []byte(strings.Replace(string(entries[n]), `"at":"2026`, `"at":"2027`, 1))
	switch kind = []string{"a bit", "an edit", "an omission", "an insertion", "a swap", "a shorter log", "a fork"}[c.rand.IntN(7)]; kind {
	case "a bit": // in the header or an entry; the end of the file is none
		b := bytes.Clone(raw)
		b[c.rand.IntN(len(b)-1)] ^= 1 << c.rand.IntN(8)
		return kind, b
	case "an edit":
		entries[n] = another
	case "an omission":
		entries = slices.Delete(entries, n, n+1)
	case "an insertion":
		entries = slices.Insert(entries, n, another)
	case "a swap":
		m := (n + 1) % len(entries)
		entries[n], entries[m] = entries[m], entries[n]
	case "a shorter log":
		entries = entries[:n]
	case "a fork": // all is as it was up to n, and then the broker tells something else
		entries = entries[:n]
		for range 3 {
			entries = append(entries, another)
		}
	}
	if kind == "a fork" || c.rand.IntN(2) == 0 { // by who has the broker's key
		return kind + ", signed", c.signedAgain(name, entries)
	}
	return kind, append(bytes.Join(append([][]byte{lines[0]}, entries...), []byte("\n")), '\n')
}

// witnessed is up to where others have seen a log.
func (c *city) witnessed(name string) (size int64) {
	for _, other := range c.names {
		if w, ok := c.logs[other].witnesses[name]; ok {
			x, err := OpenCheckpoint(w.Signed, w.Key)
			require.NoError(c.t, err)
			size = max(size, x.Size)
		}
	}
	return size
}

// signedAgain is a copy with other entries, signed with the broker's key.
func (c *city) signedAgain(name string, lines [][]byte) []byte {
	disk := memory{seedKey: c.disks[name][seedKey]}
	l, err := Open(disk, name, nil)
	require.NoError(c.t, err)
	for _, line := range lines {
		e, err := decodeEntry(line)
		require.NoError(c.t, err)
		require.NoError(c.t, l.Append(e))
	}
	var b bytes.Buffer
	require.NoError(c.t, l.Copy(&b))
	return b.Bytes()
}

// Who has only seen two versions of a log, and has no copy of it, knows that it was forked.
func TestForkWithoutACopy(t *testing.T) {
	c := newCity(t, 3, "n1", "n2", "n3")
	c.order("n1", 3)
	copies := c.copies()
	fork, err := Read(bytes.NewReader(c.signedAgain("n1", append(copies[0].lines[1:3:3], copies[0].lines[0]))))
	require.NoError(t, err)
	require.NoError(t, c.logs["n2"].Witness("n1", c.logs["n1"].Key(), c.logs["n1"].Checkpoint(), c.now))
	require.NoError(t, c.logs["n3"].Witness("n1", fork.Key, fork.Header.Checkpoint, c.now))
	found := Compare(c.copies()[1:])
	require.Equal(t, []Finding{{Log: "n1", By: "n3", Why: "it has shown n3 other first 3 entries than n2"}}, found)
}

func TestProof(t *testing.T) {
	c := newCity(t, 4, "n1", "n2")
	const entries = 10_000
	all := make([]Entry, entries)
	for i := range all {
		all[i] = Entry{At: noon.Add(time.Duration(i) * time.Millisecond), What: Submit, Which: "01kbq1v7x3m5hn8sz2w4d6e9ra", Who: "192.168.100.200", Status: 201}
	}
	require.NoError(t, c.logs["n1"].Append(all...))
	x, err := Read(bytes.NewReader(c.copyOf("n1")))
	require.NoError(t, err)
	for _, i := range []int64{0, 1, entries / 2, entries - 1} {
		p, err := x.Prove(i)
		require.NoError(t, err)
		b, err := json.Marshal(p)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), 1024)
		indented, err := json.MarshalIndent(p, "", "  ")
		require.NoError(t, err)
		var q Proof
		require.NoError(t, json.Unmarshal(indented, &q))
		e, at, err := q.Check(c.logs["n1"].Key())
		require.NoError(t, err)
		require.Equal(t, all[i].At, e.At)
		require.Equal(t, int64(entries), at.Size)
		_, _, err = q.Check(c.logs["n2"].Key())
		require.Error(t, err, "the key of another broker")
		q.Index = (q.Index + 1) % entries
		_, _, err = q.Check(c.logs["n1"].Key())
		require.ErrorContains(t, err, "not in the log")
		q.Index = i
		q.Entry = json.RawMessage(strings.Replace(string(q.Entry), "192.168.100.200", "192.168.100.201", 1))
		_, _, err = q.Check(c.logs["n1"].Key())
		require.ErrorContains(t, err, "not in the log")
	}
	_, err = x.Prove(entries)
	require.ErrorContains(t, err, "has no entry 10000")
}

func TestWhatIsNoCopy(t *testing.T) {
	c := newCity(t, 5, "n1")
	c.order("n1", 2)
	good := string(c.copyOf("n1"))
	for name, text := range map[string]string{
		"nothing": "", "a text": "hello\n", "another format": strings.Replace(good, copyFormat, "ucp-audit-9", 1),
		"no key": strings.Replace(good, `"key"`, `"kay"`, 1), "a long line": good + strings.Repeat("x", maxEntry+2),
	} {
		_, err := Read(strings.NewReader(text))
		require.Error(t, err, name)
	}
	_, err := Read(strings.NewReader(good))
	require.NoError(t, err)
}

// A disk that is damaged is named, and no log begins in its place.
func TestDamagedLog(t *testing.T) {
	for key, value := range map[string]string{seedKey: "short", sizeKey: "short", witnessPrefix + "n2": "{"} {
		c := newCity(t, 6, "n1")
		c.order("n1", 1)
		c.disks["n1"][key] = []byte(value)
		_, err := Open(c.disks["n1"], "n1", c)
		require.Error(t, err, key)
	}
	c := newCity(t, 6, "n1")
	c.order("n1", 3)
	delete(c.disks["n1"], string(indexed(hashPrefix, 2))) // of the first two entries
	_, err := Open(c.disks["n1"], "n1", c)
	require.ErrorContains(t, err, "hash")
	c = newCity(t, 6, "n1")
	c.order("n1", 3)
	delete(c.disks["n1"], string(indexed(entryPrefix, 2)))
	require.ErrorContains(t, c.logs["n1"].Copy(&bytes.Buffer{}), "2 of 3 entries")
}

// FuzzRead reads what may come as a copy: it is refused, or as its key has signed it.
func FuzzRead(f *testing.F) {
	l, err := Open(memory{}, "n1", bytes.NewReader(make([]byte, 32)))
	require.NoError(f, err)
	require.NoError(f, l.Append(Entry{At: noon, What: Cancel, Which: "j"}, Entry{At: noon, What: Witness, Which: "n1", Key: l.Key(), Note: l.Checkpoint()}))
	var b bytes.Buffer
	require.NoError(f, l.Copy(&b))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		Compare([]*Copy{c})
		if c.Checkpoint.Size > 0 {
			p, err := c.Prove(0)
			require.NoError(t, err)
			_, _, err = p.Check(c.Key)
			require.NoError(t, err)
		}
	})
}
