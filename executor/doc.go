// Package executor carries out what the broker core decides: it starts one
// attempt at a job, stops it, and tells how it ended. What runs, when, and
// whether a result counts are the core's business.
//
// No job runs inside the broker process. Each runs in a worker, which is the
// same binary re-executed (`ucp worker`, [RunWorker]), at lower CPU priority and
// first in line when memory runs out. A worker runs one job at a time, keeps
// the modules it has compiled warm, and talks to its broker in length-prefixed
// msgpack over its stdin and stdout. So a job that crashes its worker, never
// ends or eats memory harms only itself. The rules (J1, ...) are numbered in docs/protocol.md.
//
//	Start -> attempt goroutine -> worker process -> wasm module, or child process
//	             |    ^                |
//	          Report  +---- frames ----+
//
// The wasm driver jails the job: its directory, seen through [os.Root], is the
// only file system that it has, its memory is counted by our own allocator, and
// a timeout or a stop kills the worker. wazero could end a module from inside
// (WithCloseOnContextDone), but it does so by leaving the compiled code on every
// turn of every loop, which made a tight loop fifteen times slower. A process of
// its own can be killed for nothing.
//
// The process driver runs native programs in a process group of their own, and
// must be allowed by the agent.
//
// [Executor.Suspend] makes an attempt stand still with SIGSTOP, and its timeout
// with it. Of a wasm job the worker is stopped. Of a native one all that the program
// has started is, wherever it has put itself, but not the worker: a stopped worker
// could not act on the broker's death. A cgroup freezer would do it in one stroke,
// but needs a cgroup of one's own, which an ordinary user seldom has.
//
// [Executor.Usage] measures what runs, from /proc.
//
// Goroutines of an [Executor], all of which Close waits for: one an attempt, one
// a worker process (its reader), the pool's janitor, the cleaner of directories,
// the spawner (a locked thread, because Linux ties "die with your parent" to the
// parent's thread), and short-lived ones that start spare workers.
//
// The rules that comments cite, such as J1, are defined in docs/protocol.md.
package executor
