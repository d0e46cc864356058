package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/job"
)

// person is somebody who uses the command line, with an identity of their own or none.
type person struct {
	t   *testing.T
	dir string
}

func (p *person) environment() []string {
	env := append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME=", "UCP_IDENTITY="+filepath.Join(p.dir, "identity"))
	if token := filepath.Join(p.dir, "token"); fileExists(token) {
		env = append(env, "UCP_TOKEN_FILE="+token)
	}
	return env
}

// ucp runs a command line of theirs.
func (p *person) ucp(args ...string) result {
	p.t.Helper()
	return runIn(p.t, p.dir, p.environment(), nil, ucpBinary, args...)
}

// must is ucp for what has to succeed; it returns what was printed.
func (p *person) must(args ...string) string {
	p.t.Helper()
	r := p.ucp(args...)
	require.Equal(p.t, 0, r.code, "ucp %v: %s", args, r.stderr)
	return r.stdout
}

// insecure is a program that takes any certificate for good, and has none itself.
func insecure() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// A city begins on one machine: its broker speaks TLS with members only, and who is none is told so (rule X5).
func TestACityBegins(t *testing.T) {
	founder, stranger := &person{t, t.TempDir()}, &person{t, t.TempDir()}
	dir := filepath.Join(founder.dir, "a")
	secret := filepath.Join(founder.dir, "passphrase")
	require.NoError(t, os.WriteFile(secret, []byte("seven dry wells\n"), 0o600))
	require.Contains(t, founder.must("cluster", "init", "--city", "riverside", "--name", "a", "--data-dir", dir, "--passphrase-file", secret), "a city has begun, riverside; ")
	key, err := os.ReadFile(filepath.Join(dir, "identity", "authority"))
	require.NoError(t, err)
	require.Contains(t, string(key), "age-encryption.org", "the authority's key is encrypted")
	r := founder.ucp("cluster", "init", "--name", "a", "--data-dir", dir)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "holds an identity already")

	a := startAgent(t, "a", dir)
	require.Contains(t, founder.must("--addr", a.http, "members"), "a *")
	founder.must("--addr", a.http, "run", guestModule, "--", "sleep", "1ms")

	r = stranger.ucp("--addr", a.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "belongs to a city")
	require.Equal(t, "ready\n", stranger.must("--addr", a.http, "health", "--ready"), "a probe has no identity")
	other := filepath.Join(stranger.dir, "other")
	stranger.must("cluster", "init", "--name", "other", "--data-dir", other)
	r = stranger.ucp("--addr", a.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "authorities of another city")

	plain := startAgent(t, "plain", t.TempDir())
	r = founder.ucp("--addr", plain.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "belongs to no city")
	require.Contains(t, founder.must("--addr", "http://"+plain.http, "members"), "plain *")
	carriedBetweenCities(t, founder, a, stranger, startAgent(t, "other", other), plain)

	// A stock browser or program without an identity, that takes any certificate, has nothing but that the broker is alive.
	get := func(path string) (int, string) {
		resp, err := insecure().Get("https://" + a.http + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, _ := get("/healthz")
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{"/v1/members", "/metrics", "/broker/debug", "/v1/jobs", "/nothing"} {
		status, body := get(path)
		require.Equal(t, http.StatusForbidden, status, path)
		require.Contains(t, body, `"code":"`+api.CodeForbidden+`"`)
	}
}

// carriedBetweenCities brings files from one city to another one, and to and from a broker that belongs to none: nothing of them is taken, and what is in
// one that is encrypted to others is not shown either.
func carriedBetweenCities(t *testing.T, founder *person, a *agent, other *person, b, plain *agent) {
	t.Helper()
	ours, theirs := filepath.Join(founder.dir, "ours.ucpcarry"), filepath.Join(founder.dir, "theirs.ucpcarry")
	require.Contains(t, founder.must("--addr", a.http, "carry", "pack", "--introduce", "--to", ours), "it says who a is, and nothing else")
	require.Contains(t, founder.must("--addr", a.http, "carry", "show", ours), "signed, of the city ")
	r := founder.ucp("--addr", a.http, "carry", "pack", "--for", "never-met", "--admit", "--to", theirs)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "the key of never-met is not known here")
	require.NotContains(t, founder.must("--addr", a.http, "members"), "never-met", "nobody was admitted for nothing")
	require.NoFileExists(t, theirs)
	r = other.ucp("--addr", b.http, "carry", "unpack", ours)
	require.Equal(t, 1, r.code)
	require.Regexp(t, "it is of the city [0-9a-f]{12}, and this broker belongs to [0-9a-f]{12}", r.stderr)
	r = other.ucp("--addr", b.http, "carry", "show", ours)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stdout, "packed by a at")
	require.Equal(t, 2, strings.Count(r.stdout, "\n"), "what it can't read it does not count: %s", r.stdout)
	r = other.ucp("--addr", "http://"+plain.http, "carry", "unpack", ours)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "and this broker belongs to none")
	r = plain.ucp("carry", "pack", "--to", theirs, "--for", "a", "--admit")
	require.Equal(t, 0, r.code, r.stderr)
	r = founder.ucp("--addr", a.http, "carry", "unpack", theirs)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "it is of brokers that belong to no city: nobody has signed it")
}

