// Package ui is the dashboard, which each broker serves at /ui/: files that a browser runs as they are, without a build step, and
// without a request to anybody but the broker. Everybody may have them; what they show they ask of the HTTP interface, with the
// rights of the person who looks. docs/dashboard.md says what each page means.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

// Policy is the Content-Security-Policy of the files: scripts, styles and requests are the broker's own, nothing is inline, and no text
// becomes markup but by the library that writes the pages.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"

// File is one file of the dashboard.
type File struct {
	Type   string // media type
	Plain  []byte
	Packed []byte // by gzip
	tag    string
}

// types are the media types of files by how their names end. What else lies there, such as licences, is text.
var types = map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

// Files are all files by their paths below /ui/; "" is the page itself.
var Files = sync.OnceValue(func() map[string]*File {
	out := map[string]*File{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		out[strings.TrimPrefix(name, "static/")] = newFile(name, b)
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("the dashboard's own files: %v", err)) // they are part of this program
	}
	out[""] = out["index.html"]
	return out
})

func newFile(name string, b []byte) *File {
	f := &File{Type: types[path.Ext(name)], Plain: b}
	if f.Type == "" {
		f.Type = "text/plain; charset=utf-8"
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // an error is one of the level
	_, _ = w.Write(b)                                          // a Buffer
	_ = w.Close()                                              // takes all
	f.Packed = packed.Bytes()
	sum := sha256.Sum256(b)
	f.tag = hex.EncodeToString(sum[:8])
	return f
}

// Serve answers with the file, compressed where the client takes that.
func (f *File) Serve(w http.ResponseWriter, r *http.Request) {
	h, body, tag := w.Header(), f.Plain, f.tag
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body, tag = f.Packed, tag+"-gzip"
	}
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Content-Type", f.Type)
	h.Set("Cache-Control", "no-cache") // it is asked each time whether there is another one, as after an upgrade
	h.Set("Content-Security-Policy", Policy)
	if r.TLS != nil { // elsewhere browsers don't obey it, and complain
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Referrer-Policy", "no-referrer")
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // who went away misses it
}
