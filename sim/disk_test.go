package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/sim/simnet"
)

// upload stores content as a blob at a broker.
func upload(t *testing.T, c *Cluster, name, content string) job.Digest {
	b, err := api.Measure(api.Bytes([]byte(content)))
	require.NoError(t, err)
	_, err = c.Client(name).PutBlob(t.Context(), b, api.Bytes([]byte(content)))
	require.NoError(t, err)
	return b.Digest
}

// with is a job that reads a blob.
func with(d job.Digest, takes string, constraints ...string) job.Spec {
	return job.Spec{Command: takes, Stdin: d, Constraints: constraints, Priority: job.Priority{User: job.DefaultUser}}
}

// blobFile is the content of a blob's file on a broker's disk; a change of it is what a
// disk does silently.
func blobFile(t *testing.T, c *Cluster, name string, d job.Digest) []byte {
	data, err := c.nodes[name].disk.UnsafeGetFileDataBuffer("/data/blobs/" + string(d[:2]) + "/" + string(d[2:]))
	require.NoError(t, err)
	return data
}

func hasBlob(t *testing.T, c *Cluster, name string, d job.Digest) bool {
	here, err := c.Client(name).HasBlob(t.Context(), d)
	require.NoError(t, err)
	return here
}

// metric reads one of a broker's figures.
func metric(t *testing.T, c *Cluster, name, metric string) string {
	r, err := c.Client(name).Metrics(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, metric+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func requireCode(t *testing.T, err error, status int, code string, says ...string) *api.Error {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.Status, e.Message)
	require.Equal(t, code, e.Code, e.Message)
	for _, s := range says {
		require.Contains(t, e.Message, s)
	}
	return e
}

// Below the reserve of free space new jobs and blobs get 507 with the reason, what is
// here can still be read, others give the broker no jobs, and all is well again by
// itself when there is room.
func TestClusterFullDisk(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, nil, func(t *testing.T, c *Cluster) {
		known := upload(t, c, "b0", "a map")
		_, err := c.Submit("b0", "before", time.Second)
		require.NoError(t, err)
		_, err = c.Client("b0").Submit(t.Context(), with("", "1m"), api.SubmitOptions{ID: "running"})
		require.NoError(t, err)
		room := func(mib uint64) {
			const ballast = 16 // is a part of the reserve
			c.nodes["b0"].disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: (mib - ballast) << 20, TotalBytes: 1 << 40})
		}
		room(256)
		time.Sleep(5 * time.Second) // until there is a ballast
		_, err = c.Submit("b0", "at-the-reserve", time.Second)
		require.NoError(t, err, "the reserve itself is enough")

		room(255) // and at once: the disk is looked at when a job comes
		_, err = c.Submit("b0", "refused", time.Second)
		requireCode(t, err, http.StatusInsufficientStorage, api.CodeNoSpace, "255 MiB free", "reserve of 256 MiB", "--disk-reserve", "still be read")
		blob, err := api.Measure(api.Bytes([]byte("new")))
		require.NoError(t, err)
		_, err = c.Client("b0").PutBlob(t.Context(), blob, api.Bytes([]byte("new")))
		requireCode(t, err, http.StatusInsufficientStorage, api.CodeNoSpace, "255 MiB free")
		require.False(t, hasBlob(t, c, "b0", blob.Digest))

		_, err = c.Client("b0").Job(t.Context(), "before", 0)
		require.NoError(t, err, "reads go on")
		_, err = c.Client("b0").Jobs(t.Context(), api.ListOptions{})
		require.NoError(t, err)
		require.True(t, hasBlob(t, c, "b0", known))
		require.Equal(t, known, upload(t, c, "b0", "a map"), "what is here need not be stored")
		require.NoError(t, c.Client("b0").Ready(t.Context()))
		s, err := c.Client("b0").Coordination(t.Context())
		require.NoError(t, err)
		require.True(t, s.DiskFull)
		require.False(t, c.Knows("b1", "refused"), "a refused job is nowhere")

		time.Sleep(2 * time.Minute) // b1 has heard of it
		for i := range 6 {
			id := job.ID(fmt.Sprint("elsewhere", i))
			_, err = c.Submit("b1", id, time.Second)
			require.NoError(t, err)
			j, err := c.Client("b1").Job(t.Context(), string(id), 30*time.Second)
			require.NoError(t, err)
			require.Equal(t, job.StateSucceeded, j.State)
			require.Equal(t, "b1", j.Executor, "nobody gives a full broker a job")
			require.True(t, c.Knows("b0", id), "but it goes on learning")
		}
		j, err := c.Client("b0").Job(t.Context(), "running", 0)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State, "what ran goes on to its end")

		room(257)
		bytes := make([]byte, 1<<20+1)
		large := api.Bytes(bytes)
		blob, err = api.Measure(large)
		require.NoError(t, err)
		_, err = c.Client("b0").PutBlob(t.Context(), blob, large)
		requireCode(t, err, http.StatusInsufficientStorage, api.CodeNoSpace, "room for 1 MiB above its reserve", "this file has 1 MiB")
		large = api.Bytes(bytes[:1<<20])
		blob, err = api.Measure(large)
		require.NoError(t, err)
		for range 2 {
			_, err = c.Client("b0").PutBlob(t.Context(), blob, large)
			require.NoError(t, err, "what an upload has announced is given back in the end")
		}
		_, err = c.Submit("b0", "refused", time.Second)
		require.NoError(t, err, "it recovers by itself")
		s, err = c.Client("b0").Coordination(t.Context())
		require.NoError(t, err)
		require.False(t, s.DiskFull)
	})
}

