// Package contract compares what clients and brokers say to each other with docs/api/openapi.yaml, in tests.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "github.com/urban-compute/ucp/docs/api"
)

// maxBody bounds what is read of an answer to be looked at.
const maxBody = 64 << 20

// Checker is a way that requests take, and looks at each of them and its answer. A field that the document has not is an error here,
// though clients pass over it. Its methods may be called by several goroutines at once.
type Checker struct {
	next http.RoundTripper
	doc  *openapi3.T
	mux  *http.ServeMux
	all  map[string]operation // by the pattern of the mux

	mu    sync.Mutex
	seen  map[string]map[int]int
	wrong []string
}

type operation struct {
	method, path string
	*openapi3.Operation
}

// New reads the document, and validates it.
func New(next http.RoundTripper) (*Checker, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	loader := openapi3.NewLoader()
	if err := doc.Validate(loader.Context, openapi3.EnableSchemaFormatValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	for _, s := range doc.Components.Schemas {
		no := false
		if len(s.Value.Properties) > 0 {
			s.Value.AdditionalProperties.Has = &no
		}
	}
	c := &Checker{next: next, doc: doc, mux: http.NewServeMux(), all: map[string]operation{}, seen: map[string]map[int]int{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			pattern := path
			if path == "/" {
				pattern = "/{$}"
			}
			for _, p := range op.Parameters {
				if p.Value.In == "path" && p.Value.Extensions["x-slashes"] != nil {
					pattern = strings.Replace(pattern, "{"+p.Value.Name+"}", "{"+p.Value.Name+"...}", 1)
				}
			}
			c.all[method+" "+pattern] = operation{method, path, op}
			c.mux.Handle(method+" "+pattern, http.NotFoundHandler())
		}
	}
	return c, nil
}

// RoundTrip implements http.RoundTripper.
func (c *Checker) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil && strings.Contains(req.Header.Get("Content-Type"), "json") {
		var err error
		if sent, err = io.ReadAll(io.LimitReader(req.Body, maxBody)); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	c.check(req, sent, resp)
	return resp, nil
}

// Wrong lists what was not as the document says.
func (c *Checker) Wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.wrong)
}

// Seen counts the answers of an operation, such as "GET /v1/jobs/{id}", by their statuses.
func (c *Checker) Seen(operation string) map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[operation]
}

// Operations lists all that the document has, as Seen names them.
func (c *Checker) Operations() (out []string) {
	for _, op := range c.all {
		out = append(out, op.method+" "+op.path)
	}
	slices.Sort(out)
	return out
}

func (c *Checker) check(req *http.Request, sent []byte, resp *http.Response) {
	_, pattern := c.mux.Handler(&http.Request{Method: req.Method, URL: req.URL, Host: req.Host})
	op, known := c.all[pattern]
	if !known {
		if resp.StatusCode < 400 {
			c.say(req, resp, errors.New("the document has no such operation"))
		}
		return
	}
	name := op.method + " " + op.path
	c.mu.Lock()
	if c.seen[name] == nil {
		c.seen[name] = map[int]int{}
	}
	c.seen[name][resp.StatusCode]++
	c.mu.Unlock()
	if resp.StatusCode < 300 {
		if err := checkRequest(op, req, sent); err != nil {
			c.say(req, resp, err)
		}
	}
	answer := op.Responses.Value(strconv.Itoa(resp.StatusCode))
	if answer == nil || answer.Value == nil {
		c.say(req, resp, errors.New("the document has no such status"))
		return
	}
	if err := c.answer(op, resp, answer.Value); err != nil {
		c.say(req, resp, err)
	}
}

func (c *Checker) say(req *http.Request, resp *http.Response, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf("%s %s -> %d: %v", req.Method, req.URL.RequestURI(), resp.StatusCode, err))
}

// checkRequest looks at what was taken.
func checkRequest(op operation, req *http.Request, sent []byte) error {
	for name, values := range req.URL.Query() {
		p := op.Parameters.GetByInAndName("query", name)
		if p == nil {
			return fmt.Errorf("the document has no parameter ?%s=", name)
		}
		for _, v := range values {
			schema := p.Schema.Value
			if schema.Type.Is("array") {
				schema = schema.Items.Value
			}
			if err := schema.VisitJSON(v); err != nil {
				return fmt.Errorf("?%s=: %w", name, err)
			}
		}
	}
	if sent == nil {
		return nil
	}
	if op.RequestBody == nil {
		return errors.New("the document has no body")
	}
	media, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	body := op.RequestBody.Value.Content[media]
	if body == nil {
		return fmt.Errorf("the document has no body of %s", media)
	}
	return visit(body, sent, openapi3.VisitAsRequest())
}

// answer looks at an answer. A stream is looked at as it is read.
func (c *Checker) answer(op operation, resp *http.Response, told *openapi3.Response) error {
	if op.method == http.MethodHead || len(told.Content) == 0 {
		return nil
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	content := told.Content.Get(media) // also that of */*
	if content == nil {
		return fmt.Errorf("the document has no answer of %q", media)
	}
	if media == "text/event-stream" {
		resp.Body = &events{ReadCloser: resp.Body, told: func(data []byte) {
			if err := visit(content, data, openapi3.VisitAsResponse()); err != nil {
				c.say(resp.Request, resp, err)
			}
		}}
		return nil
	}
	if !strings.HasSuffix(media, "json") || resp.StatusCode == http.StatusPartialContent {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return visit(content, body, openapi3.VisitAsResponse())
}

// visit looks at a value, or at each line where these are values.
func visit(content *openapi3.MediaType, body []byte, as openapi3.SchemaValidationOption) error {
	parts := [][]byte{body}
	switch {
	case content.Schema.Value.Format == "binary":
		return nil
	case content.Extensions["x-each"] == "line":
		parts = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, part := range parts {
		var v any
		if err := json.Unmarshal(part, &v); err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		if err := content.Schema.Value.VisitJSON(v, as, openapi3.MultiErrors()); err != nil {
			return fmt.Errorf("%.300s: %w", part, err)
		}
	}
	return nil
}

// events reads a stream of events, and tells of each.
type events struct {
	io.ReadCloser
	told func(data []byte)
	rest []byte
}

// Read implements io.Reader.
func (e *events) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	for e.rest = append(e.rest, b[:n]...); ; {
		line, after, whole := bytes.Cut(e.rest, []byte("\n"))
		if !whole {
			return n, err
		}
		if data, is := bytes.CutPrefix(line, []byte("data: ")); is {
			e.told(data)
		}
		e.rest = after
	}
}
