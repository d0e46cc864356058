package node

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// Where records of a file have come and not the blobs that they need, the reader has told with its next file that it holds these
// records, so that no file brings the blobs by itself: it asks for them, whatever kept them away, and without that somebody looks for them.
func TestBlobsThatDidNotComeAreAskedFor(t *testing.T) {
	a, b := alone(t, "a"), alone(t, "b")
	met(t, a, b)
	comes := func(name string) {
		t.Helper()
		_, r := packFile(t, b, api.CarryOptions{})
		require.Equal(t, 1, r.Lacks, name)
		bring(t, b, a)
		bring(t, a, b)
		_, r = packFile(t, b, api.CarryOptions{})
		require.Zero(t, r.Lacks, name)
		status, body := request(t, b, "GET", "/v1/data/"+name, nil)
		require.Equal(t, http.StatusOK, status, "%s: %.200s", name, body)
	}

	putNamed(t, a, "cut", noise(3<<20))
	file, _ := packFile(t, a, api.CarryOptions{})
	r, err := unpackFile(t, b, file[:len(file)/2])
	require.NoError(t, err)
	require.True(t, r.Cut && r.Adopted, "%+v", r)
	require.Equal(t, 1, r.Lacking)
	comes("cut")

	putNamed(t, a, "changed", noise(2<<20))
	file, _ = packFile(t, a, api.CarryOptions{})
	file[len(file)/2] ^= 1
	r, err = unpackFile(t, b, file)
	require.NoError(t, err)
	require.True(t, r.Tampered && r.Adopted, "%+v", r)
	comes("changed")

	putNamed(t, a, "full", noise(4<<20))
	file, _ = packFile(t, a, api.CarryOptions{})
	hold := func(bytes int64) {
		b.reserve.mu.Lock()
		defer b.reserve.mu.Unlock()
		b.reserve.held += bytes
	}
	hold(1 << 60) // as if others were to write so much
	r, err = unpackFile(t, b, file)
	require.NoError(t, err)
	hold(-1 << 60)
	require.True(t, r.Adopted && r.Whole, "%+v", r)
	require.Equal(t, []int{1, 1, 0}, []int{r.NoRoom, r.Lacking, r.New})
	require.Contains(t, r.Advice, "has room for")
	comes("full")

	putNamed(t, a, "limit", noise(5<<20))
	file, _ = packFile(t, a, api.CarryOptions{Limit: 2 << 20})
	r, err = unpackFile(t, b, file)
	require.NoError(t, err)
	require.NotZero(t, r.Left)
	require.Equal(t, 1, r.Lacking)
	require.Contains(t, r.Advice, "asks for them")
	comes("limit")
	r, err = unpackFile(t, b, file) // and when they are there, nothing is left to be done
	require.NoError(t, err)
	require.Zero(t, r.Lacking)
	require.Empty(t, r.Advice)
}

// A packer that does not hold a blob itself has it from the brokers that it reaches; what nobody has is said.
func TestPackersFetchWhatTheyDoNotHold(t *testing.T) {
	a := startNode(t, Config{Name: "a", Replicas: 1, AckTimeout: 50 * time.Millisecond})
	b := startNode(t, Config{Name: "b", Replicas: 1, AckTimeout: 50 * time.Millisecond, Join: []string{a.members.pool.Load().Addr()}})
	require.Eventually(t, func() bool {
		return len(a.peers.holders(nil)) == 1 && len(b.peers.holders(nil)) == 1
	}, 10*time.Second, 10*time.Millisecond)
	content := noise(1 << 20)
	d := putNamed(t, a, "held-by-a", content)
	require.Eventually(t, func() bool {
		status, _ := request(t, b, "HEAD", "/v1/jobs", nil)
		list, err := clientOf(t, b).ListData(t.Context(), "", "", 10, false)
		return status != 0 && err == nil && len(list.Data) == 1
	}, 10*time.Second, 10*time.Millisecond)
	require.False(t, b.blobs.has(d), "b is to hold the record and no copy of the blob")

	var file bytes.Buffer
	r, err := clientOf(t, b).Pack(t.Context(), api.CarryOptions{For: []string{"c"}, Admit: true}, &file)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{r.Blobs, r.Missing})
	c := alone(t, "c")
	_, err = unpackFile(t, c, file.Bytes())
	require.NoError(t, err)
	_, body := request(t, c, "GET", "/v1/data/held-by-a", nil)
	require.Equal(t, string(content), body)
}

// What is said of a file stands behind it in the answer, with the names of all brokers, however many there are.
func TestFilesForManyBrokers(t *testing.T) {
	a := alone(t, "a")
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("north-district-broker-%04d", i))
	}
	_, r := packFile(t, a, api.CarryOptions{For: names, Admit: true})
	require.Equal(t, names, r.For)
}
