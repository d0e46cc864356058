package ucp

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is how our own packages begin.
const module = "github.com/urban-compute/ucp/"

// allowed says which of our packages each package may import: downwards only
// (docs/architecture.md). A new package gets its line here first. A line that no
// package has, and a permission that no file uses, are errors.
var allowed = map[string][]string{
	"clock":      {},
	"canon":      {},
	"strictjson": {},
	"label":      {},
	"job":        {"canon", "clock", "label", "strictjson"},
	"emergency":  {"canon", "clock", "job", "label", "strictjson"},
	"ledger":     {"clock"},
	"resolve":    {"clock", "job", "label", "strictjson"},
	"register":   {"canon", "clock"},
	"data":       {"canon", "clock", "job", "label", "register"},
	"roll":       {"canon", "clock", "label", "register"},
	"setting":    {"canon", "clock", "label", "register"},
	"module":     {},
	"chunk":      {},
	"carry":      {"canon", "clock", "label"},
	"tree":       {"job", "strictjson"},
	"plan":       {"job", "label", "strictjson"},
	"identity":   {"canon", "label"},
	"trust":      {"clock", "identity", "register", "setting"},
	"audit":      {},
	"head":       {"clock", "identity", "label"},
	"city":       {"canon", "clock", "head", "identity", "label", "trust"},
	"access":     {"canon", "identity", "job", "label"},

	"broker/prng":        {},
	"broker/membership":  {"broker/prng", "broker/wire", "clock", "roll"},
	"broker/replication": {"broker/membership", "broker/prng", "broker/wire", "clock", "ledger"},
	"broker/ack":         {"broker/membership", "broker/replication", "clock", "job"},
	"broker/kind":        {"clock", "data", "emergency", "head", "identity", "job", "ledger", "roll", "setting", "trust"},
	"broker/causal":      {"clock", "job", "label"},
	"broker/wire":        {"broker/kind", "clock", "emergency", "job", "label", "ledger"},
	"broker":             {"broker/ack", "broker/causal", "broker/kind", "broker/membership", "broker/prng", "broker/replication", "broker/wire", "canon", "clock", "data", "emergency", "head", "identity", "job", "label", "ledger", "resolve", "roll", "setting", "trust"},
	"executor":           {"cgroup", "clock", "executor/wasi", "job", "module", "tree"},
	"executor/wasi":      {},
	"tracing":            {},
	"cgroup":             {},
	"store":              {"clock", "ledger"},
	"gossip":             {},
	"api":                {"clock", "emergency", "job", "strictjson"},
	"node/httpd/ui":      {},
	"node/httpd":         {"access", "api", "audit", "broker", "broker/causal", "broker/kind", "broker/membership", "broker/replication", "broker/wire", "city", "clock", "data", "docs/api", "emergency", "gossip", "identity", "job", "label", "ledger", "module", "node/httpd/ui", "plan", "resolve", "store", "strictjson", "tracing", "tree"},
	"node":               {"api", "audit", "broker", "broker/ack", "broker/kind", "broker/membership", "broker/replication", "broker/wire", "canon", "carry", "cgroup", "chunk", "city", "clock", "emergency", "executor", "gossip", "head", "identity", "job", "label", "ledger", "module", "node/httpd", "resolve", "store", "tracing", "tree"},
	"sim/simnet":         {"gossip"},
	"sim":                {"api", "broker", "broker/ack", "broker/causal", "broker/kind", "broker/membership", "broker/replication", "broker/wire", "clock", "data", "emergency", "executor", "gossip", "job", "ledger", "node", "resolve", "roll", "setting", "sim/simnet"},
	"cmd/ucp":            {"access", "api", "audit", "carry", "city", "clock", "data", "emergency", "executor", "gossip", "identity", "job", "label", "module", "node", "plan", "resolve", "tracing", "tree"},

	"test/collector": {},
	"test/contract":  {"docs/api"},
	"test/office":    {},
	"test/rig":       {"api", "city", "identity"}, // it sees brokers as a client and as the machine's owner does
	// Chaos sees brokers as a client does, too. Only dots are not shown to clients: for
	// "one dot, one content" (rule I1) it reads the disks of brokers that have ended.
	"test/chaos": {"api", "broker/kind", "clock", "job", "ledger", "test/rig", "store"},
	// Compliance sees brokers as a client does, too. No broker shows the time of a single
	// decision or the memory of a pending job: it measures package resolve in its own process,
	// and reads exported bundles with it.
	"test/compliance": {"api", "clock", "emergency", "job", "resolve", "test/rig"},
	"test/process":    {},
	"test/load":       {},
	"test/race":       {},
	"test/slow":       {},
	"test/story":      {"test/race"},
	"tools/mutants":   {},

	"docs/api":             {},
	"docs/model/again":     {"docs/model/explore"},
	"docs/model/claims":    {"docs/model/explore"},
	"docs/model/data":      {"docs/model/explore"},
	"docs/model/ends":      {"docs/model/explore"},
	"docs/model/explore":   {},
	"docs/model/presence":  {"docs/model/explore"},
	"docs/model/startrows": {"docs/model/explore"},

	"examples/accelerogram": {},
	"examples/primes":       {},
	"examples/quake":        {},
	"examples/tiles":        {},
	"examples/words":        {},
}

// pure packages decide; they do not act, wait, log or draw.
var pure = []string{
	"canon", "clock", "label", "strictjson", "module", "job", "plan", "emergency", "register", "roll", "setting", "data", "trust", "head", "ledger", "resolve",
	"broker", "broker/ack", "broker/causal", "broker/kind", "broker/membership", "broker/prng", "broker/replication", "broker/wire",
}

