package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urban-compute/ucp/test/load"
)

func (r *round) program(name string) string { return filepath.Join(r.programs, name) }

// brokers starts so many brokers that keep two copies of each job, or one if there is one, and returns where they listen.
func (r *round) brokers(program string, n int) (addrs []string, err error) {
	ports, err := freeAddrs(2 * n) // older builds can't be asked for what they were given
	if err != nil {
		return nil, err
	}
	for i := range n {
		args := []string{"agent", "--name", string(rune('a' + i)), "--data-dir", filepath.Join(r.dir, string(rune('a'+i))),
			"--bind", ports[2*i], "--http-addr", ports[2*i+1], "--rpc-addr", "127.0.0.1:0", "--replicas", fmt.Sprint(min(n, 2))}
		if i > 0 {
			args = append(args, "--retry-join", ports[0])
		}
		if _, err := r.start("ucp", exec.Command(program, args...)); err != nil {
			return nil, err
		}
		addrs = append(addrs, ports[2*i+1])
	}
	for _, addr := range addrs {
		if err := r.until("a broker and its peers", func() error { return settled(addr, n) }); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// settled is an error until a broker has n healthy members, itself among them.
func settled(addr string, n int) error {
	resp, err := http.Get("http://" + addr + "/broker/coordination-status")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var s struct {
		Peers int `json:"healthy_peers"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return err
	}
	if s.Peers != n-1 {
		return fmt.Errorf("%d of %d peers are healthy", s.Peers, n-1)
	}
	return nil
}

// ucp measures submissions to one of three brokers, acknowledged when two have them on disk, and the same at half of that rate.
func (r *round) ucp() error {
	addrs, err := r.brokers(r.program("ucp"), 3)
	if err != nil {
		return err
	}
	list, err := r.connect(func(c *load.Conn, i, n int) error {
		status, b, err := c.Do(http.MethodPost, "/v1/jobs", "application/json", specOf(i, n))
		return acknowledged(status, http.StatusCreated, b, 1, err)
	}, addrs[0])
	if err != nil {
		return err
	}
	full, err := r.fast("ucp", list, 1)
	if err != nil {
		return err
	}
	return r.half("ucp", list, full)
}

// acknowledged is an error unless so many jobs are on the disks of two or three.
func acknowledged(status, wanted int, b []byte, jobs int, err error) error {
	if err != nil {
		return err
	}
	if status != wanted || strings.Count(string(b), `"replicas":2`)+strings.Count(string(b), `"replicas":3`) < jobs {
		return fmt.Errorf("%d: %.500s", status, b)
	}
	return nil
}

// ucpBatches measures batches.
func (r *round) ucpBatches() error {
	addrs, err := r.brokers(r.program("ucp"), 3)
	if err != nil {
		return err
	}
	list, err := r.connect(func(c *load.Conn, i, n int) error {
		var lines strings.Builder
		for k := range depth {
			fmt.Fprintf(&lines, "{\"spec\":%s}\n", specOf(i, n*depth+k))
		}
		status, b, err := c.Do(http.MethodPost, "/v1/jobs:batch", "application/x-ndjson", lines.String())
		return acknowledged(status, http.StatusOK, b, depth, err)
	}, addrs[0])
	if err != nil {
		return err
	}
	_, err = r.fast("ucp-batch", list, depth)
	return err
}

// tiny is a module that does nothing.
var tiny = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 4, 1, 0x60, 0, 0, // one type: func()
	3, 2, 1, 0, // one function of it
	5, 3, 1, 0, 1, // one memory of one page
	7, 19, 2, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0, 6, '_', 's', 't', 'a', 'r', 't', 0, 0,
	10, 4, 1, 2, 0, 0x0b, // its body: end
}

// trivial measures jobs that do nothing, from submission to result, at one broker of a build.
func (r *round) trivial(program, name string) error {
	addrs, err := r.brokers(program, 1)
	if err != nil {
		return err
	}
	spec, err := upload(addrs[0], tiny)
	if err != nil {
		return err
	}
	list, err := r.connect(runs(spec), addrs[0])
	if err != nil {
		return err
	}
	f, err := load.Closed(list, r.warmup, r.measured)
	r.figures[name] = f.Rate
	return err
}

// warm measures a warm hello world in Go at one of three brokers, one client.
func (r *round) warm() error {
	addrs, err := r.brokers(r.program("ucp"), 3)
	if err != nil {
		return err
	}
	module, err := os.ReadFile(r.program("hello.wasm"))
	if err != nil {
		return err
	}
	spec, err := upload(addrs[0], module)
	if err != nil {
		return err
	}
	list, err := r.connect(runs(spec), addrs[0])
	if err != nil {
		return err
	}
	f, err := load.Closed(list[:1], 3*r.warmup, r.measured)
	r.figures["warm-p50"] = ms(f.P50)
	return err
}

// upload puts a module into a broker, and returns the spec of a job that runs it.
func upload(addr string, module []byte) (spec string, err error) {
	sum := sha256.Sum256(module)
	digest := hex.EncodeToString(sum[:])
	c, err := load.Dial(addr, nil, "")
	if err != nil {
		return "", err
	}
	defer c.Close()
	status, b, err := c.Do(http.MethodPut, "/v1/blobs/"+digest, "application/octet-stream", string(module))
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("uploading a module: %d: %s", status, b)
	}
	return fmt.Sprintf(`{"driver":"wasm","module":%q}`, digest), err
}

// runs submits a job and waits for its result.
func runs(spec string) func(c *load.Conn, client, n int) error {
	return func(c *load.Conn, _, _ int) error {
		status, b, err := c.Do(http.MethodPost, "/v1/jobs?wait=60s", "application/json", spec)
		if err != nil {
			return err
		}
		if status/100 != 2 || !strings.Contains(string(b), `"succeeded"`) {
			return errors.New(string(b))
		}
		return nil
	}
}
