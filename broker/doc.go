// Package broker is the state machine that decides which broker owns a job, which
// one runs it, which result counts, and what to tell which peer. It never reads a clock, opens a file
// or touches a socket. The shell (package node) feeds it inputs and carries out
// what it answers, as in etcd's raft:
//
//	for {
//		b.Step(Tick{now})              // time is an input
//		for in := range inbox { b.Step(in) }
//		rd := b.Ready()
//		store.Commit(rd.Commit)        // one fsync for all that came in
//		b.Advance(rd)                  // what rd wrote is stable now (rule I4)
//		send(rd.Send); answer(rd.Answers); start(rd.Run); stop(rd.Stop) ...
//	}
//
// Stepping may go on while a commit is under way, with one Ready out at a time.
// Group commit, the durable frontier and freedom from races fall out of that
// shape instead of being added to it.
//
// How a job passes through: [Submit] makes a record and places it; every change
// of a record, local or merged from a peer, makes the broker review that job
// (review.go), which compares what the record says with what this broker does
// and mends the difference. Nothing is scripted across brokers: a broker that
// missed a message arrives at the same place by the next one.
//
// The parts, each with its own file: membership (who is there), replication (how far
// the others are), ack (what is durable) are packages below; emergencies, causality,
// predecessors, decisions, attempts, ownership, balancer, sweeper and names are types here.
// [Broker] composes them, and step.go says which input is for which part. The rules
// that comments cite are numbered in docs/protocol.md.
//
// Randomness is a value that the broker is given, and nothing depends on the
// order of a Go map, so that a run can be repeated bit for bit from its seed.
// One goroutine owns a Broker.
//
// The rules that comments cite, such as A1, are defined in docs/protocol.md.
package broker
