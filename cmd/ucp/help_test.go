package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/resolve"
)

// everyVerb calls f for the root and for all verbs below it that help shows.
func everyVerb(f func(cmd *cobra.Command)) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		f(cmd)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newShell(nil).cli(nil, nil).rootCommand())
}

// pflag takes the first words between back quotes of a usage text as the flag's type. A type is one of pflag's
// or ours in small letters, or a placeholder in capitals; anything else is a quotation that went astray.
func TestHelpShowsTheTypeOfEachFlag(t *testing.T) {
	placeholder := regexp.MustCompile(`^([A-Z]+([:=,][A-Z]+)?(,?\.\.\.)?|bytes|cpu|duration|int|string|strings|stringArray|table\|json|tree\|dot\|mermaid\|json)?$`)
	everyVerb(func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(x *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(x)
			require.Regexp(t, placeholder, name, "%s --%s", cmd.CommandPath(), x.Name)
			require.NotContains(t, usage, "`", "%s --%s: only the first quotation is taken out", cmd.CommandPath(), x.Name)
		})
	})
}

// ownDefaults are the settings that package node has no word in.
var ownDefaults = []string{"log-level", "log-format"}

// Package node owns the defaults of a broker. What stands here as a figure or an address would be a second copy.
func TestAgentFlagsRepeatNoDefault(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "agent_flags.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 4 {
			return true
		}
		name := call.Args[1].(*ast.BasicLit).Value
		if slices.Contains(ownDefaults, strings.Trim(name, `"`)) {
			return true
		}
		ast.Inspect(call.Args[2], func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				require.Equal(t, `""`, lit.Value, "the default of --%s is written out", name)
			}
			if s, ok := n.(*ast.SelectorExpr); ok {
				require.NotEqual(t, "time", s.X.(*ast.Ident).Name, "the default of --%s is written out", name)
			}
			return true
		})
		return true
	})
}

// nodeDefaults are the settings that package node exports a default of.
func nodeDefaults() agentConfig {
	return agentConfig{
		Bind: node.DefaultBind, RPCAddr: node.DefaultRPCAddr, NewsLinks: true,
		SyncInterval: node.DefaultSyncInterval, Replicas: node.DefaultReplicas, AckTimeout: node.DefaultAckTimeout,
		RedeployDelay: node.DefaultRedeployDelay, IsolationDelay: node.DefaultIsolationDelay, MaxLosses: node.DefaultMaxLosses, DrainTimeout: node.DefaultDrainTimeout,
		Retention: node.DefaultRetention, RetentionCount: node.DefaultRetentionCount, DiskReserve: node.DefaultDiskReserve,
		BlobGrace: node.DefaultBlobGrace, Strategy: resolve.Default, Weights: resolve.DefaultWeights(), ConflictHistory: resolve.DefaultHistory,
		LogFormat: "text", SocketMode: node.DefaultSocketMode,
	}
}

// What the example file shows is the default, but for the keys that no default can stand for.
func TestExampleConfigShowsTheDefaults(t *testing.T) {
	examples := []string{"name", "data-dir", "advertise", "http-addr", "http-advertise", "http-host", "join", "retry-join", "discover", "invite", "keyring", "rpc-auth-file", "http-socket", "rpc-socket", "tls-cert", "tls-key", "tls-ca", "outbox", "inbox", "label", "device", "cpu", "memory", "module-memory", "module-cache"}
	b, err := os.ReadFile("../../config.example.yaml")
	require.NoError(t, err)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&agentFlags{}).register(fs)
	shown := map[string]bool{}
	all, defaults := "", "data-dir: d\n"
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(line, "#")
		if key, _, ok := strings.Cut(line, ":"); ok && fs.Lookup(key) != nil {
			shown[key] = true
			all += line
			if !slices.Contains(examples, key) {
				defaults += line
			}
		}
	}
	fs.VisitAll(func(x *pflag.Flag) {
		require.True(t, shown[x.Name] || x.Name == "config", "the example lacks %s", x.Name)
	})
	for _, text := range []string{string(b), all} {
		_, err := configure(t, []string{"--insecure"}, nil, text)
		require.NoError(t, err)
	}
	cfg, err := configure(t, nil, nil, defaults)
	require.NoError(t, err)
	want := nodeDefaults()
	want.DataDir = "d"
	require.Equal(t, want, cfg)
}

// A default that no flag shows because the broker fills it in stands in the text; it is the same there.
func TestHelpTellsDefaultsOfOtherPackages(t *testing.T) {
	for verb, texts := range map[string][]string{
		"run":               {fmt.Sprintf("(default %dm)", job.DefaultCPU), fmt.Sprintf("(default %s)", humanBytes(job.DefaultMemory))},
		"emergency declare": {"(default 24h, at most 720h)"},
		"agent":             {fmt.Sprintf("(default %s)", node.DefaultBind), fmt.Sprintf("(default %s)", humanBytes(node.DefaultDiskReserve)), fmt.Sprintf("(default %v)", node.DefaultRetention)},
	} {
		got := newShell(t).run(append(strings.Fields(verb), "--help")...)
		for _, text := range texts {
			require.Contains(t, strings.ReplaceAll(got.out, `"`, ""), text, verb)
		}
	}
}
