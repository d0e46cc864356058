// Package audit keeps a broker's audit log: which orders it was given, by whom, and what became of them. Entries are only
// ever added. They are the leaves of a Merkle tree (RFC 6962, by golang.org/x/mod/sumdb/tlog), whose size and root the
// broker signs as a note (golang.org/x/mod/sumdb/note): its checkpoint. Whoever holds a checkpoint can tell later that an
// entry before it was changed, left out or put in, without trusting the broker.
//
// Brokers show each other their checkpoints with the messages that they exchange anyway, and write those of the others
// into their own logs, at most one a minute and broker: they are each other's witnesses. So who owns a broker, its key
// too, can only rewrite what no other broker has a witness of.
//
//   - entry.go: what a log holds
//   - checkpoint.go: keys, and what is signed
//   - log.go: a broker's own log, on its disk
//   - witness.go: what a broker keeps of the others' logs
//   - copy.go: copies of logs, and what is wrong with several of them, offline
//   - proof.go: that one entry is in a log, without the others
package audit