// beginCity begins a city on one machine, and starts its first broker.
func beginCity(t *testing.T, args ...string) (founder *person, a *agent) {
	founder = &person{t, t.TempDir()}
	dir := filepath.Join(founder.dir, "a")
	founder.must("cluster", "init", "--city", "riverside", "--name", "a", "--data-dir", dir)
	return founder, startAgent(t, "a", dir, args...)
}

// invite is the code of an invite that somebody gets at a broker.
func (p *person) invite(at *agent, args ...string) string {
	p.t.Helper()
	code, _, _ := strings.Cut(p.must(append([]string{"--addr", at.http, "cluster", "invite"}, args...)...), "\n")
	return code
}

// sees waits until a broker shows somebody these members of the pool as alive.
func (p *person) sees(at *agent, names ...string) {
	p.t.Helper()
	eventually(p.t, time.Minute, fmt.Sprintf("%s sees %v", at.name, names), func() bool {
		r := p.ucp("--addr", at.http, "members")
		for _, name := range names {
			if !regexp.MustCompile(`(?m)^` + name + `( \*)? +alive`).MatchString(r.stdout) {
				return false
			}
		}
		return strings.Count(r.stdout, " alive ") == len(names)
	})
}

// A machine and people come into a city by invites; jobs run on it from either side; and who has none of that stays outside.
func TestACityIsEntered(t *testing.T) {
	founder, a := beginCity(t)
	code := founder.invite(a, "--name", "b")
	beside, at, _ := strings.Cut(code, "@")
	require.LessOrEqual(t, len(beside), 40)
	require.Equal(t, a.http, at)
	dir := filepath.Join(t.TempDir(), "b")
	b := startAgentAt(t, "b", dir, 1, "--invite", strings.ToLower(code))
	founder.sees(a, "a", "b")
	founder.sees(b, "a", "b")
	b.signal(syscall.SIGTERM, time.Minute)
	b = startAgent(t, "b", dir, "--invite", code) // as a unit of the machine's services does
	founder.sees(a, "a", "b")

	late := startFails(t, "late", t.TempDir(), "--invite", code)
	require.Contains(t, late, "this invite is not one of this broker's, was used, or is over")

	client := &person{t, t.TempDir()}
	require.Contains(t, client.must("login", founder.invite(a, "--role", "client"), "--name", "kim"), "you are kim (client)")
	require.Contains(t, client.must("run", guestModule, "--stdin", filepath.Join(dir, "identity", "city"), "--", "echo", "0"), "riverside", "it knows where to ask")
	client.must("--addr", b.http, "run", guestModule, "--", "sleep", "1ms")
	for _, order := range [][]string{{"cluster", "drain", "b"}, {"strategy", "set", "fcfs"}, {"cluster", "invite"}, {"cluster", "forget", "b"}, {"emergency", "declare", "--type", "flood", "--level", "high"}} {
		r := client.ucp(order...)
		require.Equal(t, 1, r.code, order)
		require.Contains(t, r.stderr, "kim (client) may read,submit, and this takes the scope")
	}
	for i, who := range []string{"river", "river-2"} { // two people whose machines call them the same
		p := &person{t, t.TempDir()}
		r := runIn(t, p.dir, append(p.environment(), "USER=river"), nil, ucpBinary, "login", founder.invite(a, "--role", "client"))
		require.Contains(t, r.stdout, "you are "+who+" (client)", "%d: %s", i, r.stderr)
	}
	second := &person{t, t.TempDir()}
	second.must("login", founder.invite(a, "--role", "operator", "--name", "lee"))
	second.must("--addr", b.http, "cluster", "drain", "b")
	second.must("--addr", a.http, "cluster", "resume", "b")
	r := second.ucp("--addr", b.http, "cluster", "invite")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "no authority's key lies at this broker")

	// A broker without an identity is heard neither by gossip nor by HTTP.
	stranger := startAgent(t, "stranger", t.TempDir(), "--retry-join", a.gossip)
	eventually(t, time.Minute, "a stranger is not heard", func() bool {
		return strings.Contains(a.Said(), "it is not encrypted with a key of this broker")
	})
	members, err := stranger.client.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, members.Members, 1)
	founder.sees(a, "a", "b")
}

