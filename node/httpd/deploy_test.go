package httpd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

const (
	rulesFile = "../../deploy/prometheus/ucp.rules.yaml"
	rulesTest = "../../deploy/prometheus/ucp.rules.test.yaml"
	boardFile = "../../deploy/grafana/ucp.json"
)

// promtool runs it, of Debian's package prometheus or of Prometheus' releases.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("NOT TRIED: promtool is not there; .ci/run brings it")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Each alert fires when it must, and not before.
func TestRulesWithPromtool(t *testing.T) {
	promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
	promtool(t, "", "test", "rules", rulesTest)
}

// What a broker shows is in order for promtool, too.
func TestScrapeWithPromtool(t *testing.T) {
	var ours strings.Builder
	for line := range strings.Lines(scrape(t, everything(t), "")) {
		if strings.Contains(line, "ucp_") {
			ours.WriteString(line)
		}
	}
	promtool(t, ours.String(), "check", "metrics")
}

// board is what of a dashboard of Grafana is looked at.
type board struct {
	Title         string
	UID           string
	SchemaVersion int
	Panels        []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, RefID string }
	}
	Templating struct {
		List []struct{ Name, Type string }
	}
}

// The dashboard's panels have their places, and ask questions that Prometheus understands. There is no Grafana where this is tested.
func TestDashboardAsksWhatIsThere(t *testing.T) {
	text, err := os.ReadFile(boardFile)
	require.NoError(t, err)
	var b board
	require.NoError(t, json.Unmarshal(text, &b))
	require.Equal(t, "ucp", b.UID)
	require.GreaterOrEqual(t, b.SchemaVersion, 36)
	ids, taken, rules := map[int]bool{}, map[[2]int]string{}, "groups:\n- name: board\n  rules:\n"
	for _, p := range b.Panels {
		require.False(t, ids[p.ID], "two panels have the ID %d", p.ID)
		ids[p.ID] = true
		require.Contains(t, []string{"row", "stat", "timeseries", "table"}, p.Type)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "%s lies over", p.Title)
				taken[at] = p.Title
			}
		}
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for i, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr)
			require.NotContains(t, expr, "$", "a variable that the dashboard does not have")
			rules += fmt.Sprintf("  - record: panel:%d_%d\n    expr: %q\n", p.ID, i, expr)
		}
	}
	require.Len(t, b.Templating.List, 2)
	file := filepath.Join(t.TempDir(), "board.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rules), 0o600))
	promtool(t, "", "check", "rules", file)
}

// No alert is without a test in which it fires, and all say what it is and what to do.
func TestEveryAlertIsTested(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name  string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	for file, into := range map[string]any{rulesFile: &rules, rulesTest: &tests} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, into))
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, x := range tests.Tests {
		for _, a := range x.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Fires) > 0
			silent[a.Name] = silent[a.Name] || len(a.Fires) == 0
		}
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			require.True(t, fires[r.Alert], "no test in which %s fires", r.Alert)
			require.True(t, silent[r.Alert] || r.Alert == "UcpDiskNearlyFull", "no test in which %s is silent a moment before", r.Alert)
			require.NotEmpty(t, r.Annotations["summary"])
			require.NotEmpty(t, r.Annotations["do"])
			require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"])
		}
	}
	require.GreaterOrEqual(t, n, 12)
}
