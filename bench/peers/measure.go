package main

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/test/load"
)

// clients is how many connections send at once, and depth how many jobs or messages a batch has.
const (
	clients = 64
	depth   = 32
)

// measurement is what is measured with servers of its own.
type measurement struct {
	name    string
	measure func(*round) error
}

func measurements(c config) []measurement {
	list := []measurement{
		{"submit/bare", (*round).bare},
		{"submit/nats", (*round).nats},
		{"submit/ucp", (*round).ucp},
		{"submit/etcd", (*round).etcd},
		{"batch/ucp", (*round).ucpBatches},
		{"batch/nats", (*round).natsBatches},
		{"trivial/now", func(r *round) error { return r.trivial(r.program("ucp"), "trivial/s") }},
		{"warm/ucp", (*round).warm},
		{"warm/wazero", (*round).wazero},
	}
	if c.before != "" {
		list = append(list, measurement{"trivial/before", func(r *round) error { return r.trivial(r.before, "trivial-before/s") }})
	}
	return list
}

// fast measures clients that send as fast as they are answered; each request is so many jobs.
func (r *round) fast(name string, list []load.Client, each float64) (load.Figures, error) {
	f, err := load.Closed(list, r.warmup, r.measured)
	if err != nil {
		return f, err
	}
	r.figures[name+"/s"] = f.Rate * each
	r.figures[name+"-p50"], r.figures[name+"-p99"] = ms(f.P50), ms(f.P99)
	return f, nil
}

// half measures the same clients at half of that rate, at a steady pace.
func (r *round) half(name string, list []load.Client, full load.Figures) error {
	f, err := load.Open(list, full.Rate/2, r.measured)
	r.figures[name+"-half-p50"], r.figures[name+"-half-p99"] = ms(f.P50), ms(f.P99)
	return err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// specOf is a job of about 400 bytes that no broker can run.
func specOf(client, n int) string {
	return fmt.Sprintf(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","%04d-%08d","--format","geojson"],`+
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},`+
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`, client, n)
}
