package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// What is given to brokers in deploy/ they take: the settings of the packages, also with all that is shown there in comments, the variables of the pods,
// of the services of compose and of the image, and the command line of the unit.
func TestDeployedSettingsAreTaken(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	text := func(path string) string {
		b, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		return string(b)
	}
	settings := text("deploy/package/ucp.yaml")
	shown := regexp.MustCompile(`(?m)^#([a-z-]+: )`).ReplaceAllString(settings, "$1")
	shown = strings.Replace(shown, "CODE", "041H899P8XC6-JYMBKJPVWSC2K-YYDKXGK616PMN@10.0.0.1:8000", 1)
	require.NotEqual(t, settings, shown)
	for _, s := range []string{settings, shown} {
		cfg, err := configure(t, nil, nil, s)
		require.NoError(t, err)
		require.Equal(t, "/var/lib/ucp", cfg.DataDir)
	}

	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&agentFlags{}).register(flags)
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/ucp agent (.*)$`).FindStringSubmatch(text("deploy/systemd/ucp.service"))
	require.NotNil(t, line)
	require.NoError(t, flags.Parse(strings.Fields(line[1])))
	require.Equal(t, "/etc/ucp/ucp.yaml", flags.Lookup("config").Value.String())

	var compose struct {
		Services map[string]struct{ Environment map[string]string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(text("deploy/compose.yaml")), &compose))
	require.Len(t, compose.Services, 3)
	image := map[string]string{"UCP_DATA_DIR": "/var/lib/ucp"}
	require.Contains(t, text("tools/release/images.go"), `"UCP_DATA_DIR=/var/lib/ucp"`)
	given := map[string]map[string]string{"image": {}}
	for name, s := range compose.Services {
		given["compose "+name] = s.Environment
	}
	pod := map[string]string{}
	for _, m := range regexp.MustCompile(`name: (UCP_[A-Z_]+), value: "([^"]*)"`).FindAllStringSubmatch(text("deploy/kubernetes/ucp.yaml"), -1) {
		pod[m[1]] = strings.ReplaceAll(m[2], "$(POD_IP)", "10.1.2.3")
	}
	pod["UCP_NAME"] = "ucp-0"
	given["kubernetes"] = pod
	for where, env := range given {
		for name, value := range image {
			env[name] = value
		}
		for name := range env {
			flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "UCP_")), "_", "-")
			require.NotNil(t, flags.Lookup(flag), "%s: no broker reads %s", where, name)
		}
		cfg, err := configure(t, nil, env, "")
		require.NoError(t, err, where)
		require.Equal(t, "/var/lib/ucp", cfg.DataDir, where)
		require.Equal(t, env["UCP_RETRY_JOIN"] != "", len(cfg.RetryJoin) > 0, where)
	}
}
