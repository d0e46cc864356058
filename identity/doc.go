// Package identity says who belongs to a city: the cluster of one operator, or of several who trust each other. It needs
// no server, no uplink and no clock to tell.
//
// A city begins with one Ed25519 key, its root authority; the hash of the root's public key names the city. Authorities
// sign two things: that another key is an authority, or is none any more, and that a member's key belongs to a name and a
// role, which is its admission. A member shows its admission, with what makes the signer an authority, in the X.509
// certificate of its TLS connections, and proves by the handshake that it has the key. Who knows the city's name can
// check all of that by itself.
//
//   - key.go: keys, and what is signed with them
//   - authority.go: which keys are authorities
//   - admission.go: who a key belongs to
//   - certificate.go: how a member shows that on a TLS connection, and how it is checked
//   - code.go, base32.go: invite codes, which people type
//   - folder.go, passphrase.go: the keys on disk
//
// Everything that is decoded here came from a stranger: it is bounded first (rule L11), and valid afterwards. The
// rules are in docs/protocol.md; docs/security.md says what all this is to hold against.
package identity
