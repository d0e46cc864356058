package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// emulator lets this machine run programs for arm64: it starts workers as the broker does, by the kernel. It is registered for the
// time of the test where it is not yet.
func emulator(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		return
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("NOT TESTED: needs qemu-aarch64-static (apt-get install qemu-user-static)")
	}
	const dir, name = "/proc/sys/fs/binfmt_misc", "ucp-release-arm64"
	if _, err := os.Stat(dir + "/register"); err != nil {
		if out, err := exec.Command("mount", "-t", "binfmt_misc", "binfmt_misc", dir).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: this kernel starts no programs of other machines: %s", out)
		}
	}
	// The first bytes of a program for arm64, and which of them count. F: the emulator is opened now.
	rule := ":" + name + `:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:` + qemu + ":F"
	if err := os.WriteFile(dir+"/register", []byte(rule), 0o200); err != nil {
		t.Skipf("NOT TESTED: the emulator can't be registered: %v", err)
	}
	t.Cleanup(func() { _ = os.WriteFile(dir+"/"+name, []byte("-1"), 0o200) })
}

// The build for arm64 starts a broker, which runs a job.
func TestARM64RunsAJob(t *testing.T) {
	m := theOne(t)
	emulator(t)
	ucp := filepath.Join(m.unpacked(t, "*_linux_arm64.tar.gz"), "ucp")
	require.Contains(t, command(t, ucp, "version"), "linux/arm64")
	dir := t.TempDir()
	words := filepath.Join(dir, "words.wasm")
	build := exec.Command("go", "build", "-o", words, "./examples/words")
	build.Dir, build.Env = source, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	broker := exec.Command(ucp, "agent", "--name", "arm", "--data-dir", filepath.Join(dir, "data"), "--bind", "127.0.0.1:0", "--rpc-addr", "-", "--http-addr", "127.0.0.1:18472", "--memory", "1GiB")
	var said bytes.Buffer
	broker.Stderr = &said
	require.NoError(t, broker.Start())
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	t.Cleanup(func() {
		_ = broker.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = broker.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(said.String())
		}
	})
	ready := func() bool {
		return exec.Command(ucp, "--addr", "127.0.0.1:18472", "health", "--ready").Run() == nil
	}
	for end := time.Now().Add(2 * time.Minute); !ready(); time.Sleep(200 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "it answers")
	}
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("flood ", 7)), 0o600))
	require.Contains(t, command(t, ucp, "--addr", "127.0.0.1:18472", "run", words, "--constraint", "arch=arm64", "--stdin", text), "7 flood")
}
