package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/strictjson"
)

// Bounds of a manifest.
const (
	MaxManifest = 16 << 20 // bytes of its encoding
	MaxEntries  = 1 << 16  // files, links and directories
	MaxDepth    = 64       // directories within one another, and what is in the last one
	MaxPath     = 1024     // bytes of a path, and of where a link leads
	maxName     = 255      // bytes of one name, as file systems have it
	MaxBytes    = 64 << 30 // of all files together
)

// version is the number of the manifests that this package writes and reads.
const version = 1

// Manifest is what is in a directory. Make one with [Walk] or [Decode].
type Manifest struct {
	Entries []Entry // each path once, sorted by its bytes, so that a directory comes before what is in it
}

// Entry is one file, link or directory.
type Entry struct {
	Path   string      // below the directory of the manifest, with slashes, byte for byte
	Dir    bool        // it is a directory
	Link   string      // where a link leads, relative to the directory that it is in; "" is none
	Mode   fs.FileMode // of a file: its permission bits
	Digest job.Digest  // of a file
	Size   int64       // of a file, in bytes
}

// IsFile reports whether the entry is a file.
func (e *Entry) IsFile() bool { return !e.Dir && e.Link == "" }

// written is a manifest as JSON.
type written struct {
	Manifest int            `json:"manifest"` // the version
	Entries  []writtenEntry `json:"entries"`
}

// writtenEntry is an entry as JSON. Paths are text (job.PathText).
type writtenEntry struct {
	Path   string     `json:"path"`
	Dir    bool       `json:"dir,omitempty"`
	Link   string     `json:"link,omitempty"`
	Mode   string     `json:"mode,omitempty"` // in octal
	Size   *int64     `json:"size,omitempty"`
	Digest job.Digest `json:"sha256,omitempty"`
}

// Encode writes the manifest as JSON, an entry a line: equal directories have equal manifests. It fails where a
// manifest would be out of bounds, or unsafe to unpack.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"manifest\":%d,\"entries\":[", version)
	for i := range m.Entries {
		e := &m.Entries[i]
		w := writtenEntry{Path: job.PathText(e.Path), Dir: e.Dir, Link: job.PathText(e.Link)}
		if e.IsFile() {
			w.Mode, w.Size, w.Digest = fmt.Sprintf("%04o", e.Mode), &e.Size, e.Digest
		}
		line, err := json.Marshal(w)
		if err != nil {
			return nil, fmt.Errorf("writing a manifest: %w", err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteString("\n]}\n")
	if b.Len() > MaxManifest {
		return nil, fmt.Errorf("the manifest of the directory would have %d bytes, at most %d are allowed: pack some of it into an archive", b.Len(), MaxManifest)
	}
	return b.Bytes(), nil
}

// Decode reads a manifest, and refuses one that is out of bounds or unsafe to unpack.
func Decode(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("it has %d bytes, and a manifest has at most %d", len(b), MaxManifest)
	}
	var w written
	if err := strictjson.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("it is no manifest: %w", err)
	}
	if w.Manifest != version {
		return nil, fmt.Errorf("it is a manifest of version %d; this version of ucp reads %d", w.Manifest, version)
	}
	m := &Manifest{Entries: make([]Entry, 0, len(w.Entries))}
	for i := range w.Entries {
		e, err := w.Entries[i].entry()
		if err != nil {
			return nil, err
		}
		m.Entries = append(m.Entries, e)
	}
	return m, m.check()
}

// entry reads one entry, as far as that concerns how it is written.
func (w *writtenEntry) entry() (Entry, error) {
	e := Entry{Path: job.PathOf(w.Path), Dir: w.Dir, Link: job.PathOf(w.Link), Digest: w.Digest}
	wrong := func(what string) error { return fmt.Errorf("entry %.80q: %s", w.Path, what) }
	if job.PathText(e.Path) != w.Path || job.PathText(e.Link) != w.Link {
		return e, wrong(`a path is written with a lone backslash: write \\ for one, and \xNN for a byte that is no UTF-8`)
	}
	switch {
	case w.Dir && w.Link != "" || !e.IsFile() && (w.Mode != "" || w.Size != nil || w.Digest != ""):
		return e, wrong("it is to be a file, a link and a directory: say one of them")
	case !e.IsFile():
		return e, nil
	case w.Size == nil:
		return e, wrong("a file needs its size, mode and sha256; a link has link, and a directory dir")
	}
	e.Size = *w.Size
	mode, err := strconv.ParseUint(w.Mode, 8, 32)
	if err != nil || mode > uint64(fs.ModePerm) {
		return e, wrong(fmt.Sprintf("its mode is %.20q; want permissions in octal, such as 0644", w.Mode))
	}
	e.Mode = fs.FileMode(mode)
	return e, nil
}

