package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxJSON bounds an answer that is decoded in memory (rule L11).
const maxJSON = 64 << 20

// expectAbove is the size in bytes above which a body waits for the broker's
// "100 Continue": a refusal then costs one round trip, not the whole upload.
const expectAbove = 1 << 20

// UnreachableError says that nobody answers at the broker's address, or that the
// connection broke before the answer.
type UnreachableError struct {
	Addr string // of several that were tried, all, with commas between them
	Err  error  // of the last one
	// Sent says that a connection was made: the request may have been carried out.
	Sent bool
}

// Error implements error.
func (e *UnreachableError) Error() string {
	switch {
	case errors.Is(e.Err, ErrSilent):
		return fmt.Sprintf("%s takes the connection and does not answer: %v", e.Addr, e.Err)
	case e.Sent:
		return fmt.Sprintf("the connection to %s broke before the answer came: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("no broker answers at %s: %v", e.Addr, e.Err)
}

// ErrSilent ends a request that was not answered in time: the broker, or its machine, may stand still.
var ErrSilent = errors.New("nothing came")

// silentFor is ErrSilent with how long it was waited.
func silentFor(d time.Duration) error { return fmt.Errorf("%w within %v", ErrSilent, d) }

// errSilent ends a request that another broker may answer sooner.
var errSilent = silentFor(goodPatience)

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Content opens the same bytes again at every call, so that a request can be
// repeated. Whoever gets the reader closes it.
type Content func() (io.ReadCloser, error)

// Bytes is the Content of bytes in memory.
func Bytes(b []byte) Content {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// call is one request, described so that it can be sent more than once.
type call struct {
	method      string
	path        []string // elements, not yet escaped
	query       url.Values
	contentType string
	body        Content // nil for none
	size        int64   // of the body
	// contentRange says which part of the whole the body is; "" is all of it.
	contentRange string
	from         int64         // the byte with which the answer is to begin
	etag         string        // of the content of which that is a part
	wait         time.Duration // that the broker is asked to wait before it answers
	within       time.Duration // that a broker may say nothing, if there is no other; 0 is as long as the request may take
	after        string        // of events: the cursor of the last one that is known
	asks         bool          // the broker is to ask all others first whether they are there
	named        bool          // a POST that says itself what it makes, and so may be repeated
	trails       bool          // the answer has a trailer, which may be long
}

// repeats reports whether a call may be sent again when it is not known whether it was carried out.
func (k *call) repeats() bool { return k.method != http.MethodPost || k.named }

// bodyError marks an error of reading what is to be sent: no fault of the network.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

type markedBody struct{ io.ReadCloser }

func (b markedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}

func (c *Client) request(ctx context.Context, base *url.URL, k call) (*http.Request, error) {
	u := *base
	raw := u.EscapedPath()
	for _, e := range k.path {
		u.Path += "/" + e
		raw += "/" + url.PathEscape(e)
	}
	u.RawPath, u.RawQuery = raw, k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	_, socket := socketOf(base.Host)
	if socket {
		req.Host = "localhost"
	}
	if c.token != "" {
		if base.Scheme != "https" && !socket {
			return nil, fmt.Errorf("a token is a secret, and is not sent to %s, which speaks no TLS", c.written(base))
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json")
	if k.after != "" {
		req.Header.Set("Last-Event-ID", k.after)
	}
	if k.asks {
		req.Header.Set(AskHeader, "1")
	}
	if k.from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", k.from))
		req.Header.Set("If-Range", k.etag)
	}
	// An empty key says to net/http that the request may be repeated when it
	// met a connection just closed; no such header is sent.
	if k.repeats() {
		req.Header["Idempotency-Key"] = []string{}
	}
	if k.body == nil || k.size == 0 {
		return req, nil
	}
	req.GetBody = func() (io.ReadCloser, error) {
		r, err := k.body()
		if err != nil {
			return nil, &bodyError{err}
		}
		return markedBody{r}, nil
	}
	if req.Body, err = req.GetBody(); err != nil {
		return nil, err
	}
	req.ContentLength = k.size
	req.Header.Set("Content-Type", k.contentType)
	if k.contentRange != "" {
		req.Header.Set("Content-Range", k.contentRange)
	}
	if k.size > expectAbove {
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

// do sends the call and returns an answer that is a success; the caller closes
// its body. A broker that asks to come back later is asked again, at most
// maxRetries times. One that does not answer, or is about to leave, is not: the next one is asked, each once.
func (c *Client) do(ctx context.Context, k call) (*http.Response, error) {
	left := c.others()
	var silent []string // who did not answer
	for try := 0; ; {
		base := c.present()
		resp, err := c.send(ctx, base, k, left > 0)
		if err != nil {
			var u *UnreachableError
			if !errors.As(err, &u) {
				return nil, err
			}
			c.avoid(base)
			silent = append(silent, u.Addr)
			if left--; left < 0 || u.Sent && !k.repeats() {
				u.Addr = strings.Join(silent, ", ")
				return nil, u
			}
			continue
		}
		if resp.StatusCode != http.StatusServiceUnavailable {
			c.heard.Store(time.Now().UnixNano())
		}
		if k.asks || !c.asks.Load() { // content is read without a question, and its answer knows less
			c.noteReach(resp.Header)
		}
		if resp.StatusCode < 300 {
			return resp, nil
		}
		failure := c.readError(base, resp)
		if leaving := failure.Code == CodeDraining || failure.Code == CodeUnavailable && k.repeats(); leaving && left > 0 {
			left--
			c.avoid(base)
			continue
		}
		pause, again := retryAfter(resp)
		if !again || try == maxRetries {
			return nil, failure
		}
		try++
		if err := Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("waiting to repeat a request: %w (the last answer was: %w)", err, failure)
		}
	}
}

// send sends the call to one broker. Where there are others, one that takes the connection and says nothing is given up.
func (c *Client) send(ctx context.Context, base *url.URL, k call, others bool) (*http.Response, error) {
	one, cancel := context.WithCancelCause(ctx)
	req, err := c.request(one, base, k)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(one, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}))
	if others && k.size < expectAbove {
		watch := time.AfterFunc(k.wait+goodPatience, func() { cancel(errSilent) })
		defer watch.Stop()
	} else if k.within > 0 {
		watch := time.AfterFunc(k.within, func() { cancel(silentFor(k.within)) })
		defer watch.Stop()
	}
	resp, err := c.doer(k).Do(req)
	if err != nil {
		if cause := context.Cause(one); ctx.Err() == nil && cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, c.transportError(ctx, base, k, err, connected.Load())
	}
	resp.Body = &held{resp.Body, func() { cancel(nil) }}
	return resp, nil
}

// longTrailer is how many bytes a trailer may have: net/http takes no more of one than its buffer holds, usually 4 KiB.
const longTrailer = 2 << 20

// doer sends a call: over a connection of its own where the answer has a trailer that may be long.
func (c *Client) doer(k call) *http.Client {
	usual, is := c.http.Transport.(*http.Transport)
	if !k.trails || !is {
		return c.http
	}
	roomy := usual.Clone()
	roomy.ReadBufferSize, roomy.DisableKeepAlives = longTrailer, true
	return &http.Client{Transport: roomy, CheckRedirect: c.http.CheckRedirect}
}

// held is the body of an answer, whose request ends with it.
type held struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (h *held) Close() error {
	defer h.done()
	return h.ReadCloser.Close()
}

func (c *Client) transportError(ctx context.Context, base *url.URL, k call, err error, sent bool) error {
	var own *bodyError
	var u *url.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s /%s at %s: %w", k.method, strings.Join(k.path, "/"), c.written(base), context.Cause(ctx))
	case errors.As(err, &own):
		return fmt.Errorf("reading what is to be sent: %w", own.err)
	case errors.As(err, &u):
		err = u.Err // the rest of a url.Error repeats what we say better
		if errors.Is(err, http.ErrSchemeMismatch) {
			err = errors.New("it speaks no TLS, and so belongs to no city; write http://HOST:PORT for such a broker")
		}
		if sent && errors.Is(err, io.EOF) && (base.Port() == "7946" || base.Port() == "7373") {
			err = fmt.Errorf("%w: port %s is mostly that of gossip or of serf's command line; a broker answers at 8000 unless said otherwise", err, base.Port())
		}
		if strings.HasSuffix(err.Error(), refusedIdentity) {
			err = errors.New("it takes you for no member of its city: you belong to another one, or your membership was revoked")
		}
	}
	return &UnreachableError{Addr: c.written(base), Err: err, Sent: sent}
}

// refusedIdentity is how a TLS connection ends whose other side does not take our certificate (RFC 8446, section 6.2).
const refusedIdentity = "remote error: tls: bad certificate"

// retryAfter says whether a refusal asks to come back, and when.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0, false
	}
	return min(max(time.Duration(seconds)*time.Second, 50*time.Millisecond), maxRetryAfter), true
}

