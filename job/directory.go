package job

import (
	"fmt"
	"slices"
	"strings"
)

// A directory is named by the manifest of what is in it (package tree). In a spec and in a result its path ends with a
// slash, and its digest is that of the manifest. Whoever is to hold a directory holds the manifest and the files: where
// lists of digests say what must be somewhere, it stands as treePrefix and that digest, and only who reads and writes
// blobs looks further.

// treePrefix begins the digest of a directory.
const treePrefix = "dir:"

// TreeOf names a directory, its manifest and all its files, by the digest of its manifest.
func TreeOf(manifest Digest) Digest { return treePrefix + manifest }

// Tree returns the digest of the manifest, where d names a directory.
func (d Digest) Tree() (manifest Digest, ok bool) {
	m, ok := strings.CutPrefix(string(d), treePrefix)
	return Digest(m), ok
}

// IsDirectory reports whether a path of an input or an output is that of a directory, by the slash at its end.
func IsDirectory(path string) bool { return strings.HasSuffix(path, "/") }

// blobAt is what must be held for the input or output at a path.
func blobAt(path string, d Digest) Digest {
	if IsDirectory(path) {
		return TreeOf(d)
	}
	return d
}

// HasDirectories reports whether the spec has a directory among its inputs or outputs, which only brokers of protocol 4 know.
func (s *Spec) HasDirectories() bool {
	for path := range s.Inputs {
		if IsDirectory(path) {
			return true
		}
	}
	return slices.ContainsFunc(s.Outputs, IsDirectory)
}

// checkApart refuses a path that is in a directory which is given as a whole, or is that directory: what is there would be
// said twice. Field names a path.
func checkApart(paths []string, field func(path string) string) error {
	for _, dir := range paths {
		if !IsDirectory(dir) {
			continue
		}
		for _, p := range paths {
			if p != dir && strings.HasPrefix(p+"/", dir) {
				return fieldError(field(p), "it is within %q, which is given as a whole", dir)
			}
		}
	}
	return nil
}

// checkFilePath is checkPath of a file or a directory.
func checkFilePath(field, p string) error {
	if err := checkPath(field, strings.TrimSuffix(p, "/")); err != nil {
		return err
	}
	if len(p) > 1024 {
		return fieldError(field, "it has more than 1024 bytes")
	}
	return nil
}

func inputField(path string) string { return fmt.Sprintf("inputs[%q]", path) }