// A negative reserve is none.
func TestClusterNoReserve(t *testing.T) {
	t.Parallel()
	none := func(cfg *node.Config) { cfg.DiskReserve = -1 }
	inCluster(t, 1, none, func(t *testing.T, c *Cluster) {
		c.nodes["b0"].disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1})
		time.Sleep(10 * time.Second)
		_, err := c.Submit("b0", "j", time.Second)
		require.NoError(t, err)
	})
}

// reader is a runner whose jobs note the digest of their standard input, read as a
// worker would: from the file that the blob store says is sound.
type reader struct {
	node.Runner
	blobs executor.Blobs
	read  func(job.ID, error)
}

func (r reader) Start(t executor.Task) {
	if t.Spec.Stdin != "" {
		_, err := r.blobs.Path(t.Spec.Stdin)
		r.read(t.ID, err)
	}
	r.Runner.Start(t)
}

// A byte of a blob's file changes while its broker is down. The broker finds that before
// it uses or serves the blob, moves it aside and fetches it from another holder; the
// job runs with the right input.
func TestClusterCorruptBlobIsFetchedAgain(t *testing.T) {
	t.Parallel()
	// With one replica b1 fetches what it is to run; with two b0 also brings it a copy.
	for replicas := 1; replicas <= 2; replicas++ {
		t.Run(fmt.Sprint("replicas ", replicas), func(t *testing.T) { corruptBlob(t, replicas) })
	}
}

func corruptBlob(t *testing.T, replicas int) {
	var mu sync.Mutex
	paths := map[job.ID]error{}
	look := func(cfg *node.Config) {
		cfg.Replicas = replicas
		inner := cfg.Runner
		cfg.Runner = func(rc node.RunnerConfig) (node.Runner, error) {
			r, err := inner(rc)
			return reader{r, rc.Blobs, func(id job.ID, err error) {
				mu.Lock()
				defer mu.Unlock()
				paths[id] = err
			}}, err
		}
	}
	content := strings.Repeat("the water stands at 4.10 m; ", 1000)
	inCluster(t, 2, look, func(t *testing.T, c *Cluster) {
		d := upload(t, c, "b0", content)
		s, err := c.Client("b0").Submit(t.Context(), with(d, "1s", "name=b1"), api.SubmitOptions{ID: "first"})
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.Replicas, replicas)
		_, err = c.Client("b0").Job(t.Context(), "first", time.Minute)
		require.NoError(t, err)

		c.Kill("b1")
		damaged := blobFile(t, c, "b1", d)
		damaged[500] ^= 0x04
		damagedText := bytes.Clone(damaged)
		time.Sleep(10 * time.Second)
		c.Restart("b1")
		c.Eventually(time.Minute, "b1 is back", func() bool {
			s, err := c.Client("b0").Coordination(context.Background())
			return err == nil && s.HealthyPeers == 1
		})
		_, err = c.Client("b0").Submit(t.Context(), with(d, "1s", "name=b1"), api.SubmitOptions{ID: "second"})
		require.NoError(t, err)
		j, err := c.Client("b0").Job(t.Context(), "second", time.Minute)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State, j.Reason)
		require.Equal(t, "b1", j.Executor)
		require.Equal(t, content, string(blobFile(t, c, "b1", d)), "the right bytes are back")
		aside, err := c.nodes["b1"].disk.UnsafeGetFileDataBuffer("/data/blobs/corrupt/" + string(d))
		require.NoError(t, err)
		require.Equal(t, damagedText, aside, "the damaged ones are kept for who wants to look")
		require.Equal(t, "1", metric(t, c, "b1", "ucp_blobs_corrupt_total"))
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, paths, job.ID("second"))
		require.ErrorContains(t, paths["second"], "not on a file system that other processes see", "sound, but in a simulation nobody can open it")
	})
}

