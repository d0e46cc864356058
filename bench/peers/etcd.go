package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/urban-compute/ucp/test/load"
)

// etcd measures puts of new keys, each synced by a majority of three.
func (r *round) etcd() error {
	ports, err := freeAddrs(6)
	if err != nil {
		return err
	}
	var members, endpoints []string
	for i := range 3 {
		members = append(members, fmt.Sprintf("e%d=http://%s", i, ports[2*i+1]))
		endpoints = append(endpoints, "http://"+ports[2*i])
	}
	for i := range 3 {
		client, peer := endpoints[i], "http://"+ports[2*i+1]
		cmd := exec.Command(r.program("etcd"), "--name", fmt.Sprintf("e%d", i), "--data-dir", filepath.Join(r.dir, fmt.Sprint(i)), "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new")
		if _, err := r.start("etcd", cmd); err != nil {
			return err
		}
	}
	var list []load.Client
	for i := range clients {
		c, err := clientv3.New(clientv3.Config{Endpoints: endpoints[:1], DialTimeout: patience, Logger: zap.NewNop()})
		if err != nil {
			return err
		}
		r.closers = append(r.closers, func() { c.Close() })
		n := 0
		list = append(list, func() error {
			n++
			ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
			defer cancel()
			_, err := c.Put(ctx, fmt.Sprintf("jobs/%04d-%08d", i, n), specOf(i, n))
			return err
		})
	}
	if err := r.until("a leader", list[0]); err != nil {
		return err
	}
	_, err = r.fast("etcd", list, 1)
	return err
}
