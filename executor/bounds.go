package executor

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/job"
)

// The memory limit of a native job is for all of its processes together. Each of them has it as its own RLIMIT_DATA,
// which the kernel enforces. Their sum the kernel enforces, too, where the broker may make control groups of version 1;
// everywhere it is measured, again and again while native jobs run. A job that was seen beyond it is ended.

const (
	boundsEvery  = 250 * time.Millisecond // between two looks at the processes of native jobs
	maxProcesses = 1024                   // of one native job
)

// oneCore is what a native job may use at least of CPUs that are idle, in millicores, whatever it has asked for. A wasm job,
// which has one thread, may use that, too.
const oneCore = 1000

// coreWeight is the weight of a job for each core that it may use, beside that of others: as of a process of workerNice.
const coreWeight = 110

// boundsOf are the bounds of a native job's control groups.
func boundsOf(r job.Resources) cgroup.Bounds {
	cpu := max(r.CPU, oneCore)
	return cgroup.Bounds{Memory: r.Memory, CPU: cpu, Weight: coreWeight * ((cpu + oneCore - 1) / oneCore), Processes: maxProcesses}
}

// bounds are the attempts whose native programs are watched.
type bounds struct{ watchList[watched] }

// watched is a native program: its worker, and its groups. Its attempt has others when it starts it again for a checkpoint.
type watched struct {
	worker int
	groups cgroup.Set
}

func newBounds() *bounds { return &bounds{newWatchList[watched]()} }

// watch looks at what is to be watched until quit is closed.
func (b *bounds) watch(quit <-chan struct{}) { b.watchList.watch(quit, boundsEvery, b.look) }

// look measures every program once and tells the attempts of those that are beyond their bounds.
func (b *bounds) look(_ time.Time, programs map[*attempt]watched) {
	if len(programs) == 0 {
		return
	}
	all := treeOf(processes())
	for a, p := range programs {
		beyond := beyondBounds(all.descendants(p.worker), a.task.Spec.Resources.Memory)
		if n := p.groups.OOMKills(); n > 0 {
			beyond = killedOver(a.task.Spec.Resources.Memory, n)
		}
		if beyond != "" {
			a.tooMuch(beyond, false)
			b.remove(a)
		}
	}
}

// killedOver is what is said of a job of which the kernel has killed processes over the memory limit of its control group.
func killedOver(memory, n int64) string {
	return fmt.Sprintf("memory limit %s exceeded: the kernel has killed %d of its processes over it", bytesOf(memory), n)
}

// beyondBounds says in which way the processes of a job are more than it may have; empty if they are not.
func beyondBounds(all []process, memory int64) string {
	if len(all) > maxProcesses {
		return fmt.Sprintf("more than %d processes", maxProcesses)
	}
	var resident, own int64
	for _, p := range all {
		resident += p.rss()
	}
	if memory <= 0 || resident <= memory {
		return "" // the usual case needs no more
	}
	for _, p := range all {
		own += p.ownMemory()
	}
	if own <= memory {
		return ""
	}
	return fmt.Sprintf("memory limit %s exceeded: its %d processes together had %s", bytesOf(memory), len(all), bytesOf(own))
}