// The input of a job that waits is damaged at the job's owner, and found to be when somebody asks for it. The owner gets it
// from the broker that has the copy (rule R3).
func TestClusterDamagedInputIsRepaired(t *testing.T) {
	t.Parallel()
	two := func(cfg *node.Config) { cfg.Replicas = 2 }
	inCluster(t, 2, two, func(t *testing.T, c *Cluster) {
		content := strings.Repeat("the water stands at 4.10 m; ", 1000)
		d := upload(t, c, "b0", content)
		s, err := c.Client("b0").Submit(t.Context(), with(d, "1s", "camera"), api.SubmitOptions{ID: "waiting"})
		require.NoError(t, err)
		require.Equal(t, 2, s.Replicas)
		c.Kill("b0")
		blobFile(t, c, "b0", d)[500] ^= 0x04
		c.Restart("b0")
		c.Eventually(time.Minute, "b0 is back", func() bool { return c.Client("b0").Ready(context.Background()) == nil })
		_, err = c.Client("b0").Blob(t.Context(), d)
		requireCode(t, err, http.StatusNotFound, api.CodeNotFound)
		c.Eventually(time.Minute, "it has been got again", func() bool { return hasBlob(t, c, "b0", d) })
		require.Equal(t, content, string(blobFile(t, c, "b0", d)))
		c.Eventually(time.Minute, "it is counted", func() bool {
			return metric(t, c, "b0", `ucp_decisions_total{what="copies_repaired"}`) == "1"
		})
	})
}

// A damaged blob is neither served nor counted as here: not for GET and HEAD, not for a
// submission (rule A1), and a PUT stores it again.
func TestClusterCorruptBlobIsNeverServed(t *testing.T) {
	t.Parallel()
	for _, ask := range []string{"get", "head", "put", "submit"} {
		t.Run(ask, func(t *testing.T) {
			inCluster(t, 1, nil, func(t *testing.T, c *Cluster) {
				content := "levels of the river"
				d := upload(t, c, "b0", content)
				c.Kill("b0")
				blobFile(t, c, "b0", d)[3] ^= 0x80
				c.Restart("b0")
				c.Eventually(time.Minute, "it is back", func() bool { return c.Client("b0").Ready(context.Background()) == nil })
				switch ask {
				case "get":
					_, err := c.Client("b0").Blob(t.Context(), d)
					requireCode(t, err, http.StatusNotFound, api.CodeNotFound)
				case "head":
					require.False(t, hasBlob(t, c, "b0", d))
				case "submit":
					_, err := c.Client("b0").Submit(t.Context(), with(d, "1s"), api.SubmitOptions{ID: "j"})
					requireCode(t, err, http.StatusUnprocessableEntity, api.CodeMissingBlobs, string(d))
				}
				upload(t, c, "b0", content)
				r, err := c.Client("b0").Blob(t.Context(), d)
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, errors.Join(err, r.Close()))
				sum := sha256.Sum256(got)
				require.Equal(t, string(d), hex.EncodeToString(sum[:]))
			})
		})
	}
}

