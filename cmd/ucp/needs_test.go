package main

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
)

// lines are ways to say each verb that asks a broker for something, which together call all of its routes.
var lines = map[string][]string{
	"ucp":                          {""},
	"ucp agent log-level":          {"agent log-level", "agent log-level debug"},
	"ucp audit copy":               {"audit copy --dir DIR", "audit copy --all --dir DIR"},
	"ucp audit list":               {"audit list"},
	"ucp carry pack":               {"carry pack --to DIR/x.ucpcarry"},
	"ucp carry show":               {"carry show DIR/city.ucpcarry"},
	"ucp carry unpack":             {"carry unpack DIR/city.ucpcarry"},
	"ucp cluster authority add":    {"cluster authority add b", "cluster authority add " + strings.Repeat("ab", 32)},
	"ucp cluster authority list":   {"cluster authority list"},
	"ucp cluster authority remove": {"cluster authority remove " + strings.Repeat("ab", 32)},
	"ucp cluster revoke":           {"cluster revoke b"},
	"ucp token revoke":             {"token revoke ci"},
	"ucp cluster drain":            {"cluster drain b"},
	"ucp cluster forget":           {"cluster forget b"},
	"ucp cluster invite":           {"cluster invite"},
	"ucp cluster resume":           {"cluster resume b"},
	"ucp cluster verify":           {"cluster verify --wait 0s"},
	"ucp conflict explain":         {"conflict explain 1"},
	"ucp conflict export":          {"conflict export 1"},
	"ucp conflict list":            {"conflict list"},
	"ucp data get":                 {"data get n/file", "data get n/file --to DIR/x"},
	"ucp data list":                {"data list", "data list n/file"},
	"ucp data put":                 {"data put n/new DIR/m.wasm"},
	"ucp data rm":                  {"data rm n/file"},
	"ucp data watch":               {"data watch n/file --count 1"},
	"ucp debug bundle":             {"debug bundle -o DIR/b.tar.gz", "debug bundle --all -o DIR/c.tar.gz"},
	"ucp emergency clear":          {"emergency clear e1"},
	"ucp emergency declare":        {"emergency declare --type flood --level low"},
	"ucp emergency get":            {"emergency get e1"},
	"ucp emergency list":           {"emergency list"},
	"ucp events":                   {"events", "events --job j1"},
	"ucp health":                   {"health", "health --ready"},
	"ucp job cancel":               {"job cancel j3", "job cancel --state pending", "job cancel --state succeeded"},
	"ucp job get":                  {"job get j1"},
	"ucp job list":                 {"job list", "job list --count"},
	"ucp job logs":                 {"job logs j1", "job logs j1 --stderr", "job logs j1 --tail 1"},
	"ucp job result":               {"job result j1 --to DIR", "job result --state succeeded --to DIR"},
	"ucp job submit":               {"job submit DIR/spec.json"},
	"ucp job wait":                 {"job wait j1", "job wait --state succeeded"},
	"ucp members":                  {"members"},
	"ucp plan cancel":              {"plan cancel q"},
	"ucp plan get":                 {"plan get p"},
	"ucp plan list":                {"plan list"},
	"ucp plan result":              {"plan result p --to DIR"},
	"ucp plan retry":               {"plan retry r --to DIR"},
	"ucp plan run":                 {"plan run DIR/plan.yaml --to DIR", "plan run DIR/refused.yaml", "plan run DIR/plan.yaml --id r --retry --to DIR"},
	"ucp plan show":                {"plan show p"},
	"ucp plan wait":                {"plan wait p"},
	"ucp run":                      {"run DIR/m.wasm", "run --dry-run DIR/m.wasm", "run --array 0-1 DIR/m.wasm"},
	"ucp status":                   {"status", "status --full"},
	"ucp strategy get":             {"strategy get"},
	"ucp strategy set":             {"strategy set fcfs"},
	"ucp top":                      {"top"},
	"ucp trace":                    {"trace j1", "trace --all"},
}

// guarded is a broker of a city, as far as scopes go: it answers a caller with these scopes as a fake broker does.
type guarded struct {
	scopes access.Scopes

	mu              sync.Mutex
	called, refused map[string]bool // by pattern
}