// refused waits until a command line of theirs is refused with these words.
func (p *person) refused(want string, args ...string) {
	p.t.Helper()
	eventually(p.t, time.Minute, fmt.Sprintf("%v is refused: %s", args, want), func() bool {
		r := p.ucp(args...)
		return r.code == 1 && strings.Contains(r.stderr, want)
	})
}

// Authorities are added and removed, and members revoked, at any broker with an authority; every broker knows (rule X6). A broker
// that keeps an authority lets others in while the first one is away, also by an invite of its earlier start.
func TestWhoBelongsIsKnownEverywhere(t *testing.T) {
	t.Parallel() // it waits most of the time
	founder, a := beginCity(t)
	dir := t.TempDir()
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 2, "--invite", founder.invite(a, "--name", "b"), "--keep-authority")
	founder.sees(b, "a", "b")
	founder.refused("is no authority of the city", "--addr", b.http, "cluster", "invite")
	require.Contains(t, founder.must("--addr", a.http, "cluster", "authority", "add", "b"), "is an authority of the city")
	kim := &person{t, t.TempDir()}
	kim.must("login", founder.invite(a, "--role", "client"), "--name", "kim")
	kim.must("--addr", b.http, "members")

	// The first broker is away: the other one lets in, and goes on with its invites after a restart.
	code := founder.invite(b, "--name", "c")
	b.signal(syscall.SIGKILL, time.Minute)
	b = startAgent(t, "b", filepath.Join(dir, "b"), "--keep-authority", "--http-addr", b.http)
	a.signal(syscall.SIGKILL, time.Minute)
	c := startAgentAt(t, "c", filepath.Join(dir, "c"), 1, "--invite", code)
	require.Contains(t, founder.must("--addr", c.http, "members"), "c *")
	r := founder.ucp("--addr", b.http, "cluster", "revoke", "kim")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "is not above that one", "its authority has not let them in, and is not above the one that has")

	introducedByFile(t, founder, c)
	a = startAgent(t, "a", filepath.Join(founder.dir, "a"), "--retry-join", b.gossip)
	founder.sees(a, "a", "b", "c")
	require.Contains(t, founder.must("--addr", a.http, "cluster", "revoke", "kim"), "kim is shut out of the city")
	for _, at := range []*agent{a, b, c} {
		kim.refused("your membership was revoked", "--addr", at.http, "members")
	}
	eventually(t, time.Minute, "the audit log has it", func() bool {
		return strings.Contains(founder.must("--addr", a.http, "audit", "list"), "revoke")
	})

	// The authority of b was stolen: without it, whom it has let in is out.
	list := founder.must("--addr", c.http, "cluster", "authority", "list", "-o", "json")
	key := regexp.MustCompile(`"key": "([0-9a-f]{64})",\s+"added_by"`).FindStringSubmatch(list)
	require.NotNil(t, key, list)
	r = founder.ucp("--addr", b.http, "cluster", "authority", "remove", regexp.MustCompile(`"key": "([0-9a-f]{64})",\s+"root"`).FindStringSubmatch(list)[1])
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "nothing is above the root")
	founder.must("--addr", a.http, "cluster", "authority", "remove", key[1])
	founder.refused("no authority of this city", "--addr", c.http, "members")
	founder.refused("was removed for good: start this broker again with --keep-authority", "--addr", b.http, "cluster", "invite")

	// A broker that was given up is no member any more, and comes back by another invite from an empty disk.
	c.signal(syscall.SIGKILL, time.Minute)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "c")))
	eventually(t, time.Minute, "c is given up", func() bool { return founder.ucp("--addr", a.http, "cluster", "forget", "c").code == 0 })
	c = startAgentAt(t, "c", filepath.Join(dir, "c"), 1, "--invite", founder.invite(a, "--name", "c"))
	founder.sees(c, "a", "b", "c")
	founder.must("--addr", a.http, "cluster", "verify")
}

