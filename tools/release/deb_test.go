package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine is a Debian of its own in a directory, started by its own systemd: what an operator has.
type machine struct {
	t      *testing.T
	root   string
	leader string // the number of its first process
}

// debian makes the files of a minimal Debian, or takes those that were made before: they come from the archive.
func debian(t *testing.T) string {
	for _, name := range []string{"systemd-nspawn", "mmdebstrap", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil || os.Getuid() != 0 {
			t.Skipf("NOT TESTED: needs root and %s (apt-get install systemd-container mmdebstrap)", name)
		}
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	archive := filepath.Join(cache, "ucp-release-test", "debian-12.tar")
	if _, err := os.Stat(archive); errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, os.MkdirAll(filepath.Dir(archive), 0o700))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", "bookworm", archive+".part").CombinedOutput()
		if err != nil {
			t.Skipf("NOT TESTED: a Debian can't be had here: %v: %s", err, out)
		}
		require.NoError(t, os.Rename(archive+".part", archive))
	}
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	command(t, "tar", "-xp", "-f", archive, "-C", root, "--exclude=./dev/*")
	return root
}

// boot starts it, without a network, and stops it as the test ends.
func boot(t *testing.T, root string) *machine {
	name := fmt.Sprint("ucp-release-", os.Getpid())
	cmd := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--directory="+root, "--machine="+name, "--boot",
		"--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self") // a machine has them, older containers do not
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes") // as on a machine: programs may have a /proc of their own
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it shuts down
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	m := &machine{t: t, root: root}
	pid := strconv.Itoa(cmd.Process.Pid)
	m.eventually("it has started", func() bool {
		children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		m.leader = strings.TrimSpace(string(children))
		if err != nil || m.leader == "" || strings.Contains(m.leader, " ") {
			return false
		}
		out, err := m.run("systemctl is-system-running")
		return err == nil || strings.HasPrefix(out, "degraded") // some units need what a container has not
	})
	return m
}

// run says a line to its shell, and returns what that prints.
func (m *machine) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", m.leader, "--all", "--", "/bin/sh", "-c", line)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C", "DEBIAN_FRONTEND=noninteractive"}
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, problem.Bytes())
	}
	return string(out), err
}

// must is run for what has to succeed.
func (m *machine) must(line string) string {
	m.t.Helper()
	out, err := m.run(line)
	if err != nil {
		journal, _ := m.run("journalctl --no-pager -n 60 -u ucp; systemctl --no-pager status ucp")
		require.NoError(m.t, err, "%s\n%s\n%s", line, out, journal)
	}
	return out
}

func (m *machine) eventually(what string, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			journal, _ := m.run("journalctl --no-pager -n 60 -u ucp; systemctl --no-pager status ucp")
			require.Fail(m.t, "not in two minutes: "+what, journal)
		}
	}
}

// property is one of the service.
func (m *machine) property(name string) string {
	return strings.TrimSpace(m.must("systemctl show --value -p " + name + " ucp.service"))
}

// before makes the package of the version before: of the last tag before this commit, or, as long as there is none, of the commit
// before the first that had packages, whose program did not tell systemd yet that it was ready.
func before(t *testing.T) string {
	commit, err := exec.Command("git", "-C", source, "describe", "--tags", "--abbrev=0", "--match=v*", "HEAD~1").Output()
	if err != nil {
		first := strings.Fields(command(t, "git", "-C", source, "log", "--diff-filter=A", "--format=%H", "--", recipe))
		require.NotEmpty(t, first)
		commit = []byte(command(t, "git", "-C", source, "rev-parse", first[len(first)-1]+"~2"))
	}
	dir := t.TempDir()
	r := &release{root: filepath.Join(dir, "source"), stage: filepath.Join(dir, "stage"), out: filepath.Join(dir, "dist")}
	require.NoError(t, os.Mkdir(r.out, 0o755))
	require.NoError(t, checkout(t.Context(), source, strings.TrimSpace(string(commit)), r.root))
	if _, err := os.Stat(filepath.Join(r.root, recipe)); err != nil {
		command(t, "cp", "-r", filepath.Join(source, "deploy"), r.root)
		unit := filepath.Join(r.root, "deploy/systemd/ucp.service")
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(unit, []byte(strings.Replace(string(text), "Type=notify", "Type=exec", 1)), 0o600))
	}
	require.NoError(t, r.build(t.Context(), []string{"linux/amd64"}))
	r.version = strings.TrimSuffix(r.version, "+dirty")
	require.NoError(t, r.collectLicences(t.Context()))
	require.NoError(t, r.writeHelp(t.Context()))
	require.NoError(t, r.writePackages(t.Context()))
	return made{r.out}.file(t, "*_amd64.deb")
}

