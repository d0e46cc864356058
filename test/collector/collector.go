// Package collector takes in tests what a collector of OpenTelemetry takes: spans by OTLP over HTTP, in protobuf.
package collector

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	v1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that came. IDs are in hexadecimal.
type Span struct {
	*otlp.Span
	Broker            string // that has told it
	Trace, ID, Parent string
}

// Attr is the value of an attribute, "" where it has none.
func (s *Span) Attr(name string) string {
	for _, a := range s.Attributes {
		if a.Key == name {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// Collector takes spans until its test ends.
type Collector struct {
	URL string

	mu     sync.Mutex
	spans  []Span
	wrong  []error
	refuse bool
}

// New starts a collector.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Refuse lets it take nothing from now on.
func (c *Collector) Refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = true
}

// Spans are those that came, and what was not understood.
func (c *Collector) Spans() ([]Span, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span{}, c.spans...), c.wrong
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	spans, err := read(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wrong = append(c.wrong, err)
	}
	if err != nil || c.refuse {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.spans = append(c.spans, spans...)
}

func read(r *http.Request) (out []Span, err error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s with %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(r.Body); err != nil {
			return nil, err
		}
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var in v1.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	for _, of := range in.ResourceSpans {
		broker := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.instance.id" {
				broker = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				out = append(out, Span{s, broker, hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId)})
			}
		}
	}
	return out, nil
}
