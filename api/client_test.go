package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// serve starts a broker that is only the handler, and a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// transport is a network that is only a function, for tests in virtual time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func through(t *testing.T, f transport) *Client {
	t.Helper()
	c, err := New("broker:8000", WithTransport(f))
	require.NoError(t, err)
	return c
}

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8000":         "http://127.0.0.1:8000",
		"broker":                 "http://broker:8000",
		"10.0.0.7":               "http://10.0.0.7:8000",
		":9000":                  "http://127.0.0.1:9000",
		"::1":                    "http://[::1]:8000",
		"[::1]:9000":             "http://[::1]:9000",
		"http://broker:81/":      "http://broker:81",
		"https://city.test/ucp/": "https://city.test/ucp",
	} {
		c, err := New(in)
		require.NoError(t, err, in)
		require.Equal(t, want, c.present().String(), in)
	}
	for _, in := range []string{"", " ", "ftp://a", "http://", "a:b:c", "http://u:p@a", "http://a?x=1", "a b:1"} {
		_, err := New(in)
		require.ErrorContains(t, err, "host:port", "%q", in)
	}
	c, err := New("http://a:1/x")
	require.NoError(t, err)
	require.Equal(t, "http://a:1/x", c.Addr(), "a path is part of the address")
}

func TestSubmitNamesTheJobOrLetsTheBroker(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"j1","replicas":3}`)
	})
	s, err := c.SubmitDocument(t.Context(), []byte("driver: wasm"), "application/yaml", SubmitOptions{ID: "j1", Wait: time.Hour, Timeout: time.Second})
	require.NoError(t, err)
	require.Equal(t, Submission{ID: "j1", Replicas: 3}, s)
	_, err = c.SubmitDocument(t.Context(), []byte("{}"), "application/json", SubmitOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{
		"PUT /v1/jobs/j1?timeout=1s&wait=30s application/yaml driver: wasm",
		"POST /v1/jobs application/json {}",
	}, got)
}

// A spec that the client encodes is the spec that the broker reads.
func TestSubmittedSpecParses(t *testing.T) {
	spec := job.Spec{Module: job.Digest(strings.Repeat("a", 64)), Args: []string{"x"}, Priority: job.Priority{User: job.DefaultUser}, Timeout: clock.Duration(time.Minute)}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, err := job.ParseSpec(body)
		if err != nil || got.Timeout != spec.Timeout {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = fmt.Fprintf(w, `{"error":%q}`, fmt.Sprint(err))
			return
		}
		_, _ = io.WriteString(w, `{"id":"j1"}`)
	})
	_, err := c.Submit(t.Context(), spec, SubmitOptions{})
	require.NoError(t, err)
}

func TestErrorsAreTyped(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/jobs/gone":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"this broker knows of no job gone","code":"not_found"}`)
		case "/v1/jobs/strange":
			_, _ = io.WriteString(w, "<html>")
		default:
			http.Error(w, "nginx", http.StatusBadGateway)
		}
	})
	_, err := c.Job(t.Context(), "gone", 0)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, Error{Status: 404, Code: CodeNotFound, Message: "this broker knows of no job gone"}, *e)

	_, err = c.Members(t.Context())
	require.ErrorAs(t, err, &e)
	require.Equal(t, 502, e.Status)
	require.ErrorContains(t, err, "is the address right?")

	_, err = c.Job(t.Context(), "strange", 0)
	require.ErrorContains(t, err, "does not answer as a ucp broker would")
}

func TestPathsAreEscaped(t *testing.T) {
	var got []string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.URL.EscapedPath()) })
	c.present().Path = "/ucp"
	for _, open := range []func() (io.ReadCloser, error){
		func() (io.ReadCloser, error) { return c.Output(t.Context(), "j1", "dir/a b?.json") },
		func() (io.ReadCloser, error) { return c.Stdout(t.Context(), "../x") },
	} {
		r, err := open()
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	require.Equal(t, []string{"/ucp/v1/jobs/j1/outputs/dir/a%20b%3F.json", "/ucp/v1/jobs/..%2Fx/stdout"}, got)
}

func TestBusyBrokerIsAskedAgainWithTheWholeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, began := 0, time.Now()
		c := through(t, func(r *http.Request) (*http.Response, error) {
			tries++
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, "spec", string(body), "try %d", tries)
			if tries < 3 {
				return answer(429, `{"error":"busy","code":"busy"}`, "Retry-After", "2"), nil
			}
			return answer(201, `{"id":"j1"}`), nil
		})
		_, err := c.SubmitDocument(t.Context(), []byte("spec"), "application/json", SubmitOptions{})
		require.NoError(t, err)
		require.Equal(t, 3, tries)
		require.Equal(t, 4*time.Second, time.Since(began))
	})
}

func TestRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, status, header := 0, 429, []string{"Retry-After", "86400"}
		c := through(t, func(*http.Request) (*http.Response, error) {
			tries++
			return answer(status, `{"error":"busy","code":"busy"}`, header...), nil
		})
		began := time.Now()
		_, err := c.Members(t.Context())
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, maxRetries+1, tries)
		require.Equal(t, maxRetries*maxRetryAfter, time.Since(began), "however long the broker says")

		tries, status, header = 0, 503, nil
		_, err = c.Members(t.Context())
		require.ErrorAs(t, err, &e)
		require.Equal(t, 1, tries, "a 503 that does not ask to come back is final")
	})
}

func TestNobodyAnswers(t *testing.T) {
	c, err := New("127.0.0.1:1")
	require.NoError(t, err)
	_, err = c.Members(t.Context())
	var u *UnreachableError
	require.ErrorAs(t, err, &u)
	require.Equal(t, "127.0.0.1:1", u.Addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestInterruptedRequestTellsTheCause(t *testing.T) {
	why := errors.New("the person pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(why)
		<-r.Context().Done()
	})
	_, err := c.Job(ctx, "j1", time.Second)
	require.ErrorIs(t, err, why)
}

func TestBlobs(t *testing.T) {
	held := map[string][]byte{}
	var puts atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		d := strings.TrimPrefix(r.URL.Path, "/v1/blobs/")
		_, known := held[d]
		switch {
		case r.Method == http.MethodPut:
			puts.Add(1)
			held[d], _ = io.ReadAll(r.Body)
			if !known {
				w.WriteHeader(http.StatusCreated)
			}
		case !known:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write(held[d])
		}
	})
	for _, data := range []string{"", "x", strings.Repeat("large ", 1<<19)} {
		content := Bytes([]byte(data))
		b, err := Measure(content)
		require.NoError(t, err)
		require.EqualValues(t, len(data), b.Size)
		has, err := c.HasBlob(t.Context(), b.Digest)
		require.NoError(t, err)
		require.False(t, has)
		isNew, err := c.PutBlob(t.Context(), b, content)
		require.NoError(t, err)
		require.True(t, isNew)
		has, err = c.HasBlob(t.Context(), b.Digest)
		require.NoError(t, err)
		require.True(t, has)
		isNew, err = c.PutBlob(t.Context(), b, content)
		require.NoError(t, err)
		require.False(t, isNew)
		r, err := c.Blob(t.Context(), b.Digest)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, errors.Join(err, r.Close()))
		require.Equal(t, data, string(got))
	}
	b, err := Measure(Bytes(nil))
	require.NoError(t, err)
	require.EqualValues(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", b.Digest)
}

// A file that can't be read is not a broker that can't be reached.
func TestUnreadableContentIsToldApart(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	broken := errors.New("disk gone")
	content := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("abc"), failing{broken})), nil
	}
	_, err := c.PutBlob(t.Context(), Blob{Digest: "x", Size: 10}, content)
	require.ErrorIs(t, err, broken)
	var u *UnreachableError
	require.False(t, errors.As(err, &u), "%v", err)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestStatusEndpoints(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broker/coordination-status":
			_ = json.NewEncoder(w).Encode(Coordination{Name: "a"})
		case "/broker/metadata":
			_, _ = io.WriteString(w, `{"brokers":{"a":{"name":"a"}}}`)
		case "/v1/jobs":
			_, _ = fmt.Fprintf(w, `{"jobs":[],"next":%q}`, r.URL.RawQuery)
		case "/metrics":
			_, _ = io.WriteString(w, "ucp_up 1\n")
		case "/healthz":
		case "/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"still joining the cluster","code":"unavailable"}`)
		}
	})
	s, err := c.Coordination(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a", s.Name)
	m, err := c.Metadata(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"a"}`, string(m["a"]))
	l, err := c.Jobs(t.Context(), ListOptions{States: []job.State{job.StateRunning, job.StateQueued}, Labels: []string{"a=1", "b"}, Paused: true, Since: time.Unix(1, 0), Limit: 7, After: "c"})
	require.NoError(t, err)
	require.Equal(t, "after=c&label=a%3D1&label=b&limit=7&paused=1&since=1970-01-01T00%3A00%3A01Z&state=running%2Cqueued", l.Next)
	r, err := c.Metrics(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, c.Healthy(t.Context()))
	require.ErrorContains(t, c.Ready(t.Context()), "still joining")
}