// The package of the version before is installed, started, upgraded to this one, removed, installed again and purged, as an operator does
// it. Jobs, data and settings of the version before are there after the upgrade and the removal, and gone after the purge.
func TestDeb(t *testing.T) {
	release := theOne(t)
	root := debian(t)
	old := before(t)
	words := filepath.Join(t.TempDir(), "words.wasm")
	build := exec.Command("go", "build", "-o", words, "./examples/words")
	build.Dir, build.Env = source, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for from, to := range map[string]string{old: "old.deb", release.file(t, "*_amd64.deb"): "new.deb", words: "words.wasm", filepath.Join(source, "README.md"): "README.md"} {
		command(t, "cp", from, filepath.Join(root, "root", to))
	}
	m := boot(t, root)

	m.must("dpkg -i /root/old.deb")
	first := m.must("ucp version")
	m.answers()
	require.Equal(t, "active", m.property("ActiveState"))
	counted := m.must("ucp run /root/words.wasm --id before --stdin /root/README.md")
	m.must("ucp data put tools/words /root/words.wasm && echo 'label: {site: north}' >>/etc/ucp/ucp.yaml && systemctl restart ucp")
	m.answers()
	runs := m.property("MainPID")

	m.must("dpkg -i /root/new.deb") // it does not ask about the settings that were changed
	require.NotEqual(t, first, m.must("ucp version"))
	m.answers()
	require.Equal(t, "active", m.property("ActiveState"))
	require.NotEqual(t, runs, m.property("MainPID"), "the new version runs")
	kept := func() {
		t.Helper()
		require.Equal(t, counted, m.must("ucp job logs before"))
		require.Contains(t, m.must("ucp job get before"), "succeeded")
		require.Equal(t, counted, m.must("ucp run data:tools/words --constraint site=north --place-timeout 20s --stdin /root/README.md"), "a job runs from what was put before, where it is by the settings")
		require.Equal(t, "700 ucp ucp\n", m.must("stat -c '%a %U %G' /var/lib/ucp"))
	}
	kept()
	service(t, m)

	city(t, m)

	m.must("dpkg -r ucp")
	_, err = m.run("command -v ucp || systemctl is-active ucp")
	require.Error(t, err, "it is gone")
	m.must("test -s /etc/ucp/ucp.yaml && test -n \"$(ls /var/lib/ucp)\"")
	m.must("dpkg -i /root/new.deb")
	m.answers()
	kept()
	require.Equal(t, "enabled\n", m.must("systemctl is-enabled ucp"))
	require.Contains(t, m.must("zcat /usr/share/man/man1/ucp-run.1.gz"), "ucp-run")
	m.must("test -s /usr/share/bash-completion/completions/ucp && test -s /usr/share/doc/ucp/copyright")

	m.must("dpkg -P ucp")
	m.must("! test -e /var/lib/ucp && ! test -e /etc/ucp && ! getent passwd ucp && ! test -e /usr/bin/ucp")
}

// city holds that the broker of the package becomes the first of a city as docs/install.md says, with its jobs.
func city(t *testing.T, m *machine) {
	doc, err := os.ReadFile(filepath.Join(source, "docs/install.md"))
	require.NoError(t, err)
	line := regexp.MustCompile("(?m)^\\| begin a city \\| `([^`]*)`").FindSubmatch(doc)
	require.NotNil(t, line)
	m.must(strings.ReplaceAll(string(line[1]), "sudo ", ""))
	m.answers()
	require.Equal(t, "ready\n", m.must("UCP_IDENTITY=- ucp health --ready"))
	_, err = m.run("UCP_IDENTITY=- ucp members")
	require.Error(t, err, "it answers members only")
	require.Contains(t, m.must("ucp job get before"), "succeeded")
}

// answers waits until the broker is ready.
func (m *machine) answers() {
	m.t.Helper()
	m.eventually("the broker answers", func() bool {
		_, err := m.run("ucp members")
		return err == nil
	})
}

// service holds what the unit promises: native jobs run in their sandbox, settings are read again, a broker that is killed comes back,
// one that is stopped lets its jobs end, and little of the machine is open to it.
func service(t *testing.T, m *machine) {
	m.must("echo 'allow-process: true' >>/etc/ucp/ucp.yaml && systemctl restart ucp")
	require.Equal(t, "alive\n", m.must("ucp health"))
	require.Equal(t, "ready\n", m.must("ucp health --ready"), "systemctl returns when it is ready")
	status := m.must("ucp status --full")
	for line := range strings.Lines(status) {
		if strings.HasPrefix(line, "Sandbox:") || strings.HasPrefix(line, "Around") {
			t.Log(line)
		}
	}
	walls, missing, _ := strings.Cut(status[strings.Index(status, "Sandbox:"):], "without")
	for _, wall := range []string{"no-new-privileges", "namespaces", "landlock-files", "seccomp"} {
		require.Contains(t, walls, wall, "the unit leaves a native job this wall: %s", missing)
	}
	require.Equal(t, "hello\n", m.must("ucp run --driver process /bin/echo -- hello"))
	require.Contains(t, m.property("StatusText"), "Ready")

	pid := m.property("MainPID")
	m.must("systemctl reload ucp && ucp members")
	require.Equal(t, pid, m.property("MainPID"))
	m.must("kill -9 " + pid)
	m.eventually("it is started again", func() bool { return m.property("MainPID") != pid && m.property("ActiveState") == "active" })
	require.Equal(t, "1", m.property("NRestarts"))

	m.must("ucp run --driver process --detach --id slow /bin/sleep -- 3 && sleep 1 && systemctl stop ucp")
	require.Equal(t, "success", m.property("Result"))
	m.must("systemctl start ucp")
	require.Contains(t, m.must("ucp job get slow"), "succeeded", "SIGTERM was for the broker, which let the job end")
	report := m.must("systemd-analyze --no-pager security ucp.service")
	overall := regexp.MustCompile(`Overall exposure level for ucp.service: ([0-9.]+)`).FindStringSubmatch(report)
	require.NotNil(t, overall, report)
	require.LessOrEqual(t, number(t, overall[1]), mostExposed, report)
}

func number(t *testing.T, text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return f
}

// mostExposed is how much of the machine systemd-analyze may find open to the broker, of 10: jobs have the network, and namespaces.
const mostExposed = 3.5
