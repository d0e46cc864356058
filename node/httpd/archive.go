package httpd

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// archived is one thing in the archive of a job's result: a file, a directory, or a link.
type archived struct {
	name string // below the archive's root
	dir  bool
	link string
	mode fs.FileMode
	blob job.Blob
}

// archive writes things one after another, and then its end.
type archive interface {
	add(x *archived, content io.Reader) error
	Close() error
}

// formats are the archives in which a result can be had, the default first.
var formats = []string{"zip", "tar"}

// handleResult sends all that a job left as one archive: stdout, stderr, and the output paths below outputs/.
func (srv *Server) handleResult(w http.ResponseWriter, r *http.Request) error {
	format := formats[0]
	if f := r.URL.Query().Get("format"); f != "" {
		if !slices.Contains(formats, f) {
			return fail(http.StatusBadRequest, api.CodeBadRequest, "?format=%.40s: %s", f, label.OneOf(f, formats))
		}
		format = f
	}
	res, rec, err := srv.finished(r)
	if err != nil {
		return err
	}
	list, err := srv.contents(r, res, rec)
	if err != nil {
		return err
	}
	if format == "zip" {
		for i := range list {
			if strings.Contains(list[i].name, `\`) { // which some programs take for a slash when they unpack it
				return fail(http.StatusConflict, api.CodeConflict, "a zip can't hold %.200q safely, since its name has a backslash: ask for ?format=tar", list[i].name)
			}
		}
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", string(rec.ID)+"."+format))
	var a archive
	if format == "tar" {
		w.Header().Set("Content-Type", "application/x-tar")
		a = tarball{tar.NewWriter(w), res.Finished.Time()}
	} else {
		w.Header().Set("Content-Type", "application/zip")
		a = zipped{zip.NewWriter(w), res.Finished.Time()}
	}
	for i := range list {
		if err := srv.archive(a, &list[i]); err != nil {
			srv.log.Warn("a result was cut off", "job", rec.ID, "error", err)
			panic(http.ErrAbortHandler) // so that the client sees that there was to be more
		}
	}
	_ = a.Close() // a client that went away misses the end
	return nil
}

// contents lists what belongs into the archive of a result, and brings it here: links last, so that whoever unpacks it
// writes nothing through one.
func (srv *Server) contents(r *http.Request, res *job.Result, rec *job.Record) (list []archived, err error) {
	file := func(name string, b *job.Blob) error {
		if b == nil {
			return nil
		}
		list = append(list, archived{name: name, mode: 0o644, blob: *b})
		return srv.fetchOutput(r.Context(), b.Digest, rec)
	}
	if err := file("stdout", res.Stdout); err != nil {
		return nil, err
	}
	if err := file("stderr", res.Stderr); err != nil {
		return nil, err
	}
	var links []archived
	for _, text := range slices.Sorted(maps.Keys(res.Outputs)) {
		b := res.Outputs[text]
		name := "outputs/" + job.PathOf(text)
		if !job.IsDirectory(text) {
			if err := file(name, &b); err != nil {
				return nil, err
			}
			continue
		}
		if err := srv.fetchOutput(r.Context(), job.TreeOf(b.Digest), rec); err != nil {
			return nil, err
		}
		m, err := srv.host.Manifest(b.Digest)
		if err != nil {
			return nil, fmt.Errorf("output %q of job %s: %w", text, rec.ID, err)
		}
		list = append(list, archived{name: strings.TrimSuffix(name, "/"), dir: true, mode: 0o755})
		for _, e := range m.Entries {
			x := archived{name: path.Join(name, e.Path), dir: e.Dir, link: e.Link, mode: e.Mode, blob: job.Blob{Digest: e.Digest, Size: e.Size}}
			switch {
			case e.Link != "":
				x.mode = 0o777
				links = append(links, x)
				continue
			case e.Dir:
				x.mode = 0o755
			}
			list = append(list, x)
		}
	}
	return append(list, links...), nil
}

// archive adds one thing to an archive.
func (srv *Server) archive(a archive, x *archived) (err error) {
	if x.dir || x.link != "" {
		return a.add(x, strings.NewReader(""))
	}
	f, err := srv.store.Blobs().Open(string(x.blob.Digest))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	x.blob.Size = f.Size()
	return a.add(x, f)
}

type zipped struct {
	*zip.Writer
	at time.Time
}

func (z zipped) add(x *archived, content io.Reader) error {
	h := &zip.FileHeader{Name: x.name, Method: zip.Deflate, Modified: z.at}
	switch {
	case x.dir:
		h.Name += "/"
		h.Method = zip.Store
		h.SetMode(fs.ModeDir | x.mode)
	case x.link != "":
		h.Method = zip.Store
		h.SetMode(fs.ModeSymlink | x.mode)
		content = strings.NewReader(x.link)
	default:
		h.SetMode(x.mode)
	}
	to, err := z.CreateHeader(h)
	if err == nil && !x.dir {
		_, err = io.Copy(to, content)
	}
	return err
}

type tarball struct {
	*tar.Writer
	at time.Time
}

func (t tarball) add(x *archived, content io.Reader) error {
	h := &tar.Header{Name: x.name, Mode: int64(x.mode), ModTime: t.at, Typeflag: tar.TypeReg, Size: x.blob.Size, Linkname: x.link}
	switch {
	case x.dir:
		h.Name, h.Typeflag, h.Size = x.name+"/", tar.TypeDir, 0
	case x.link != "":
		h.Typeflag, h.Size = tar.TypeSymlink, 0
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t, content)
	return err
}
