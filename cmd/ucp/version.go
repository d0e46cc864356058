package main

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `ucp version` shows.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source, "" when not known
	Modified bool   `json:"modified"` // whether the source differed from it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// String is the version in one word, for metadata and logs.
func (v versionInfo) String() string {
	if v.Version == "dev" && v.Revision != "" {
		return "dev-" + v.Revision
	}
	return v.Version
}

// readVersion asks the binary what it was built from.
func readVersion() versionInfo {
	v := versionInfo{Version: "dev", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if s := info.Main.Version; s != "" && s != "(devel)" {
		v.Version = s
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// versionCommand is `ucp version`.
func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Show the version of this program",
		Example:           "  ucp version -o json",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			return c.show(v, func(w io.Writer) {
				row(w, "ucp", v.Version)
				if v.Revision != "" {
					note := ""
					if v.Modified {
						note = " (modified)"
					}
					row(w, "revision", v.Revision+note)
				}
				row(w, "go", v.Go)
				row(w, "platform", v.Platform)
			})
		},
	}
}