// check checks what everybody who unpacks a manifest relies on.
func (m *Manifest) check() error {
	if len(m.Entries) > MaxEntries {
		return fmt.Errorf("it has %d entries, at most %d are allowed: pack some of them into an archive", len(m.Entries), MaxEntries)
	}
	dirs := map[string]bool{".": true}
	total, last := int64(0), ""
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %.80q: %w", e.Path, err)
		}
		switch {
		case e.Path == last:
			return fmt.Errorf("entry %.80q is there twice", e.Path)
		case e.Path < last:
			return fmt.Errorf("entry %.80q stands behind %.80q: they are not sorted by their bytes", e.Path, last)
		case !dirs[path.Dir(e.Path)]:
			return fmt.Errorf("entry %.80q is in no directory that is an entry, too", e.Path)
		}
		last = e.Path
		if e.Dir {
			dirs[e.Path] = true
		}
		if total += e.Size; total > MaxBytes {
			return fmt.Errorf("its files have more than %d GiB together", MaxBytes>>30)
		}
	}
	return nil
}

func (e *Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Dir && e.Link == "":
		return nil
	case e.Link != "" && !e.Dir:
		return checkLink(e.Path, e.Link)
	case e.Dir:
		return errors.New("it is a directory and a link")
	case !job.ValidDigest(string(e.Digest)):
		return fmt.Errorf("%.80q is not a SHA-256 in lower-case hexadecimal", e.Digest)
	case e.Size < 0 || e.Size > job.MaxBlob:
		return fmt.Errorf("it has %d bytes; a file has at most %d", e.Size, job.MaxBlob)
	case e.Mode&^fs.ModePerm != 0:
		return fmt.Errorf("its mode %v is more than permissions", e.Mode)
	}
	return nil
}

// checkPath accepts a clean relative path that stays inside.
func checkPath(p string) error {
	switch {
	case p == "" || len(p) > MaxPath || strings.ContainsRune(p, 0):
		return fmt.Errorf("it is not a path of 1 to %d bytes", MaxPath)
	case path.IsAbs(p):
		return errors.New("it is an absolute path")
	case path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return errors.New(`its path is not a clean one that stays inside: no "..", no "." and no empty names`)
	case strings.Count(p, "/") >= MaxDepth:
		return fmt.Errorf("it is more than %d directories deep", MaxDepth)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("a name in it has more than %d bytes", maxName)
		}
	}
	return nil
}

// checkLink accepts a link that ends inside. Since it begins in a directory that no link leads to, and has ".." at its
// beginning only, what a system makes of it step by step is what it says by its letters; so each link by which it passes
// ends inside, too.
func checkLink(at, to string) error {
	switch {
	case len(to) > MaxPath || strings.ContainsRune(to, 0):
		return fmt.Errorf("it is a link to what is no path of 1 to %d bytes", MaxPath)
	case path.IsAbs(to):
		return fmt.Errorf("it is a link to the absolute path %.80q", to)
	case path.Clean(to) != to:
		return fmt.Errorf("it is a link to %.80q, which is not a clean path", to)
	}
	if end := path.Join(path.Dir(at), to); end == ".." || strings.HasPrefix(end, "../") {
		return fmt.Errorf("it is a link to %.80q, which leads out of the directory", to)
	}
	return nil
}

// Files lists the digests of the files, each once, in the order of their paths.
func (m *Manifest) Files() (out []job.Digest) {
	seen := map[job.Digest]bool{}
	for i := range m.Entries {
		if e := &m.Entries[i]; e.IsFile() && !seen[e.Digest] {
			seen[e.Digest] = true
			out = append(out, e.Digest)
		}
	}
	return out
}

// Find returns what is at a path, nil if nothing is.
func (m *Manifest) Find(p string) *Entry {
	for i := range m.Entries {
		if m.Entries[i].Path == p {
			return &m.Entries[i]
		}
	}
	return nil
}