// introducedByFile lets the first broker start without a link to the others: one that came in meanwhile it knows only from a file with which that
// introduces itself, and from then on each takes what the other packs.
func introducedByFile(t *testing.T, founder *person, c *agent) {
	t.Helper()
	a := startAgent(t, "a", filepath.Join(founder.dir, "a"))
	defer a.signal(syscall.SIGKILL, time.Minute)
	file := filepath.Join(t.TempDir(), "a.ucpcarry")
	pack := []string{"--addr", a.http, "carry", "pack", "--for", "c", "--admit", "--to", file}
	r := founder.ucp(pack...)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "let it pack a file with --introduce, and unpack that here first")
	intro := filepath.Join(t.TempDir(), "c.ucpcarry")
	founder.must("--addr", c.http, "carry", "pack", "--introduce", "--to", intro)
	b, err := os.ReadFile(intro)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	forged := filepath.Join(t.TempDir(), "forged.ucpcarry")
	require.NoError(t, os.WriteFile(forged, b, 0o600))
	require.Equal(t, 1, founder.ucp("--addr", a.http, "carry", "unpack", forged).code)
	require.Equal(t, 1, founder.ucp(pack...).code, "of a file that was changed nothing is believed")
	require.Contains(t, founder.must("--addr", a.http, "carry", "unpack", intro), "c is known here now")
	require.Contains(t, founder.must(pack...), ", for c\n")
	require.Contains(t, founder.must("--addr", c.http, "carry", "show", file), "signed and encrypted, of the city ")
	require.Contains(t, founder.must("--addr", c.http, "carry", "unpack", file), "this broker holds now all that a held then")
	require.Contains(t, founder.must("--addr", c.http, "carry", "pack", "--for", "a", "--to", file), ", for a\n")
	require.Contains(t, founder.must("--addr", a.http, "carry", "unpack", file), "this broker holds now all that c held then")
}

// A broker that was stolen while it runs is shut out: the others speak to it no more and run nothing there, although it has the key
// of the gossip still; it is given up, and another machine comes in under its name.
func TestARevokedBroker(t *testing.T) {
	founder, a := beginCity(t)
	dir := t.TempDir()
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	founder.sees(a, "a", "b")
	kim := &person{t, t.TempDir()}
	kim.must("login", founder.invite(a, "--role", "client"), "--name", "kim")
	stick := t.TempDir()
	founder.must("--addr", b.http, "carry", "pack", "--for", "a", "--to", filepath.Join(stick, "packed.ucpcarry"))
	founder.must("--addr", b.http, "carry", "pack", "--introduce", "--to", filepath.Join(stick, "introduces.ucpcarry"))
	require.Contains(t, founder.must("--addr", a.http, "cluster", "revoke", "b"), "b is shut out of the city")
	r := founder.ucp("--addr", a.http, "carry", "unpack", stick)
	require.Equal(t, 1, r.code)
	require.Equal(t, 2, strings.Count(r.stderr, "its membership was revoked"), r.stderr)
	kim.must("--addr", b.http, "members") // who has not spoken to another broker since can't know
	kim.must("--addr", a.http, "members")
	kim.refused("its membership was revoked", "--addr", b.http, "members")
	founder.must("--addr", a.http, "members")
	founder.refused("its membership was revoked", "--addr", b.http, "members")
	eventually(t, time.Minute, "it is called what it is", func() bool {
		words := strings.Join(strings.Fields(founder.must("--addr", a.http, "status")), " ")
		return strings.Contains(words, "b was revoked, and belongs to the city no more") && strings.Contains(founder.must("--addr", a.http, "members"), "revoked, and waited for until")
	})
	eventually(t, time.Minute, "a gives b up, which SWIM sees", func() bool { return founder.ucp("--addr", a.http, "cluster", "forget", "b").code == 0 })
	eventually(t, time.Minute, "nobody is missed", func() bool {
		return strings.Contains(founder.must("--addr", a.http, "status"), "yes, of a alone") && founder.ucp("--addr", a.http, "cluster", "verify").code == 0
	})
	founder.must("--addr", a.http, "run", guestModule, "--", "sleep", "1ms")
	r = founder.ucp("--addr", a.http, "cluster", "revoke", "bb")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "no such member is known")
	b.signal(syscall.SIGKILL, time.Minute)
	b = startAgentAt(t, "b", filepath.Join(dir, "b2"), 1, "--invite", founder.invite(a, "--name", "b"))
	founder.sees(b, "a", "b")
}

