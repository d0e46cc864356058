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
	t.Cleanup(func() { _ = os.WriteFile(dir+"/"+name, []byte("-1"), 0o200) })
	if _, err := os.Stat(dir + "/" + name); err == nil {
		return // of a test that was broken off
	}
	if err := os.WriteFile(dir+"/register", []byte(rule), 0o200); err != nil {
		t.Skipf("NOT TESTED: the emulator can't be registered: %v", err)
	}
}

// The build for arm64 starts a broker, which keeps data and runs a job, where the emulator can start its workers.
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
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	broker.Stderr = log
	said := func() string {
		text, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		return string(text)
	}
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
			t.Log(said())
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
	at := func(args ...string) *exec.Cmd {
		return exec.Command(ucp, append([]string{"--addr", "127.0.0.1:18472"}, args...)...)
	}
	for _, args := range [][]string{{"data", "put", "tools/words", words}, {"data", "get", "tools/words", "--to", words + ".back"}} {
		out, err := at(args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	put, err := os.ReadFile(words)
	require.NoError(t, err)
	got, err := os.ReadFile(words + ".back")
	require.NoError(t, err)
	require.True(t, bytes.Equal(put, got), "what is put is what is got")

	out, err = at("run", words, "--constraint", "arch=arm64", "--place-timeout", "20s", "--stdin", text).CombinedOutput()
	if err != nil && strings.Contains(said(), "fork/exec /proc/self/exe: invalid argument") {
		t.Skip("NOT TESTED: a job on arm64. The broker runs, but qemu-user refuses what starts its workers (clone with CLONE_PARENT)")
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "7 flood")
}
