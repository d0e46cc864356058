package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/label"
)

// sandboxFlags are the flags of `ucp agent` about how native jobs are confined.
type sandboxFlags struct {
	off, network         bool
	users                string
	paths, files, demand []string
}

func (f *sandboxFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.network, "allow-network", false, "native programs whose spec asks for the network (network: true, run --network) have it; this broker's own interfaces are there, too")
	fs.StringSliceVar(&f.paths, "job-path", nil, "`PATH` that native programs may read and run programs from, beside /usr, /lib and the like; PATH:rw, write, too; repeatable")
	fs.StringSliceVar(&f.files, "device-path", nil, "`NAME=PATH` of a device file that native programs may use which ask for device NAME; repeatable")
	fs.StringVar(&f.users, "job-uids", "", "`RANGE` FIRST-LAST of users that native programs may be, each running job one, where this broker is root's (default: a part of 0x70000000 and up)")
	fs.StringSliceVar(&f.demand, "require-sandbox", nil, "refuse to start where the sandbox of native programs, or what there is of it around modules, lacks one of these `WALLS`, or without a value any: "+strings.Join(executor.Walls, ",\n"))
	fs.Lookup("require-sandbox").NoOptDefVal = executor.AllWalls
	fs.BoolVar(&f.off, "no-sandbox", false, "native programs may do all that this broker's user may, and modules have nothing around them but WebAssembly")
}

// checkSandbox reads the flags of the sandbox.
func (f *agentFlags) checkSandbox() (c executor.SandboxConfig, err error) {
	s := &f.sandbox
	c = executor.SandboxConfig{Off: s.off, Network: s.network, Require: s.demand}
	if err := executor.CheckWalls(s.demand); err != nil {
		return c, f.wrong("require-sandbox", "%w", err)
	}
	if s.users != "" {
		if c.Users, err = executor.ParseUIDRange(s.users); err != nil {
			return c, f.wrong("job-uids", "%w", err)
		}
	}
	for _, text := range s.paths {
		p, err := executor.ParseJobPath(text)
		if err != nil {
			return c, f.wrong("job-path", "%w", err)
		}
		c.Paths = append(c.Paths, p)
	}
	for _, text := range s.files {
		name, path, found := strings.Cut(text, "=")
		if !found || !label.ValidName(name) || !filepath.IsAbs(path) {
			return c, f.wrong("device-path", "%q: write the name of a device and an absolute path, such as camera=/dev/video0", text)
		}
		if f.devices.pairs[name] == "" {
			return c, f.wrong("device-path", "%q: no --device %s is offered", text, name)
		}
		if c.DevicePaths == nil {
			c.DevicePaths = map[string][]string{}
		}
		c.DevicePaths[name] = append(c.DevicePaths[name], filepath.Clean(path))
	}
	return c, nil
}
