// Package tree makes blobs of directories. A *manifest* is a blob that says what is in a directory: the path, the mode,
// the size and the SHA-256 of each file, where each link leads, and which directories there are, also empty ones. The
// files are blobs of their own. So a directory takes one line of a job's spec, or of its result, however much is in it.
//
//   - manifest.go: what a manifest says, how it is written and read, and what makes it safe to unpack
//   - walk.go: from a directory to its manifest
//   - unpack.go: and back
//
// A manifest comes from outside. One that [Decode] returns is bounded, and nothing in it leads out of the directory in
// which it is unpacked: each path is a clean one below a directory that the manifest names, so none passes through a
// link, and each link ends inside.
package tree
