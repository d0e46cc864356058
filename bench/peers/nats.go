package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/urban-compute/ucp/test/load"
)

// natsServers starts three servers with JetStream that sync every message, and a stream of three copies.
func (r *round) natsServers() (url string, err error) {
	ports, err := freeAddrs(6)
	if err != nil {
		return "", err
	}
	var routes []string
	for i := range 3 {
		routes = append(routes, "nats://"+ports[2*i+1])
	}
	for i := range 3 {
		conf := filepath.Join(r.dir, fmt.Sprintf("%d.conf", i))
		text := fmt.Sprintf("server_name: n%d\nlisten: %s\njetstream { store_dir: %q, sync_interval: always }\ncluster { name: peers, listen: %s, routes: [%s] }\n",
			i, ports[2*i], filepath.Join(r.dir, fmt.Sprint(i)), ports[2*i+1], strings.Join(routes, ", "))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return "", err
		}
		if _, err := r.start("nats-server", exec.Command(r.program("nats-server"), "-c", conf)); err != nil {
			return "", err
		}
	}
	url = "nats://" + ports[0]
	return url, r.until("a stream of three copies", func() error {
		c, err := nats.Connect(url)
		if err != nil {
			return err
		}
		defer c.Close()
		js, err := c.JetStream(nats.MaxWait(2 * time.Second))
		if err != nil {
			return err
		}
		_, err = js.AddStream(&nats.StreamConfig{Name: "jobs", Subjects: []string{"jobs.>"}, Replicas: 3, Storage: nats.FileStorage})
		return err
	})
}

// publishers connects the clients, each over a connection of its own.
func (r *round) publishers(send func(js nats.JetStreamContext, client, n int) error) (list []load.Client, err error) {
	url, err := r.natsServers()
	if err != nil {
		return nil, err
	}
	for i := range clients {
		c, err := nats.Connect(url, nats.SetCustomDialer(&net.Dialer{}))
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, c.Close)
		js, err := c.JetStream(nats.PublishAsyncMaxPending(depth))
		if err != nil {
			return nil, err
		}
		n := 0
		list = append(list, func() error {
			n++
			return send(js, i, n)
		})
	}
	return list, nil
}

// nats measures one message at a time, each acknowledged when a majority has synced it.
func (r *round) nats() error {
	list, err := r.publishers(func(js nats.JetStreamContext, client, n int) error {
		_, err := js.Publish("jobs.new", []byte(specOf(client, n)))
		return err
	})
	if err != nil {
		return err
	}
	_, err = r.fast("nats", list, 1)
	return err
}

// natsBatches measures messages that are published without waiting for each: so many on their way as a batch of ours has jobs.
func (r *round) natsBatches() error {
	list, err := r.publishers(func(js nats.JetStreamContext, client, n int) error {
		var acks []nats.PubAckFuture
		for k := range depth {
			f, err := js.PublishAsync("jobs.new", []byte(specOf(client, n*depth+k)))
			if err != nil {
				return err
			}
			acks = append(acks, f)
		}
		for _, f := range acks {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				return err
			case <-time.After(patience):
				return fmt.Errorf("no acknowledgement within %v", patience)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = r.fast("nats-batch", list, depth)
	return err
}
