// Package access says what somebody may do at a broker of a city, and carries it in tokens.
//
//   - scope.go: scopes, the one notion of what may be done; the roles of members are sets of them
//   - need.go: what each route of the HTTP interface asks for
//   - token.go: tokens, which are verified without asking anybody, and narrowed by whoever holds them
//   - issued.go: which tokens an operator has made
//
// docs/security.md says what all this is to hold against; docs/decisions/0240 says why tokens are as they are.
package access
