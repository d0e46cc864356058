// Package data holds named data: a name of the replicated table stands for versions of a file or a directory, each of which
// never changes. The latest version is the same at every broker that holds the same, both sides of a split may write, and what
// is deleted stays deleted (rules D1 to D4).
//
// A record keeps its versions in one total order, that of their stamps. A version is stamped later than all that its writer knew
// of, so that knowledge beats a clock, and versions that knew nothing of each other go by their clocks. What is removed, since
// somebody has deleted it or since it is old, loses its content and keeps its place: the bound counts places, so that merging is a
// join however deletions and writes meet. docs/model/data searches that.
//
// The package is pure. The rules are numbered in docs/protocol.md.
package data
