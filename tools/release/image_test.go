package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

// The archives are layouts of OCI, whole and with matching digests, and what docker loads.
func TestImages(t *testing.T) {
	m := theOne(t)
	for _, arch := range []string{"amd64", "arm64"} {
		file := m.file(t, "*_linux_"+arch+".oci.tar")
		dir := t.TempDir()
		command(t, "tar", "-xf", file, "-C", dir)
		index, err := layout.ImageIndexFromPath(dir)
		require.NoError(t, err)
		require.NoError(t, validate.Index(index))
		tag, err := name.NewTag("ucp:latest")
		require.NoError(t, err)
		image, err := tarball.ImageFromPath(file, &tag)
		require.NoError(t, err)
		require.NoError(t, validate.Image(image))
		config, err := image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, "linux "+arch, config.OS+" "+config.Architecture)
		require.Equal(t, "65532:65532", config.Config.User)
		require.Equal(t, []string{"CMD", "/usr/bin/ucp", "health"}, config.Config.Healthcheck.Test)
		require.Len(t, config.RootFS.DiffIDs, 1)
	}
	dir := t.TempDir()
	command(t, "tar", "-xf", m.file(t, "ucp_*_linux.oci.tar"), "-C", dir)
	top, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(top))
	manifest, err := top.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1, "one name for all")
	both, err := top.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	manifest, err = both.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 2)
	if _, err := exec.LookPath("skopeo"); err == nil {
		var seen struct{ Architecture string }
		require.NoError(t, json.Unmarshal([]byte(command(t, "skopeo", "inspect", "--override-arch", "arm64", "oci-archive:"+m.file(t, "ucp_*_linux.oci.tar"))), &seen))
		require.Equal(t, "arm64", seen.Architecture)
		require.NoError(t, json.Unmarshal([]byte(command(t, "skopeo", "inspect", "docker-archive:"+m.file(t, "*_linux_amd64.oci.tar")+":ucp:latest")), &seen))
		require.Equal(t, "amd64", seen.Architecture)
	} else {
		t.Log("NOT TESTED: what skopeo thinks of the images; it is not installed")
	}
}

// A broker runs in the image as its user, with nothing else there, and its health check tells how it is.
func TestTheImageRuns(t *testing.T) {
	m := theOne(t)
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: needs root, for a directory as /")
	}
	tag, err := name.NewTag("ucp:latest")
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(m.file(t, "*_linux_amd64.oci.tar"), &tag)
	require.NoError(t, err)
	root := t.TempDir()
	unpack(t, image, root)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	in := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = config.Config.WorkingDir, append(config.Config.Env, "UCP_RPC_ADDR=-", "UCP_BIND=127.0.0.1:0", "UCP_HTTP_ADDR=127.0.0.1:18471", "UCP_ADDR=127.0.0.1:18471")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	require.Error(t, in(config.Config.Healthcheck.Test[1:]...).Run(), "nobody is there yet")
	broker := in(append(config.Config.Entrypoint, config.Config.Cmd...)...)
	var said bytes.Buffer
	broker.Stderr = &said
	require.NoError(t, broker.Start())
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	healthy := false
	for end := time.Now().Add(30 * time.Second); !healthy && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		healthy = in(config.Config.Healthcheck.Test[1:]...).Run() == nil
	}
	require.NoError(t, broker.Process.Signal(syscall.SIGTERM))
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		_ = broker.Process.Kill()
		err = <-ended
	}
	require.True(t, healthy, said.String())
	require.NoError(t, err, said.String())
	require.DirExists(t, filepath.Join(root, "var/lib/ucp"))
}

// unpack writes the files of an image.
func unpack(t *testing.T, image v1.Image, root string) {
	layers, err := image.Layers()
	require.NoError(t, err)
	for _, l := range layers {
		files, err := l.Uncompressed()
		require.NoError(t, err)
		cmd := exec.Command("tar", "-xp", "--numeric-owner", "-C", root)
		cmd.Stdin = files
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoError(t, files.Close())
	}
}
