package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/job"
)

// Compiling a module may take longer than the job, so owners know which brokers have it compiled, and what it would cost where
// it is not (rule J15).

// modules are what this broker has compiled, and what it has asked its shell to compile.
type modules struct {
	compiled []job.Digest // the last used first
	prepared []job.Digest // the latest first, at most maxPrepared
}

const (
	// maxPrepared bounds of how many modules is remembered that they were to be prepared.
	maxPrepared = 64
	// compiles is how many bytes of a module a core compiles in a second, or fewer.
	compiles = 500 << 10
	// costPerSecond is what a second of compiling weighs against load: 20 s as much as a broker that is full.
	costPerSecond = 0.05
)

// Compiled says which modules this broker has compiled, the last used first.
type Compiled struct{ Digests []job.Digest }

func (c *core) compiledHere(in Compiled) {
	c.modules.compiled = in.Digests
}

// isWarm reports whether a broker has compiled the module of a job, or the job has none.
func (c *core) isWarm(name string, r *job.Record) bool {
	switch m := r.Module(); {
	case m == "":
		return true
	case name == c.self:
		return slices.Contains(c.modules.compiled, m)
	default:
		said := c.members.Metadata(name)
		return said.Modules.Has(m)
	}
}

// compileTime is about how long it takes to compile the module of a job; 0 where its size is not known.
func (c *core) compileTime(r *job.Record) time.Duration {
	return time.Duration(c.moduleSize(r)) * time.Second / compiles
}

// moduleSize is the size of a job's module in bytes; 0 where it is not known.
func (c *core) moduleSize(r *job.Record) int64 {
	m := r.Module()
	if m == "" || c.cfg.ModuleSize == nil {
		return 0
	}
	return c.cfg.ModuleSize(m)
}

// prepare asks the shell to have the module of a job compiled when there is nothing else to do: the job is placed elsewhere, and
// may come here, as others with that module may. The shell does so if the module is among the copies that this broker holds.
func (c *core) prepare(r *job.Record) {
	m := r.Module()
	if r.Finished() || r.Place.IsZero() || r.Place.Broker == c.self || m == "" || c.incapable(c.self, &c.cfg.Capabilities, r) != "" ||
		c.isWarm(c.self, r) || slices.Contains(c.modules.prepared, m) {
		return
	}
	p := append([]job.Digest{m}, c.modules.prepared...)
	c.modules.prepared = p[:min(len(p), maxPrepared)]
	c.out.Prepare = append(c.out.Prepare, m)
}