// Blobs that no record names disappear after the grace; those of jobs, finished or
// not, stay as long as these are remembered; and what somebody relied on stays for the
// grace, however old it is (rule L8).
func TestClusterSweepsBlobs(t *testing.T) {
	t.Parallel()
	configure := func(cfg *node.Config) { cfg.BlobGrace, cfg.Retention = 10*time.Minute, 2*time.Hour }
	inCluster(t, 1, configure, func(t *testing.T, c *Cluster) {
		nobody, finished, waiting := upload(t, c, "b0", "nobody's"), upload(t, c, "b0", "finished"), upload(t, c, "b0", "waiting")
		_, err := c.Client("b0").Submit(t.Context(), with(finished, "1s"), api.SubmitOptions{ID: "finished"})
		require.NoError(t, err)
		_, err = c.Client("b0").Submit(t.Context(), with(waiting, "1s", "camera"), api.SubmitOptions{ID: "waiting"})
		require.NoError(t, err)
		onDisk := func(d job.Digest) bool { // a HEAD would be a sign that somebody relies on it
			_, err := c.nodes["b0"].disk.Stat("/data/blobs/" + string(d[:2]) + "/" + string(d[2:]))
			return err == nil
		}
		time.Sleep(9 * time.Minute)
		require.True(t, onDisk(nobody), "younger than the grace")
		time.Sleep(13 * time.Minute)
		require.False(t, onDisk(nobody), "two graces are over")
		require.True(t, onDisk(finished))
		require.True(t, onDisk(waiting))
		require.Equal(t, "1", metric(t, c, "b0", "ucp_blobs_removed_total"))

		time.Sleep(2 * time.Hour) // the finished job is forgotten
		require.False(t, c.Knows("b0", "finished"))
		time.Sleep(time.Hour)
		require.False(t, onDisk(finished))
		require.True(t, onDisk(waiting), "an unfinished job's input stays for ever")

		// At every moment between two sweeps: a look, and the blob stays for the grace.
		for minute := range 10 {
			d := upload(t, c, "b0", "again")
			time.Sleep(19 * time.Minute)
			for !onDisk(d) {
				d = upload(t, c, "b0", "again")
			}
			time.Sleep(time.Duration(minute) * time.Minute)
			if !hasBlob(t, c, "b0", d) {
				continue // it went before anybody looked
			}
			time.Sleep(10*time.Minute - time.Second)
			require.True(t, onDisk(d), "somebody looked %v ago", 10*time.Minute-time.Second)
		}
	})
}

// A failed fsync ends the broker with an error that says so; nothing that was to be
// acknowledged by it is; and after a restart, with a sound disk, all is there that was.
func TestClusterFailedFsyncEndsTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		c := NewCluster(t, 1, simnet.Options{Seed: 1})
		defer c.Close()
		c.Configure = func(cfg *node.Config) {
			cfg.FS = errorfs.Wrap(cfg.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
				isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
				if broken.Load() && isSync && strings.HasSuffix(op.Path, ".log") {
					return syscall.EIO
				}
				return nil
			}))
		}
		c.StartAll()
		_, err := c.Submit("b0", "before", time.Second)
		require.NoError(t, err)
		broken.Store(true)
		_, err = c.Submit("b0", "lost", time.Second)
		require.Error(t, err, "not acknowledged")
		n := c.nodes["b0"]
		err = <-n.ended // by itself
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorContains(t, err, "the disk failed")
		require.ErrorContains(t, err, ".log")
		n.ended <- err // for Kill
		broken.Store(false)
		c.Kill("b0")
		c.Restart("b0")
		c.Eventually(time.Minute, "it is back", func() bool { return c.Client("b0").Ready(context.Background()) == nil })
		require.True(t, c.Knows("b0", "before"))
	})
}

// A file of the database that is damaged stops the start, and says what to do; it is
// never read as data.
func TestClusterDamagedDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, nil, func(t *testing.T, c *Cluster) {
		for i := range 20 {
			_, err := c.Submit("b0", job.ID(fmt.Sprint("j", i)), time.Hour)
			require.NoError(t, err)
		}
		c.Kill("b0")
		disk := c.nodes["b0"].disk
		names, err := disk.List("/data/db")
		require.NoError(t, err)
		newest := ""
		for _, name := range names {
			if strings.HasSuffix(name, ".log") {
				newest = max(newest, name)
			}
		}
		data, err := disk.UnsafeGetFileDataBuffer("/data/db/" + newest)
		require.NoError(t, err)
		data[len(data)/2] ^= 1
		_, err = node.New(node.Config{Name: "b0", DataDir: "/data", FS: disk, RPCAddr: "-", Network: hostNetwork{c.Host("b0")}, Insecure: true})
		require.ErrorContains(t, err, "/data/db/"+newest)
		require.ErrorContains(t, err, "corrupt")
		require.ErrorContains(t, err, "move the directory away")
	})
}
