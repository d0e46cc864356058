package sim

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/tree"
)

// manifestOf stores a manifest of some files, by content, at a broker, and not the files.
func manifestOf(t *testing.T, c *Cluster, at string, contents ...string) (manifest job.Digest, files []api.Blob) {
	m := &tree.Manifest{}
	for i, content := range contents {
		b, err := api.Measure(api.Bytes([]byte(content)))
		require.NoError(t, err)
		files = append(files, b)
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("file%03d", i), Mode: 0o644, Digest: b.Digest, Size: b.Size})
	}
	text, err := m.Encode()
	require.NoError(t, err)
	return upload(t, c, at, string(text)), files
}

// withTree is a job with a directory as its input.
func withTree(manifest job.Digest, constraints ...string) job.Spec {
	return job.Spec{
		Command: "1s", Inputs: map[string]string{"data/": string(manifest)}, Constraints: constraints, Priority: job.Priority{User: job.DefaultUser},
	}
}

// A directory counts as on a broker when each of its files is: a job is not taken before, as a copy counts nobody who lacks one
// (rule A1), and a file that is lost is got again from who has it (rule R3).
func TestClusterDirectoryIsAllOfItsFiles(t *testing.T) {
	two := func(cfg *node.Config) { cfg.Replicas = 2 }
	inCluster(t, 2, two, func(t *testing.T, c *Cluster) {
		ctx := context.Background()
		contents := []string{"the water", "stands at", "4.10 m"}
		manifest, files := manifestOf(t, c, "b0", contents...)
		missing, err := c.Client("b0").MissingFiles(ctx, manifest)
		require.NoError(t, err)
		require.Len(t, missing, 3)
		upload(t, c, "b0", contents[0])
		upload(t, c, "b0", contents[2])
		_, err = c.Client("b0").Submit(ctx, withTree(manifest, "camera"), api.SubmitOptions{ID: "waiting"})
		requireCode(t, err, http.StatusUnprocessableEntity, api.CodeMissingBlobs, string(files[1].Digest))
		upload(t, c, "b0", contents[1])
		missing, err = c.Client("b0").MissingFiles(ctx, manifest)
		require.NoError(t, err)
		require.Empty(t, missing)

		s, err := c.Client("b0").Submit(ctx, withTree(manifest, "camera"), api.SubmitOptions{ID: "waiting"})
		require.NoError(t, err)
		require.Equal(t, 2, s.Replicas)
		missing, err = c.Client("b1").MissingFiles(ctx, manifest)
		require.NoError(t, err)
		require.Empty(t, missing, "who confirms a copy of a directory confirms its files")

		c.Kill("b0")
		blobFile(t, c, "b0", files[1].Digest)[3] ^= 0x04
		c.Restart("b0")
		c.Eventually(time.Minute, "b0 is back", func() bool { return c.Client("b0").Ready(ctx) == nil })
		_, err = c.Client("b0").Blob(ctx, files[1].Digest)
		requireCode(t, err, http.StatusNotFound, api.CodeNotFound)
		c.Eventually(time.Minute, "it has been got again", func() bool { return hasBlob(t, c, "b0", files[1].Digest) })
		require.Equal(t, contents[1], string(blobFile(t, c, "b0", files[1].Digest)))
	})
}

// What is no manifest, or one that climbs out, is refused by name, and so is a question for its files.
func TestClusterNoManifest(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *Cluster) {
		for _, text := range []string{"the water stands at 4.10 m", `{"manifest":1,"entries":[{"path":"../x","dir":true}]}`} {
			d := upload(t, c, "b0", text)
			_, err := c.Client("b0").Submit(t.Context(), withTree(d), api.SubmitOptions{ID: "j"})
			requireCode(t, err, http.StatusUnprocessableEntity, api.CodeInvalid, "no manifest")
			_, err = c.Client("b0").MissingFiles(t.Context(), d)
			requireCode(t, err, http.StatusUnprocessableEntity, api.CodeInvalid, "no manifest")
		}
	})
}

// The files of a directory stay as long as a record names its manifest, and no longer (rule L8).
func TestClusterSweepsDirectories(t *testing.T) {
	configure := func(cfg *node.Config) { cfg.BlobGrace, cfg.Retention = 10*time.Minute, 2*time.Hour }
	inCluster(t, 1, configure, func(t *testing.T, c *Cluster) {
		named, files := manifestOf(t, c, "b0", "named", "named, too")
		nobody, others := manifestOf(t, c, "b0", "nobody's")
		for _, content := range []string{"named", "named, too", "nobody's"} {
			upload(t, c, "b0", content)
		}
		_, err := c.Client("b0").Submit(t.Context(), withTree(named), api.SubmitOptions{ID: "j"})
		require.NoError(t, err)
		onDisk := func(d job.Digest) bool {
			_, err := c.nodes["b0"].disk.Stat("/data/blobs/" + string(d[:2]) + "/" + string(d[2:]))
			return err == nil
		}
		time.Sleep(time.Hour)
		require.False(t, onDisk(nobody))
		require.False(t, onDisk(others[0].Digest))
		require.True(t, onDisk(named))
		require.True(t, onDisk(files[0].Digest))
		require.True(t, onDisk(files[1].Digest))
		time.Sleep(2 * time.Hour) // the job is forgotten
		require.False(t, c.Knows("b0", "j"))
		require.False(t, onDisk(named))
		require.False(t, onDisk(files[1].Digest))
	})
}

// The executor has none of a directory and gets all of it; the one that lacks a file runs nothing until it has come.
func TestClusterDirectoryTravels(t *testing.T) {
	one := func(cfg *node.Config) { cfg.Replicas = 1 }
	inCluster(t, 2, one, func(t *testing.T, c *Cluster) {
		contents := make([]string, 20)
		for i := range contents {
			contents[i] = fmt.Sprint("tile ", i)
			upload(t, c, "b0", contents[i])
		}
		manifest, files := manifestOf(t, c, "b0", contents...)
		_, err := c.Client("b0").Submit(t.Context(), withTree(manifest, "name=b1"), api.SubmitOptions{ID: "j"})
		require.NoError(t, err)
		j, err := c.Client("b0").Job(t.Context(), "j", time.Minute)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State, j.Reason)
		require.Equal(t, "b1", j.Executor)
		for i, f := range files {
			require.Equal(t, contents[i], string(blobFile(t, c, "b1", f.Digest)))
		}
	})
}
