// Package executor carries out what the broker core decides: it starts one
// attempt at a job, stops it, and reports how it ended. Which attempts run, when, and
// whether a result counts is decided by the core. Rules cited by number (J1, J4, L11)
// are in docs/protocol.md.
//
// No job runs inside the broker process, and a broker that serves forks no process: a
// child that is stopped before its exec would stop it. Another process, the spawner
// (`ucp spawner`, [RunSpawner]), starts its workers, as the broker's children. Each job
// runs in a worker, which is the same binary re-executed (`ucp worker`, [RunWorker]), at lower CPU priority and
// as the first to be killed when memory runs out. A worker runs one job at a time, keeps
// the modules that it has compiled warm, and talks to its broker in length-prefixed
// msgpack over its stdin and stdout. A job that crashes its worker, loops
// endlessly or exhausts memory therefore harms only itself.
//
//	Start -> attempt goroutine -> worker process -> wasm module, or child process
//	             |    ^                |
//	          Report  +---- frames ----+
//
// The wasm driver confines the job: its directory, accessed through [os.Root], is the
// only file system that it sees, its memory is counted by our own allocator, and
// a timeout or a stop kills the worker. wazero could end a module from inside
// (WithCloseOnContextDone), but it does so by leaving the compiled code on every
// iteration of every loop, which made a tight loop fifteen times slower. Killing a
// separate process costs a running job nothing.
//
// Should a job find a way out of its module, its worker is confined, too (fence).
//
// The process driver runs each native program in a process group of its own, in control
// groups where the broker may make them, and where it can neither signal nor trace what
// it has not started. The agent must allow it.
//
// [Executor.Suspend] stops an attempt with SIGSTOP and pauses its timeout. For a wasm
// job the worker is stopped. For a native job every process that the program has
// started is stopped, in whatever group or session it is, but not the worker: a stopped
// worker could not react to the broker's death. A cgroup freezer would do this in one step,
// but needs a cgroup that the broker may write, which an ordinary user seldom has.
//
// [Executor.Usage] measures the running attempts from /proc.
//
// Goroutines of an [Executor], all of which Close waits for: one for each attempt, one
// for each worker process (its reader), the one that measures native programs, the one that measures the
// workers of modules, the one that looks at the disk, the one that compiles modules for which no job waits,
// the pool's janitor, the directory cleaner,
// the launcher (a locked thread, because Linux delivers the parent-death signal when the
// parent's thread ends), one for each spawner, which waits for its end, one for each process
// that keeps what it writes to stderr, and short-lived ones that start spare workers.
package executor
