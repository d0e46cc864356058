package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// DataVersion is one version of named data, which never changes; or what stays of one that was removed.
type DataVersion struct {
	Version   string     `json:"version"` // names it: to be given back as it is
	Digest    job.Digest `json:"digest,omitempty"`
	Size      int64      `json:"size"`                // in bytes; of a directory that of its manifest
	Directory bool       `json:"directory,omitempty"` // the digest is that of its manifest
	At        clock.Time `json:"at"`                  // when it was written, by the stamp that orders it
	Broker    string     `json:"broker"`              // that wrote it
	Job       job.ID     `json:"job,omitempty"`       // that has made it
	Attempt   string     `json:"attempt,omitempty"`   // of that job

	RemovedAt clock.Time `json:"removed_at"`           // null while it is there
	RemovedBy string     `json:"removed_by,omitempty"` // the broker that did so
	Old       bool       `json:"old,omitempty"`        // it was removed since it was old; nobody has deleted it
}

// There reports whether the version is there still.
func (v *DataVersion) There() bool { return v.RemovedAt == 0 }

// Data is what a name stands for.
type Data struct {
	Name     string        `json:"name"`
	Owner    string        `json:"owner,omitempty"`  // to whom it belongs, in a city: who has written it first
	Latest   *DataVersion  `json:"latest,omitempty"` // null where nothing is there
	Versions []DataVersion `json:"versions"`         // the latest first, with those that were removed

	// Of an answer to a write: what was done, how many brokers hold it, and whether that is fewer than the broker's --replicas.
	New      bool `json:"new,omitempty"`     // false where the latest version had this content already
	Removed  int  `json:"removed,omitempty"` // how many versions
	Replicas int  `json:"replicas,omitempty"`
	Degraded bool `json:"degraded,omitempty"`

	CausalToken string    `json:"causal_token,omitempty"`
	AsOf        time.Time `json:"as_of"`
}

// DataList is a page of names, sorted.
type DataList struct {
	Data []Data    `json:"data"`
	Next string    `json:"next,omitempty"` // give it back as ?after= for the next page
	AsOf time.Time `json:"as_of"`
}

// VersionHeader is the header in which the broker says which version it sends.
const VersionHeader = "X-UCP-Version"

// NoVersion says in a request that no version is there.
const NoVersion = "none"

func dataPath(name string) []string {
	return append([]string{"v1", "data"}, strings.Split(name, "/")...)
}

// PutData lets a name stand for a blob, or the directory of a manifest, that the broker holds already. If known is not "", it is only done where
// that is the latest version, or [NoVersion].
func (c *Client) PutData(ctx context.Context, name string, d job.Digest, directory bool, known string) (Data, error) {
	q := url.Values{"digest": {string(d)}}
	if directory {
		q.Set("directory", "1")
	}
	if known != "" {
		q.Set("if", known)
	}
	var out Data
	_, err := c.json(ctx, call{method: http.MethodPut, path: dataPath(name), query: q}, 0, &out)
	return out, err
}

// RemoveData removes all versions of a name that the broker knows.
func (c *Client) RemoveData(ctx context.Context, name string) (Data, error) {
	var out Data
	_, err := c.json(ctx, call{method: http.MethodDelete, path: dataPath(name)}, 0, &out)
	return out, err
}

// Data says what a name stands for.
func (c *Client) Data(ctx context.Context, name string) (Data, error) {
	return c.AwaitData(ctx, name, "", 0)
}

// AwaitData says what a name stands for as soon as its latest version is another one than known, which is [NoVersion] for none
// and "" for any, or when the wait is over.
func (c *Client) AwaitData(ctx context.Context, name, known string, wait time.Duration) (Data, error) {
	q := url.Values{"versions": {"1"}}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	if known != "" {
		q.Set("known", known)
	}
	var out Data
	_, err := c.json(ctx, call{method: http.MethodGet, path: dataPath(name), query: q}, wait, &out)
	return out, err
}

// DataContent hands out the content of a version, "" for the latest: the bytes of a file, or of a directory its manifest, or of a
// path within one that file; the caller closes the reader.
func (c *Client) DataContent(ctx context.Context, name, version, path string) (io.ReadCloser, error) {
	q := url.Values{}
	if version != "" {
		q.Set("version", version)
	}
	if path != "" {
		q.Set("path", path)
	}
	return c.stream(ctx, call{method: http.MethodGet, path: dataPath(name), query: q})
}

// ListData lists the names below a prefix, which is "" or ends with a slash: a page behind after, of at most limit names.
func (c *Client) ListData(ctx context.Context, prefix, after string, limit int, removed bool) (DataList, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		q.Set("after", after)
	}
	if removed {
		q.Set("removed", "1")
	}
	var out DataList
	_, err := c.json(ctx, call{method: http.MethodGet, path: dataPath(prefix), query: q}, 0, &out)
	return out, err
}
