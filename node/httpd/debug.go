package httpd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/strictjson"
)

// logLevels are the levels of a broker's log, as people write them.
var logLevels = []string{"debug", "info", "warn", "error"}

// handleLogLevel tells from which level on this broker's log has what happens.
func (srv *Server) handleLogLevel(w http.ResponseWriter, _ *http.Request) error {
	if srv.cfg.LogLevel == nil {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "this broker's log has no level")
	}
	writeJSON(w, http.StatusOK, api.LogLevel{Name: srv.cfg.Name, Level: strings.ToLower(srv.cfg.LogLevel.Level().String())})
	return nil
}

// handleSetLogLevel changes it, until the broker reads its settings again, or restarts.
func (srv *Server) handleSetLogLevel(w http.ResponseWriter, r *http.Request) error {
	b, _, err := readDocument(w, r, 1<<10, false)
	if err != nil {
		return err
	}
	var in struct {
		Level string `json:"level"`
	}
	if err := strictjson.Unmarshal(b, &in); err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "it is not a level such as {\"level\":\"debug\"}: %v", err)
	}
	if !slices.Contains(logLevels, in.Level) {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "level %.40q: %s", in.Level, label.OneOf(in.Level, logLevels))
	}
	if srv.cfg.LogLevel == nil {
		return srv.handleLogLevel(w, r)
	}
	orderOf(r).which = in.Level
	was := srv.cfg.LogLevel.Level()
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.Level)); err != nil {
		return err
	}
	srv.cfg.LogLevel.Set(level)
	if was != level {
		srv.log.Log(r.Context(), max(was, level, slog.LevelWarn), "the log level was changed", "from", was.String(), "to", level.String())
	}
	return srv.handleLogLevel(w, r)
}

// cpuProfile is for how long the CPU is watched for a profile.
const cpuProfile = 3 * time.Second

// handleDebug answers with a bundle of what helps to understand this broker, a gzipped tar: no specs, no environment, no
// contents of blobs. One is made at a time.
func (srv *Server) handleDebug(w http.ResponseWriter, r *http.Request) error {
	if !srv.debugging.TryLock() {
		return fail(http.StatusTooManyRequests, api.CodeBusy, "another bundle is being made; ask again in some seconds")
	}
	defer srv.debugging.Unlock()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for _, part := range srv.debugParts(queryYes(r, "pprof")) {
		b, err := part.make(r.Context())
		name := srv.cfg.Name + "/" + part.name
		if err != nil {
			b, name = []byte(err.Error()+"\n"), name+".error"
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), ModTime: srv.cfg.Now(), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/gzip")
	_, _ = io.Copy(w, &out) // a client that went away misses it
	return nil
}

// debugPart is one file of a bundle.
type debugPart struct {
	name string
	make func(context.Context) ([]byte, error)
}

// debugParts are the files of a bundle.
func (srv *Server) debugParts(profiles bool) []debugPart {
	document := func(v func() any) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) { return json.MarshalIndent(v(), "", "  ") }
	}
	answer := func(target string, h http.HandlerFunc) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			if err != nil {
				return nil, err
			}
			w := &recorded{header: http.Header{}, status: http.StatusOK}
			if h(w, r); w.status != http.StatusOK {
				return nil, fmt.Errorf("%s: %d %s", target, w.status, w.body.Bytes())
			}
			return w.body.Bytes(), nil
		}
	}
	parts := []debugPart{
		{"about.json", document(func() any {
			return map[string]any{"name": srv.cfg.Name, "actor": srv.host.Actor(), "software": srv.cfg.Software, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(), "goroutines": runtime.NumGoroutine(), "as_of": srv.cfg.Now().UTC()}
		})},
		{"config.json", document(func() any { return srv.cfg.Settings })},
		{"status.json", document(func() any { return srv.coordination() })},
		{"members.json", document(func() any { return srv.members() })},
		{"metadata.json", answer("/broker/metadata", srv.wrap(srv.handleMetadata))},
		{"digests.json", answer("/broker/digest?records=1", srv.wrap(srv.handleDigest))},
		{"metrics.txt", answer("/metrics", srv.metrics.handler().ServeHTTP)},
		{"log.txt", func(context.Context) ([]byte, error) {
			if srv.cfg.RecentLog == nil {
				return nil, nil
			}
			return srv.cfg.RecentLog(), nil
		}},
		{"goroutines.txt", profile("goroutine", 2)},
	}
	if profiles {
		for _, name := range []string{"heap", "allocs", "goroutine"} {
			parts = append(parts, debugPart{"pprof/" + name + ".pb.gz", profile(name, 0)})
		}
		parts = append(parts, debugPart{"pprof/cpu.pb.gz", profileCPU})
	}
	return parts
}

// profile makes one of the runtime's profiles: as text for people with debug, or for go tool pprof.
func profile(name string, debug int) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		var b bytes.Buffer
		err := pprof.Lookup(name).WriteTo(&b, debug)
		return b.Bytes(), err
	}
}

func profileCPU(ctx context.Context) ([]byte, error) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		return nil, err
	}
	select {
	case <-time.After(cpuProfile):
	case <-ctx.Done():
	}
	pprof.StopCPUProfile()
	return b.Bytes(), nil
}

// recorded is an answer that is kept and not sent.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }
