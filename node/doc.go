// Package node is the shell that runs one broker: it owns the loop around the
// deciding core (package broker), and connects it to what is real: the disk
// (store), the membership (gossip), the workers (executor), its peers and its
// clients over HTTP. It decides nothing about jobs.
//
// # Goroutines
//
// [Node.Run] starts all of them and returns when all have ended:
//
//	engine.run     owns the broker core: drains inputs, takes Ready, acts
//	engine.commit  writes and syncs one Ready's commit while the engine steps on
//	members        reads the gossip pool's events and states, reconciles the roster
//	rejoin         joins what was asked for, and brokers that were ever known (rule S6)
//	pressure       measures how busy this machine is (rule S5)
//	http           one server; net/http's goroutines end with its Shutdown
//	peers          one for each message under way, at most one a peer; a few for blobs
//	executor       its own, see there
//
// # Replaceable parts
//
// Network, disk, clock and runner are values of [Config]; the real ones are the
// default. Package sim gives in-memory ones, so that a whole cluster runs in
// virtual time inside an ordinary test.
//
// The rules that comments cite, such as A1, are defined in docs/protocol.md.
package node