// Sleep waits, unless ctx ends before: then it returns why.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readError turns an unsuccessful answer into an *Error and closes it.
func (c *Client) readError(base *url.URL, resp *http.Response) *Error {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to go by
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Message == "" {
		e.Message = fmt.Sprintf("%s answers %q", c.written(base), resp.Status)
		if strings.Contains(string(body), "HTTP request to an HTTPS server") {
			e.Code, e.Message, e.Status = CodeForbidden, c.written(base)+" speaks TLS: it belongs to a city, and answers its members only: get an invite from one of its operators (`ucp cluster invite --role client`), and say `ucp login CODE`; or show a token", resp.StatusCode
			return e
		}
		if resp.Request == nil || resp.Request.Method != http.MethodHead {
			e.Message += ", not in the way of a ucp broker: is the address right?"
		}
	}
	e.Status = resp.StatusCode
	e.came, _ = strconv.ParseInt(resp.Header.Get(UploadOffsetHeader), 10, 64) // 0 where it is not said
	return e
}

// json sends the call and decodes the answer into out. The request as a whole
// ends after requestTimeout, and what it waits for on purpose.
func (c *Client) json(ctx context.Context, k call, wait time.Duration, out any) (status int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wait+requestTimeout, silentFor(wait+requestTimeout))
	defer cancel()
	k.wait, k.asks = wait, k.method == http.MethodGet && c.asks.Load()
	resp, err := c.do(ctx, k)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
	if err != nil {
		return 0, c.transportError(ctx, c.present(), k, err, true)
	}
	if len(body) > maxJSON {
		return 0, fmt.Errorf("%s /%s at %s: the answer has more than %d MiB", k.method, strings.Join(k.path, "/"), c.Addr(), maxJSON>>20)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return 0, fmt.Errorf("%s /%s: %s does not answer as a ucp broker would: %w: is the address right?", k.method, strings.Join(k.path, "/"), c.Addr(), err)
	}
	return resp.StatusCode, nil
}
