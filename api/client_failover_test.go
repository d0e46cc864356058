package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// brokers makes a client of several, each of which answers by its host.
func brokers(t *testing.T, addr string, f func(host string, r *http.Request) (*http.Response, error)) (*Client, *[]string) {
	var asked []string
	c, err := New(addr, WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Hostname()+" "+r.URL.Path)
		return f(r.URL.Hostname(), r)
	})))
	require.NoError(t, err)
	return c, &asked
}

// Of several brokers the next one is asked where one does not answer, or is about to leave, and goes on to be asked.
func TestTheNextBrokerIsAsked(t *testing.T) {
	down := map[string]bool{"a": true}
	c, asked := brokers(t, "a, b,c:81", func(host string, r *http.Request) (*http.Response, error) {
		switch {
		case down[host]:
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		case host == "b" && r.Method == http.MethodPut:
			return answer(503, `{"error":"it is about to leave","code":"draining"}`), nil
		}
		return answer(200, done), nil
	})
	require.Equal(t, "a:8000", c.Addr())
	_, err := c.Job(t.Context(), "j1", 0)
	require.NoError(t, err)
	require.Equal(t, "b:8000", c.Addr())
	_, err = c.Job(t.Context(), "j1", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"a /v1/jobs/j1", "b /v1/jobs/j1", "b /v1/jobs/j1"}, *asked)
	_, err = c.Submit(t.Context(), job.Spec{Command: "true"}, SubmitOptions{ID: "j1"})
	require.NoError(t, err)
	require.Equal(t, "c:81", c.Addr())
	down["b"], down["c"] = true, true
	*asked = nil
	_, err = c.Job(t.Context(), "j1", 0)
	require.EqualError(t, err, "no broker answers at c:81, a:8000, b:8000: dial: connection refused")
	require.Len(t, *asked, 3, "each once")
	_, err = New("a,,b")
	require.ErrorContains(t, err, "it is empty")
}

// What a broker may have carried out is sent to another one only where it may be repeated.
func TestWhatMayHaveBeenDoneIsNotDoneTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and hangs up
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}()
	var told []string
	good := serve(t, func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Method)
		_, _ = io.WriteString(w, done)
	})
	client := func() *Client {
		c, err := New(l.Addr().String() + "," + good.Addr())
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	_, _, err = client().Declare(t.Context(), emergency.Declaration{Type: "flood", Level: "high"})
	var u *UnreachableError
	require.ErrorAs(t, err, &u)
	require.True(t, u.Sent)
	require.ErrorContains(t, err, "the connection to "+l.Addr().String()+" broke before the answer came: ")
	require.Empty(t, told)
	busy, asked := brokers(t, "a,b", func(string, *http.Request) (*http.Response, error) {
		return answer(503, `{"error":"not in time; it may be done all the same","code":"unavailable"}`), nil
	})
	_, _, err = busy.Declare(t.Context(), emergency.Declaration{Type: "flood", Level: "high"})
	require.ErrorContains(t, err, "may be done")
	require.Len(t, *asked, 1)
	_, err = client().Cancel(t.Context(), "j1")
	require.NoError(t, err)
	require.Equal(t, []string{"DELETE"}, told)
}

// A broker that takes the connection and says nothing, as one that was stopped, is given up where there are others, and
// not before it has had the time that it was asked to take.
func TestASilentBrokerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, _ := brokers(t, "a,b", func(host string, r *http.Request) (*http.Response, error) {
			if host == "a" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer(200, done), nil
		})
		_, err := c.Job(t.Context(), "j1", 20*time.Second)
		require.NoError(t, err)
		require.Equal(t, 20*time.Second+goodPatience, time.Since(began))
		alone, _ := brokers(t, "a", func(_ string, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began = time.Now()
		_, err = alone.Job(t.Context(), "j1", 0)
		require.ErrorIs(t, err, ErrSilent)
		require.ErrorContains(t, err, "nothing came within 1m0s")
		require.Equal(t, requestTimeout, time.Since(began))
		began = time.Now()
		_, err = alone.Members(t.Context())
		require.ErrorIs(t, err, ErrSilent)
		require.Equal(t, membersWithin, time.Since(began))
	})
}

// Who waits for a job asks the broker for the others, and goes on with them when it dies; one that has not heard of the
// job yet is given time.
func TestWaitGoesOnWithTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var troubles []error
		c, asked := brokers(t, "a", func(host string, r *http.Request) (*http.Response, error) {
			up := time.Since(began)
			switch {
			case r.URL.Path == "/v1/members":
				return answer(200, `{"members":[{"name":"a","self":true,"status":"alive","http_addr":"a:8000"},{"name":"b","status":"alive","http_addr":"b:8000"},
					{"name":"c","status":"failed","http_addr":"c:8000"},{"name":"serf","status":"alive"}]}`), nil
			case host == "a" && up > time.Second:
				return nil, syscall.ECONNREFUSED
			case host == "b" && up < 5*time.Second:
				return answer(404, `{"error":"this broker knows of no job j1","code":"not_found"}`), nil
			case up > 10*time.Second:
				return answer(200, done), nil
			}
			time.Sleep(time.Second)
			return answer(200, running), nil
		})
		j, err := c.Wait(t.Context(), "j1", WaitOptions{Others: true, Trouble: func(err error) { troubles = append(troubles, err) }})
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, "b:8000", c.Addr())
		require.NotContains(t, *asked, "c /v1/jobs/j1")
		require.NotEmpty(t, troubles)
	})
}

// While nobody answers at all the patience is what was asked for.
func TestWaitIsAsPatientAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, _ := brokers(t, "a,b", func(_ string, r *http.Request) (*http.Response, error) {
			if time.Since(began) > time.Second {
				return nil, syscall.ECONNREFUSED
			}
			time.Sleep(time.Second)
			return answer(200, running), nil
		})
		_, err := c.Wait(t.Context(), "j1", WaitOptions{Patience: 5 * time.Minute})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.InDelta(t, (5 * time.Minute).Seconds(), time.Since(began).Seconds(), 3)
	})
}

func TestWhyNobodyAnswers(t *testing.T) {
	for want, e := range map[string]UnreachableError{
		"no broker answers at a: x":                                           {Addr: "a", Err: errors.New("x")},
		"the connection to a broke before the answer came: EOF":               {Addr: "a", Err: io.EOF, Sent: true},
		"a takes the connection and does not answer: nothing came within 10s": {Addr: "a", Err: errSilent, Sent: true},
	} {
		require.EqualError(t, &e, want)
	}
}