func newGuarded(t *testing.T, scopes access.Scopes) (*guarded, *shell) {
	fake, s := newFakeBroker(t)
	threeJobs(fake)
	fake.leaves(fake.jobs["j1"], "stdout", "x")
	fake.leaves(fake.jobs["j1"], "stderr", "x")
	fake.leaves(fake.jobs["j1"], "outputs/o", "x")
	fake.knows("p.a", job.StateSucceeded, 1)
	for _, stream := range []string{"stdout", "stderr", "outputs/o"} {
		fake.leaves(fake.jobs["p.a"], stream, "x")
	}
	fake.knows("q.a", job.StatePending, 1)
	fake.knows("r.a", job.StateFailed, 1)
	fake.blobs[digestOf("x")] = []byte("x")
	fake.write("n/file", job.Digest(digestOf("x")), 1, false)
	fake.drain = func(w http.ResponseWriter, _ *http.Request) { fake.reply(w, 200, api.DrainedMember{}) }
	fake.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		fake.leaves(&j, "stdout", "x")
		fake.leaves(&j, "stderr", "x")
		if _, name, _, _ := plan.Split(j.ID); name == "a" {
			fake.leaves(&j, "outputs/o", "x")
		}
		if strings.HasSuffix(id, ".waits") {
			j.State = job.StatePending
		}
		return j
	}
	g := &guarded{scopes: scopes, called: map[string]bool{}, refused: map[string]bool{}}
	mux := http.NewServeMux()
	for pattern, need := range access.Needs {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.called[pattern] = true
			if met, _ := need.Met(g.scopes); !met {
				g.refused[pattern] = true
				fake.fail(w, http.StatusForbidden, api.CodeForbidden, "this takes "+need.String())
				return
			}
			if pattern == "GET /v1/events" || pattern == "GET /v1/jobs/{id}/events" {
				w.Header().Set("Content-Type", "text/event-stream")
				return
			}
			answer := httptest.NewRecorder()
			fake.Config.Handler.ServeHTTP(answer, r)
			if (answer.Code == http.StatusNotFound || answer.Code == http.StatusMethodNotAllowed) && !strings.Contains(answer.Body.String(), `"code"`) { // the fake knows no such route
				_, _ = io.WriteString(w, "{}")
				return
			}
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	fake.members.Members = []api.Member{
		{Name: "a", Status: "alive", HTTPAddr: server.Listener.Addr().String(), Self: true, Roll: "open"},
		{Name: "b", Status: "alive", HTTPAddr: server.Listener.Addr().String(), Roll: "open", Away: true},
	}
	s.env["UCP_ADDR"] = server.URL
	return g, s
}