// Without --allow-lockout the last operator is not revoked. With it the answer comes before the connection ends, and the key on the broker's disk makes a new operator.
func TestTheLastOperator(t *testing.T) {
	founder, a := beginCity(t)
	m, err := city.At(filepath.Join(founder.dir, "identity")).Member()
	require.NoError(t, err)
	me := m.Admission.Name
	r := founder.ucp("--addr", a.http, "cluster", "revoke", me)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, me+" is the last operator that is known here")
	require.Contains(t, r.stderr, "--allow-lockout")
	founder.must("--addr", a.http, "cluster", "invite")
	require.Contains(t, founder.must("--addr", a.http, "cluster", "revoke", me, "--allow-lockout"), me+" is shut out of the city")
	eventually(t, time.Minute, "the founder is nobody", func() bool { return founder.ucp("--addr", a.http, "members").code != 0 })
	back := &person{t, t.TempDir()}
	require.Contains(t, back.must("cluster", "operator", "--data-dir", a.dir), "an operator of the city")
	back.must("--addr", a.http, "cluster", "invite")
}

// A cluster without a city becomes one, a broker after the other: each with its own directory and name, and no job is lost.
func TestAClusterBecomesACity(t *testing.T) {
	dirA, dirB := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	a := startAgent(t, "a", dirA, "--allow-process")
	b := startAgent(t, "b", dirB, "--allow-process", "--join", a.gossip)
	b.seesHealthy(1)
	jobs := []string{"one", "two", "waits-a", "waits-b"}
	for i, at := range []*agent{a, b, a, b} {
		args := []string{"run", "--detach", "--id", jobs[i], "--driver", "process", "/bin/true"}
		if i > 1 {
			args = append(args, "--constraint", "nowhere=1")
		}
		r := at.ucp(args...)
		require.Equal(t, 0, r.code, r.stderr)
	}
	for _, at := range []*agent{a, b} {
		for i, state := range []job.State{job.StateSucceeded, job.StateSucceeded, job.StatePending, job.StatePending} {
			eventually(t, 2*time.Minute, at.name+" knows "+jobs[i], func() bool {
				j, err := at.client.Job(t.Context(), jobs[i], 0)
				return err == nil && j.State == state
			})
		}
	}
	for _, at := range []*agent{a, b} { // one after the other works as well, and what they log first differs then
		require.True(t, at.signal(syscall.SIGTERM, 2*time.Minute).Success())
	}

	founder := &person{t, t.TempDir()}
	founder.must("cluster", "init", "--name", "a", "--data-dir", dirA)
	a = startAgent(t, "a", dirA, "--allow-process")
	code := founder.invite(a, "--name", "b")
	b = startAgentAt(t, "b", dirB, 1, "--allow-process", "--invite", code)
	founder.sees(a, "a", "b")
	for _, at := range []*agent{a, b} {
		for i, id := range jobs {
			state := `"state": "succeeded"`
			if i > 1 {
				state = `"state": "pending"`
			}
			eventually(t, time.Minute, at.name+" has "+id, func() bool {
				return strings.Contains(founder.ucp("--addr", at.http, "job", "get", id, "-o", "json").stdout, state)
			})
		}
		eventually(t, time.Minute, at.name+" sees both in the roll", func() bool {
			return len(regexp.MustCompile(`(?m)^[ab]( \*)? +alive +in `).FindAllString(founder.ucp("--addr", at.http, "members").stdout, -1)) == 2
		})
	}
}
