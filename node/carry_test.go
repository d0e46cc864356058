package node

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/job"
)

// alone runs a broker that has never heard of another one.
func alone(t *testing.T, name string) *Node {
	return startNode(t, Config{Name: name, AckTimeout: 50 * time.Millisecond})
}

func clientOf(t *testing.T, n *Node) *api.Client {
	t.Helper()
	c, err := api.New(n.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// packFile makes a file of a broker, and what it says is in it.
func packFile(t *testing.T, n *Node, o api.CarryOptions) ([]byte, api.Carried) {
	t.Helper()
	var file bytes.Buffer
	r, err := clientOf(t, n).Pack(t.Context(), o, &file)
	require.NoError(t, err)
	require.EqualValues(t, file.Len(), r.Bytes)
	return file.Bytes(), r
}

func unpackFile(t *testing.T, n *Node, file []byte) (api.Carried, error) {
	t.Helper()
	return clientOf(t, n).Unpack(t.Context(), api.Bytes(file), int64(len(file)), false)
}

// met lets two brokers take part with each other, by files.
func met(t *testing.T, a, b *Node) {
	t.Helper()
	first, _ := packFile(t, a, api.CarryOptions{For: []string{b.Name()}, Admit: true})
	r, err := unpackFile(t, b, first)
	require.NoError(t, err)
	require.True(t, r.Adopted)
	bring(t, b, a)
}

// bring carries a file from one to another.
func bring(t *testing.T, from, to *Node) api.Carried {
	t.Helper()
	file, _ := packFile(t, from, api.CarryOptions{})
	r, err := unpackFile(t, to, file)
	require.NoError(t, err)
	require.Empty(t, r.Trouble)
	require.True(t, r.Adopted, "%+v", r)
	return r
}

// putNamed puts data under a name.
func putNamed(t *testing.T, n *Node, name string, content []byte) job.Digest {
	t.Helper()
	c := clientOf(t, n)
	d := job.Digest(digest(content))
	_, err := c.PutBlob(t.Context(), api.Blob{Digest: d, Size: int64(len(content))}, api.Bytes(content))
	require.NoError(t, err)
	_, err = c.PutData(t.Context(), name, d, false, "")
	require.NoError(t, err)
	return d
}

func submit(t *testing.T, n *Node, id string) {
	t.Helper()
	status, body := request(t, n, "PUT", "/v1/jobs/"+id, []byte(`{"driver": "process", "command": "/bin/true"}`))
	require.Contains(t, []int{http.StatusCreated, http.StatusAccepted}, status, body)
}

// noise is what can't be compressed.
func noise(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(b)
	return b
}

func sameLedger(t *testing.T, a, b *Node) {
	t.Helper()
	x, err := clientOf(t, a).Digest(t.Context(), false)
	require.NoError(t, err)
	y, err := clientOf(t, b).Digest(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, x.Clock, y.Clock)
	require.Equal(t, x.Digest, y.Digest)
}

// Two brokers that never hear of each other have jobs, data and files in common after a file has gone each way, and then hold the same.
func TestFilesBetweenBrokersWithoutALink(t *testing.T) {
	a, b := alone(t, "a"), alone(t, "b")
	content := noise(3 << 20)
	putNamed(t, a, "maps/east", content)
	submit(t, a, "one")
	_, err := clientOf(t, a).Pack(t.Context(), api.CarryOptions{For: []string{"b"}}, new(bytes.Buffer))
	require.ErrorContains(t, err, "say --admit")
	met(t, a, b)
	_, body := request(t, b, "GET", "/v1/data/maps/east", nil)
	require.Equal(t, string(content), body)
	status, body := request(t, b, "GET", "/v1/jobs/one", nil)
	require.Equal(t, 200, status, body)

	submit(t, b, "two")
	putNamed(t, b, "maps/west", content[:1<<20])
	bring(t, b, a)
	status, body = request(t, a, "GET", "/v1/jobs/two", nil)
	require.Equal(t, 200, status, body)
	_, body = request(t, a, "GET", "/v1/data/maps/west", nil)
	require.Equal(t, string(content[:1<<20]), body)
	for range 2 {
		bring(t, a, b)
		bring(t, b, a)
	}
	sameLedger(t, a, b)
}

// A file is hardly larger than what its readers lack, and what they have told that they hold is not in it, also after a restart of
// its packer.
func TestAFileHoldsWhatIsLacking(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, "b")
	content := noise(4 << 20)
	t.Run("before", func(t *testing.T) {
		a := startNode(t, Config{Name: "a", DataDir: dir, AckTimeout: 50 * time.Millisecond})
		putNamed(t, a, "old", content[:3<<20])
		for i := range 20 {
			submit(t, a, fmt.Sprintf("old-%d", i))
		}
		met(t, a, b)
		bring(t, b, a)
	})
	a := startNode(t, Config{Name: "a", DataDir: dir, AckTimeout: 50 * time.Millisecond})
	putNamed(t, a, "new", content)
	for i := range 50 {
		submit(t, a, fmt.Sprintf("new-%d", i))
	}
	file, r := packFile(t, a, api.CarryOptions{})
	require.LessOrEqual(t, len(file), 105*len(content)/100, "%+v", r)
	require.Equal(t, 1, r.Blobs)
	require.Less(t, r.Records, 60)
	got, err := unpackFile(t, b, file)
	require.NoError(t, err)
	require.True(t, got.Adopted, "%+v", got)
	bring(t, b, a)
	file, r = packFile(t, a, api.CarryOptions{})
	require.Less(t, len(file), 16<<10, "%+v", r)
}

// Of a file that was cut what is whole is used, and its clock is not believed; one that was changed is refused from there on; each with a
// message that says so.
func TestFilesThatAreWrong(t *testing.T) {
	a, b, c := alone(t, "a"), alone(t, "b"), alone(t, "c")
	met(t, a, b)
	for i := range 20 {
		submit(t, a, fmt.Sprintf("job-%d", i))
	}
	content := noise(1 << 20)
	putNamed(t, a, "data", content)
	file, whole := packFile(t, a, api.CarryOptions{})
	putNamed(t, a, "data", content[:1<<19])
	other, _ := packFile(t, a, api.CarryOptions{})
	changed := func(at int) []byte {
		out := bytes.Clone(file)
		out[at] ^= 1
		return out
	}
	foreign := bytes.Clone(file)
	foreign[0] = 'x'
	for _, x := range []struct {
		name string
		at   *Node
		file []byte
		says string // an error
	}{
		{"empty", b, nil, "the file is empty"},
		{"something else", b, foreign, "this is no file of `ucp carry pack`"},
		{"cut in its preamble", b, file[:40], "the file ends too early"},
		{"changed in its preamble", b, changed(16), "was changed after it was packed"},
		{"its packer's", a, file, "this broker has packed it itself"},
		{"for others", c, file, "does not count c among those who take part"},
	} {
		_, err := unpackFile(t, x.at, x.file)
		require.ErrorContains(t, err, x.says, x.name)
	}
	for at := 400; at < len(file); at += len(file)/40 + 1 {
		r, err := unpackFile(t, b, file[:at])
		require.NoError(t, err, "%d bytes", at)
		require.True(t, r.Cut, "%d bytes: %+v", at, r)
		require.False(t, r.Adopted && r.Records < whole.Records, "%d bytes: %+v", at, r)
		require.Contains(t, r.Trouble, "ends too early")

		r, err = unpackFile(t, b, changed(at))
		require.NoError(t, err, "byte %d", at)
		require.True(t, r.Tampered || r.Cut, "byte %d: %+v", at, r)
		require.NotEmpty(t, r.Trouble)
		require.False(t, r.Whole)
	}
	mixed := append(bytes.Clone(file[:len(file)/2]), other[len(file)/2:]...)
	r, err := unpackFile(t, b, mixed)
	require.NoError(t, err)
	require.True(t, r.Tampered || r.Cut, "%+v", r)
	require.False(t, b.blobs.has(job.Digest(digest(content))), "its content has not come whole")

	for range 2 { // and twice changes nothing more
		r, err = unpackFile(t, b, file)
		require.NoError(t, err)
		require.Empty(t, r.Trouble)
		require.True(t, r.Adopted)
	}
	require.Zero(t, r.Changed)
	require.Zero(t, r.New)
	_, body := request(t, b, "GET", "/v1/data/data", nil)
	require.Equal(t, string(content), body)
	r, err = unpackFile(t, b, other)
	require.NoError(t, err)
	require.True(t, r.Adopted)
	_, err = unpackFile(t, b, file) // late
	require.NoError(t, err)
	_, body = request(t, b, "GET", "/v1/data/data", nil)
	require.Equal(t, string(content[:1<<19]), body)
}

// A file that may not become large leaves blobs out; its reader asks for them in its own file, and gets them with the next one.
func TestWhatHadNoRoomIsAskedFor(t *testing.T) {
	a, b := alone(t, "a"), alone(t, "b")
	met(t, a, b)
	content := noise(3 << 20)
	putNamed(t, a, "large", content)
	file, r := packFile(t, a, api.CarryOptions{Limit: 2 << 20})
	require.Equal(t, 1, r.Left)
	require.LessOrEqual(t, len(file), 2<<20)
	got, err := unpackFile(t, b, file)
	require.NoError(t, err)
	require.True(t, got.Adopted)
	require.Contains(t, got.Advice, "1 files that its records need have not come")
	bring(t, b, a)
	_, r = packFile(t, b, api.CarryOptions{})
	require.Equal(t, 1, r.Lacks)
	bring(t, a, b)
	_, body := request(t, b, "GET", "/v1/data/large", nil)
	require.Equal(t, string(content), body)
	_, r = packFile(t, b, api.CarryOptions{})
	require.Zero(t, r.Lacks)
}

// The directories of a broker bring files to whoever synchronises them: one file of each broker, which is replaced.
func TestOutboxAndInbox(t *testing.T) {
	a, b := alone(t, "a"), alone(t, "b")
	met(t, a, b)
	dir := t.TempDir()
	box := func(n *Node) *dirs {
		return &dirs{carrier: n.carrier, out: dir, in: dir, seen: map[string]glance{}, said: map[string]bool{}}
	}
	ours, theirs := box(a), box(b)
	submit(t, a, "one")
	before := ours.clocks()["b"]
	require.NoError(t, ours.putOut(t.Context()))
	require.NoError(t, ours.takeIn(t.Context()), "its own file is passed over")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cut"+carry.Suffix), nil, 0o600))
	require.NoError(t, theirs.takeIn(t.Context()))
	status, body := request(t, b, "GET", "/v1/jobs/one", nil)
	require.Equal(t, 200, status, body)
	require.NoError(t, theirs.putOut(t.Context()))
	require.NoError(t, ours.takeIn(t.Context()))
	require.NotEqual(t, before, ours.clocks()["b"], "b has said that it holds more")
	list, err := filesIn(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"a" + carry.Suffix, "b" + carry.Suffix, "cut" + carry.Suffix}, list)
	info, err := os.Stat(filepath.Join(dir, "a"+carry.Suffix))
	require.NoError(t, err)
	ours.packed = time.Time{}
	require.NoError(t, ours.putOut(t.Context()))
	again, err := os.Stat(filepath.Join(dir, "a"+carry.Suffix))
	require.NoError(t, err)
	require.NotEqual(t, info.ModTime(), again.ModTime(), "b has said what it holds: the file holds less")
	ours.packed = time.Time{}
	require.NoError(t, ours.putOut(t.Context()))
	last, err := os.Stat(filepath.Join(dir, "a"+carry.Suffix))
	require.NoError(t, err)
	require.Equal(t, again.ModTime(), last.ModTime(), "nothing is new")
}