// say runs a line with these scopes, and says which routes were called and refused.
func say(t *testing.T, line string, scopes access.Scopes) (code int, called, refused map[string]bool) {
	g, s := newGuarded(t, scopes)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "spec.json"), []byte(`{"command":"true"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte("jobs:\n  a: {module: m.wasm}\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "refused.yaml"), []byte("jobs:\n  waits: {command: x}\n  b: {command: x, name: refused}\n"), 0o600))
	carriedInCity(t, filepath.Join(dir, "city.ucpcarry"))
	run := s.run
	if line == "top" {
		run = s.asksForTop
	}
	got := run(strings.Fields(strings.ReplaceAll(line, "DIR", dir))...)
	g.mu.Lock()
	defer g.mu.Unlock()
	t.Logf("ucp %s, with %s: %d %s", line, scopes, got.code, got.errOut)
	return got.code, g.called, g.refused
}

// asksForTop does what `ucp top` does before it draws, which takes a terminal. Its exit code is 1 where something is not known.
func (s *shell) asksForTop(...string) ran {
	client, err := api.New(s.env["UCP_ADDR"])
	require.NoError(s.t, err)
	defer client.Close()
	b := readBoard(s.t.Context(), client)
	if b.err != nil || len(b.unknown) > 0 || len(b.screen.Unknown) > 0 {
		return ran{code: exitError}
	}
	return ran{}
}

// carriedInCity writes a file that is carried, of which only a broker can say what is in it.
func carriedInCity(t *testing.T, path string) {
	var b bytes.Buffer
	_, err := carry.NewWriter(&b, &carry.Preamble{ID: make([]byte, 16), From: "a~1", City: []byte("c"), Credential: []byte("c")}, carry.Hashed(), nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}

// Every verb says what it needs: it calls the routes that the table names, no others but for hints, and works with the
// scopes that these take, whatever else is refused.
func TestEveryVerbSaysWhatItNeeds(t *testing.T) {
	var verbs []string
	root := newShell(t).cli(nil, nil).rootCommand()
	everyVerb(func(cmd *cobra.Command) {
		if cmd.HasParent() && cmd.HasSubCommands() && cmd.Name() != "agent" {
			return // it only holds others
		}
		verbs = append(verbs, cmd.CommandPath())
		said, _, err := root.Find(strings.Fields(cmd.CommandPath())[1:])
		require.NoError(t, err)
		for _, n := range needsOf(cmd.CommandPath()) {
			require.Contains(t, said.Long, n.String(), cmd.CommandPath())
		}
	})
	require.ElementsMatch(t, verbs, slices.Collect(maps.Keys(calls)))

	sets := []access.Scopes{{}, access.All()}
	for _, name := range []string{"read", "submit", "cancel", "operate", "emergency:low"} {
		one, err := access.ParseScopes(name)
		require.NoError(t, err)
		sets = append(sets, one)
	}
	for verb, routes := range calls {
		require.Equal(t, len(routes) > 0, len(lines[verb]) > 0, verb)
		reached := map[string]bool{}
		for _, line := range lines[verb] {
			with, called, refused := say(t, line, access.All())
			for _, route := range hints[verb] {
				require.True(t, called[route], "%s does not call %s: it is no hint", line, route)
				delete(called, route)
			}
			require.Empty(t, refused, line)
			require.NotEmpty(t, called, line)
			maps.Copy(reached, called)
			for route := range called {
				require.Contains(t, routes, route, "%s calls it: the table has to name it", line)
			}
			for _, scopes := range sets {
				enough := true
				for route := range called {
					met, _ := access.Needs[route].Met(scopes)
					enough = enough && met
				}
				code, _, refused := say(t, line, scopes)
				for _, route := range hints[verb] {
					delete(refused, route)
				}
				require.Equal(t, enough, len(refused) == 0, "%s with %s: refused %v", line, scopes, refused)
				if enough {
					require.Equal(t, with, code, "%s with %s", line, scopes)
				} else {
					require.NotZero(t, code, "%s with %s", line, scopes)
				}
			}
		}
		for _, route := range routes {
			if !slices.Contains(rarely[verb], route) {
				require.True(t, reached[route], "%s does not call %s: the table names it in vain", verb, route)
			}
		}
	}
}

// hints are routes that a verb calls only to say more: who may not call them gets all else.
var hints = map[string][]string{
	"ucp cluster drain":   {"GET /v1/members"},                                             // whether that broker can hear of it
	"ucp cluster resume":  {"GET /v1/members"},                                             // the same
	"ucp emergency clear": {"GET /v1/emergencies/{id}"},                                    // who can't hear of it
	"ucp strategy set":    {"GET /v1/emergencies"},                                         // whether that disarms one
	"ucp trace":           {"GET /v1/members", "GET /v1/conflicts", "GET /v1/emergencies"}, // what is around the jobs; without it that is said
}

// rarely are routes that a verb calls where the lines of the test do not lead.
var rarely = map[string][]string{
	"ucp":               {"GET /v1/emergencies"},                // of emergencies elsewhere
	"ucp emergency get": {"GET /v1/jobs"},                       // of one that is active: which of its jobs wait
	"ucp status":        {"GET /v1/emergencies"},                // the same
	"ucp top":           {"GET /v1/emergencies"},                // the same
	"ucp run":           {"GET /v1/jobs", "GET /v1/recipients"}, // of an array that takes longer; with secrets, which take a login
}
