package httpd

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// Every route refuses by its name a parameter that it does not take, before it does anything: a nearly right one is not
// passed over.
func TestUnknownParametersAreRefused(t *testing.T) {
	srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil)
	answer := func(pattern, query string) (int, string) {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{$}", "", "{path...}", "p", "{", "", "}", "").Replace(path)
		w := httptest.NewRecorder()
		srv.handler().ServeHTTP(w, httptest.NewRequest(method, path+"?"+query, nil))
		var e api.Error
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), "%s: %s", pattern, w.Body)
		return w.Code, e.Message
	}
	routes := append(slices.Collect(maps.Keys(srv.routes())), "GET /metrics")
	for pattern := range parameters {
		require.Contains(t, routes, pattern)
	}
	require.Subset(t, routes, withBody)
	for _, pattern := range routes {
		if !slices.Contains(withBody, pattern) {
			method, path, _ := strings.Cut(pattern, " ")
			w := httptest.NewRecorder()
			srv.handler().ServeHTTP(w, httptest.NewRequest(method, strings.NewReplacer("{$}", "", "{path...}", "p", "{", "", "}", "").Replace(path), strings.NewReader("{}")))
			require.Equal(t, http.StatusBadRequest, w.Code, pattern)
			require.Contains(t, w.Body.String(), "takes no body", pattern)
		}
		status, text := answer(pattern, "nonsense=1")
		require.Equal(t, http.StatusBadRequest, status, pattern)
		require.Contains(t, text, "unknown parameter ?nonsense=", pattern)
		require.Equal(t, !strings.HasPrefix(pattern, "GET "), strings.HasSuffix(text, "nothing was done"), "%s: %s", pattern, text)
		for _, name := range parameters[pattern] {
			_, text := answer(pattern, strings.ToUpper(name)+"=1")
			require.Contains(t, text, "did you mean "+name+"?", pattern)
			if !slices.Contains(repeatable, name) {
				_, text := answer(pattern, name+"=1&"+name+"=1")
				require.Contains(t, text, "is given 2 times", pattern)
			}
		}
	}
}

func TestCheckQuery(t *testing.T) {
	for query, want := range map[string]string{
		"dry_run":                   "?dry_run= has no value",
		"dry_run=no":                "?dry_run=no: write 1 or 0",
		"wait=":                     "?wait= has no value",
		"dryrun=1":                  "unknown parameter ?dryrun=: did you mean dry_run?",
		"wait=1s;timeout=1s":        "can't be read",
		"wait=%zz":                  "can't be read",
		"causal_token=":             "",
		"dry_run=0&wait=1s":         "",
		"dry_run=TRUE":              "",
		"wait=1s&wait=2s":           "?wait= is given 2 times",
		"wait%00=1s":                "unknown parameter ?wait\x00=",
		strings.Repeat("x", 1<<16):  "unknown parameter ?" + strings.Repeat("x", 40) + "=",
		"timeout=1s&timeout=1s&a=b": "unknown parameter ?a=",
	} {
		err := checkQuery(query, forSubmission)
		if want == "" {
			require.Nil(t, err, query)
			continue
		}
		require.NotNil(t, err, query)
		require.Contains(t, err.Message, want)
		require.Less(t, len(err.Message), 300)
	}
	require.Nil(t, checkQuery("label=a%3Db&label=c", forList))
	for query, yes := range map[string]bool{"dry_run=1": true, "dry_run=true": true, "dry_run=0": false, "dry_run=False": false, "": false} {
		require.Equal(t, yes, queryYes(httptest.NewRequest("POST", "/v1/jobs?"+query, nil), "dry_run"), query)
	}
}
