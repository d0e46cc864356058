package ui

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostPacked is how many bytes all files may have together, compressed.
const mostPacked = 150 << 10

// All of it is small; nothing is inline, nothing comes from elsewhere, and every file that one names is there.
func TestFiles(t *testing.T) {
	total := 0
	for name, f := range Files() {
		if name == "" {
			continue
		}
		total += len(f.Packed)
		r, err := gzip.NewReader(bytes.NewReader(f.Packed))
		require.NoError(t, err)
		plain, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, f.Plain, plain, name)
		text := string(f.Plain)
		if strings.HasPrefix(name, "lib/") {
			require.NotContains(t, text, "sourceMappingURL", "%s: no browser is to ask for a file that is not there", name)
			continue
		}
		require.NotRegexp(t, `(src|href)="?(https?:)?//`, text, "%s asks somebody else", name)
		require.NotRegexp(t, `\sstyle=|<style|\son[a-z]+="|javascript:|\.innerHTML|insertAdjacentHTML|document\.write|\beval\(|unsafeHTML`, text, "%s: what is inline is not shown, and text must not become markup", name)
		for _, m := range regexp.MustCompile(`(?:from |import\()'(\./[^']+)'`).FindAllStringSubmatch(text, -1) {
			require.Contains(t, Files(), path.Join(path.Dir(name), m[1]), "%s imports %s", name, m[1])
		}
		if name == "index.html" {
			for _, m := range regexp.MustCompile(`(?:src|href)="([a-z][^":]*)"`).FindAllStringSubmatch(text, -1) {
				require.Contains(t, Files(), m[1])
			}
		}
	}
	t.Logf("%d bytes of %d, compressed", total, mostPacked)
	require.Less(t, total, mostPacked)
	require.Greater(t, total, 10<<10, "the test sees the files")
	require.NotContains(t, Policy, "unsafe")
}

// A file comes compressed to who takes that, and not again to who has it.
func TestServe(t *testing.T) {
	f := Files()["app.js"]
	ask := func(headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/ui/app.js", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		f.Serve(w, r)
		return w
	}
	plain := ask()
	require.Equal(t, f.Plain, plain.Body.Bytes())
	require.Empty(t, plain.Header().Get("Content-Encoding"))
	packed := ask("Accept-Encoding", "gzip, br")
	require.Equal(t, f.Packed, packed.Body.Bytes())
	require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	require.Equal(t, Policy, packed.Header().Get("Content-Security-Policy"))
	require.NotEqual(t, plain.Header().Get("ETag"), packed.Header().Get("ETag"), "they are other bytes")
	again := ask("Accept-Encoding", "gzip", "If-None-Match", packed.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.Bytes())
}
