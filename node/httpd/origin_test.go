package httpd

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// originOf returns a handler that answers "in" to whom it lets in.
func originOf(t *testing.T) http.Handler {
	srv := New(Config{Name: "van-3", HTTPHosts: []string{"ucp.city", "*.svc.local"}, Now: time.Now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}, nil, &shownHost{}, nil)
	return srv.sameOrigin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
}

// Whoever changes something is no page of another site, and means this broker.
func TestPagesOfOthersStayOutside(t *testing.T) {
	h := originOf(t)
	machine, err := os.Hostname()
	require.NoError(t, err)
	for name, x := range map[string]struct {
		method, host string
		header       []string
		refused      string
	}{
		"a program":                     {"POST", "127.0.0.1:8000", nil, ""},
		"by an address":                 {"POST", "10.1.2.3:8000", nil, ""},
		"by an address of six":          {"POST", "[fe80::1%25eth0]:8000", nil, ""},
		"by a bare address of six":      {"POST", "[::1]", nil, ""},
		"localhost":                     {"POST", "LocalHost:8000", nil, ""},
		"the broker's name":             {"POST", "van-3:8000", nil, ""},
		"the machine's name":            {"POST", machine + ".local.", nil, ""},
		"a name that was given":         {"POST", "ucp.city", nil, ""},
		"below one that was given":      {"POST", "a.b.svc.local:80", nil, ""},
		"one that was given for below":  {"POST", "svc.local:80", nil, "not called"},
		"ends like one that was given":  {"POST", "evilsvc.local:80", nil, "not called"},
		"rebound":                       {"POST", "evil.example:8000", nil, "not called"},
		"rebound, reads":                {"GET", "evil.example:8000", nil, "not called"},
		"rebound, same origin":          {"POST", "evil.example", []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"}, "not called"},
		"another site":                  {"POST", "127.0.0.1:8000", []string{"Sec-Fetch-Site", "cross-site"}, "page of another site"},
		"another port of this machine":  {"DELETE", "127.0.0.1:8000", []string{"Sec-Fetch-Site", "same-site"}, "page of another site"},
		"another site, an old browser":  {"PUT", "127.0.0.1:8000", []string{"Origin", "http://evil.example"}, "page of another site"},
		"a page without an origin":      {"POST", "127.0.0.1:8000", []string{"Origin", "null"}, "page of another site"},
		"our own page":                  {"POST", "127.0.0.1:8000", []string{"Origin", "http://127.0.0.1:8000", "Sec-Fetch-Site", "same-origin"}, ""},
		"another site follows our link": {"GET", "127.0.0.1:8000", []string{"Sec-Fetch-Site", "cross-site"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(x.method, "/v1/jobs", nil)
			r.Host = x.host
			for i := 0; i < len(x.header); i += 2 {
				r.Header.Set(x.header[i], x.header[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if x.refused == "" {
				require.Equal(t, "in", w.Body.String())
				return
			}
			require.Equal(t, http.StatusForbidden, w.Code)
			var e api.Error
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
			require.Equal(t, api.CodeForbidden, e.Code)
			require.Contains(t, e.Message, x.refused)
		})
	}
}

// A page can post text/plain to anybody without asking; JSON it can't.
func TestDocumentsSayTheirType(t *testing.T) {
	for _, x := range []struct {
		media, encoding string
		yaml, refused   bool
	}{
		{"application/json", "", false, false}, {"application/json; charset=utf-8", "", false, false}, {"application/vnd.ucp+json", "", false, false},
		{"application/yaml", "", true, false}, {"text/yaml", "", true, false}, {"application/x-yaml", "", true, false},
		{"text/plain", "", false, true}, {"application/x-www-form-urlencoded", "", false, true}, {"", "", false, true}, {"text/plain; a=yaml", "", false, true},
		{"application/json", "gzip", false, true},
	} {
		r := httptest.NewRequest("POST", "/v1/jobs", strings.NewReader("text"))
		r.Header.Set("Content-Type", x.media)
		if x.encoding != "" {
			r.Header.Set("Content-Encoding", x.encoding)
		}
		b, yaml, err := readDocument(httptest.NewRecorder(), r, 10, true)
		if x.refused {
			var e *api.Error
			require.ErrorAs(t, err, &e, x.media)
			require.Equal(t, http.StatusUnsupportedMediaType, e.Status)
			continue
		}
		require.NoError(t, err, x.media)
		require.Equal(t, "text", string(b))
		require.Equal(t, x.yaml, yaml)
		if yaml {
			_, _, err = readDocument(httptest.NewRecorder(), r, 10, false)
			require.Error(t, err, "only specs are YAML")
		}
	}
	r := httptest.NewRequest("POST", "/v1/jobs", strings.NewReader("longer than ten"))
	r.Header.Set("Content-Type", "application/json")
	_, _, err := readDocument(httptest.NewRecorder(), r, 10, true)
	var large *http.MaxBytesError
	require.ErrorAs(t, err, &large)
}