// impure is what they may not import.
var impure = []string{
	"sync", "net", "os", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "os/exec",
	"github.com/cockroachdb/pebble", "github.com/hashicorp/serf", "github.com/hashicorp/memberlist",
}

// confined says which packages alone may import a dependency.
var confined = map[string][]string{
	"github.com/hashicorp/serf":       {"gossip"},
	"github.com/hashicorp/memberlist": {"gossip"},
	"github.com/cockroachdb/pebble":   {"store", "sim", "test/load"}, // sim injects a file system, and the bare pipeline stands on it
	"github.com/tetratelabs/wazero":   {"executor", "executor/wasi"},
	"github.com/hashicorp/mdns":       {"gossip"},
	"github.com/miekg/dns":            {"gossip"},
	"github.com/getkin/kin-openapi":   {"test/contract"},
	"os/exec":                         {"executor", "gossip", "test/chaos", "test/compliance", "tools/mutants", "test/rig", "test/process"}, // gossip asks a command whom to join
	"flag":                            {"docs/model/explore", "test/chaos", "test/compliance"},
	"github.com/spf13/cobra":          {"cmd/ucp"},
	"charm.land/bubbletea":            {"cmd/ucp"},
	"github.com/pelletier/go-toml":    {"strictjson"},
	"github.com/restic/chunker":       {"chunk"},
	"go.opentelemetry.io/otel/sdk":    {"tracing"},
}

// source is one file that is not a test.
type source struct {
	path    string // relative to the root
	pkg     string // its folder
	imports []string
	doc     string // the package comment, where this file has it
	rules   bool   // it cites a rule of the protocol
}

// citation is how code cites a rule of the protocol.
var citation = regexp.MustCompile(`\b(rule|rules) [A-Z][0-9]+`)

func sources(t *testing.T) (out []source) {
	fset := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if d.IsDir() && path != "." {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir // another module, whose imports are no weight of this one
			}
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == "." {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{path: path, pkg: filepath.ToSlash(filepath.Dir(path))}
		if f.Doc != nil {
			s.doc = f.Doc.Text()
		}
		for _, group := range f.Comments {
			s.rules = s.rules || citation.MatchString(group.Text())
		}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		out = append(out, s)
		return nil
	}))
	return out
}

func within(name, dependency string) bool {
	return name == dependency || strings.HasPrefix(name, dependency+"/")
}

func TestImportsRunDownwards(t *testing.T) {
	for _, s := range sources(t) {
		mayImport, known := allowed[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no place in the layering table", s.path, s.pkg)
		}
		for _, name := range s.imports {
			if ours, ok := strings.CutPrefix(name, module); ok && !slices.Contains(mayImport, ours) {
				t.Errorf("%s imports %s, which is not below %s", s.path, ours, s.pkg)
			}
			if slices.Contains(pure, s.pkg) && slices.ContainsFunc(impure, func(x string) bool { return within(name, x) }) {
				t.Errorf("%s imports %s, but package %s is pure", s.path, name, s.pkg)
			}
			for dependency, homes := range confined {
				if within(name, dependency) && !slices.Contains(homes, s.pkg) && !strings.HasPrefix(s.pkg, "examples/") {
					t.Errorf("%s imports %s, which belongs into %v alone", s.path, name, homes)
				}
			}
		}
	}
}

// What the tables allow or demand is about something that exists: a permission that is no longer used would
// let an import back in that was once removed.
func TestTablesNameNothingThatIsGone(t *testing.T) {
	imports := map[string][]string{} // package -> what its files import
	for _, s := range sources(t) {
		imports[s.pkg] = append(imports[s.pkg], s.imports...)
	}
	uses := func(pkg, dependency string, same func(name, dependency string) bool) bool {
		return slices.ContainsFunc(imports[pkg], func(name string) bool { return same(name, dependency) })
	}
	for pkg, permitted := range allowed {
		if _, exists := imports[pkg]; !exists {
			t.Errorf("the layering table has package %s, which does not exist", pkg)
			continue
		}
		for _, below := range permitted {
			if !uses(pkg, module+below, func(name, dependency string) bool { return name == dependency }) {
				t.Errorf("package %s may import %s, and does not", pkg, below)
			}
		}
	}
	for _, pkg := range pure {
		if _, exists := imports[pkg]; !exists {
			t.Errorf("package %s is to be pure, and does not exist", pkg)
		}
	}
	for dependency, homes := range confined {
		for _, pkg := range homes {
			if !uses(pkg, dependency, within) {
				t.Errorf("%s is confined to package %s, which does not import it", dependency, pkg)
			}
		}
	}
}

// The pure packages are told the time; they never ask.
func TestPurePackagesDoNotReadTheClock(t *testing.T) {
	for _, pkg := range pure {
		out, err := exec.Command("grep", "-rnE", `time\.(Now|Since|Until|Sleep|After|NewTimer|NewTicker|Tick)\(`, "--include=*.go", "--exclude=*_test.go", pkg).CombinedOutput()
		require.Error(t, err, "grep found:\n%s", out) // grep fails when it finds nothing
	}
}

// A package comment says why the package exists. Where code cites rules, it says where the rules are.
func TestPackageComments(t *testing.T) {
	comments, cites := map[string]string{}, map[string]string{}
	for _, s := range sources(t) {
		comments[s.pkg] += s.doc
		if s.rules {
			cites[s.pkg] = s.path
		}
	}
	for pkg, text := range comments {
		if len(text) <= 80 {
			t.Errorf("package %s lacks a package comment that says why it exists", pkg)
		}
		if path := cites[pkg]; path != "" && !strings.Contains(text, "docs/protocol.md") {
			t.Errorf("%s cites a rule, but the comment of package %s does not name docs/protocol.md", path, pkg)
		}
	}
}
