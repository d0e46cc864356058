// Package head is what a broker of a city signs after each of its commits: one statement over all that it has written in it,
// and over the one before (docs/decisions/0241-each-commit-signs-a-head.md).
//
//   - tree.go: the slots of a commit, and the tree over them, by which one can be proven without the others
//   - head.go: the statement, its signature, and when two of one actor contradict each other
//   - chain.go: the statements of a broker, one after the other
//
// It uses golang.org/x/mod/sumdb/tlog for hashes and proofs (RFC 6962), and package identity for signatures. The package is pure; rules such as H1 are those of docs/protocol.md.
package head
