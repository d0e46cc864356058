package main

import (
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/urban-compute/ucp/test/load"
)

// bare measures the bare pipeline: client, first stage, second stage, each with a disk.
func (r *round) bare() error {
	_, second, err := r.self("pipeline", filepath.Join(r.dir, "second"))
	if err != nil {
		return err
	}
	_, first, err := r.self("pipeline", filepath.Join(r.dir, "first"), second)
	if err != nil {
		return err
	}
	list, err := r.connect(func(c *load.Conn, i, n int) error {
		status, b, err := c.Do(http.MethodPost, "/", "application/json", specOf(i, n))
		if err == nil && (status != http.StatusCreated || string(b) != load.PipelineAnswer) {
			err = fmt.Errorf("%d: %s", status, b)
		}
		return err
	}, first)
	if err != nil {
		return err
	}
	full, err := r.fast("bare", list, 1)
	if err != nil {
		return err
	}
	return r.half("bare", list, full)
}

// connect makes clients that send requests over HTTP, each over a connection of its own, to each address in turn.
func (r *round) connect(send func(c *load.Conn, client, n int) error, addrs ...string) (list []load.Client, err error) {
	for i := range clients {
		c, err := load.Dial(addrs[i%len(addrs)], nil, "")
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, func() { c.Close() })
		n := 0
		list = append(list, func() error {
			n++
			return send(c, i, n)
		})
	}
	return list, nil
}
