// Package city is what a process does with its identity (package identity): it keeps who this process is, what it has
// learnt of the city's authorities and of who was revoked, decides by that who may come in, and lets others in by an invite.
//
//   - self.go: this member, and whom it trusts
//   - tls.go: connections, and how they end when the other side belongs no more
//   - found.go: how a city begins
//   - door.go, enter.go: how others come into it, by invites
//   - revoked.go: who was revoked, as people's processes are told and keep it
//   - heads.go: what brokers sign after each commit, as it is told
//   - folder.go: what is kept on disk beside what package identity keeps
//
// Nothing here asks for the time to verify somebody. docs/security.md says what all this is to hold against; the rules are
// numbered in docs/protocol.md.
package city
