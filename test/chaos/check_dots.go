package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	records "github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/store"
)

// dots is what every dot that was found on a disk stands for. One dot is one update of
// one record, permanently (rule I1): a disk that was wiped or rolled back must not use it
// for another. HTTP does not show dots, so the disks are read, when no broker uses
// them any more: those of the end, and those that were exchanged on the way.
type dots struct {
	of     map[clock.Dot]map[string]string // dot -> which part of the record -> content
	where  map[clock.Dot]string
	twice  map[clock.Dot]string
	others int // records of kinds that are not looked into
}

func newDots() *dots {
	return &dots{of: map[clock.Dot]map[string]string{}, where: map[clock.Dot]string{}, twice: map[clock.Dot]string{}}
}

// read takes in one disk.
func (d *dots) read(dir string) (err error) {
	s, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		return fmt.Errorf("reading the disk of a broker that has ended: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return ledger.Records(s.Scan, records.Schemas, func(s ledger.Stored) error {
		if s.Err != nil {
			return fmt.Errorf("%s holds a record that can't be read: %w", dir, s.Err)
		}
		r, isJob := s.Record.(*job.Record)
		if !isJob {
			d.others++
			return nil
		}
		return d.record(dir, r)
	})
}

// record takes in what the dots of one record stand for. One update may change several
// parts, so each has a content of its own; but all belong to one record.
func (d *dots) record(dir string, r *job.Record) error {
	for _, dot := range r.Dots {
		d.add(dir, dot, "record", r.Key())
	}
	for _, s := range r.Created {
		d.add(dir, s.Dot, "record", r.Key())
		if err := d.content(dir, s.Dot, "creation", s); err != nil {
			return err
		}
	}
	for _, p := range r.Reports {
		d.add(dir, p.Dot, "record", r.Key())
		if err := d.content(dir, p.Dot, "report", p); err != nil {
			return err
		}
	}
	for _, v := range r.Verdicts {
		d.add(dir, v.Dot, "record", r.Key())
		if err := d.content(dir, v.Dot, "verdict", v); err != nil {
			return err
		}
	}
	return nil
}

func (d *dots) content(dir string, dot clock.Dot, part string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("the %s of %v: %w", part, dot, err)
	}
	d.add(dir, dot, part, fmt.Sprintf("%x", sha256.Sum256(b)))
	return nil
}

func (d *dots) add(dir string, dot clock.Dot, part, content string) {
	parts := d.of[dot]
	if parts == nil {
		parts = map[string]string{}
		d.of[dot], d.where[dot] = parts, dir
	}
	if was, known := parts[part]; known && was != content && d.twice[dot] == "" {
		d.twice[dot] = fmt.Sprintf("%v is used twice: %s %s on %s, and %s on %s", dot, part, was, d.where[dot], content, dir)
	}
	parts[part] = content
}

// checkDots reads all disks. No broker runs any more.
func (w *world) checkDots(r *report) error {
	d := newDots()
	var disks []string
	for _, b := range w.members() {
		disks = append(disks, b.Disk)
	}
	replaced, err := filepath.Glob(filepath.Join(w.o.dir, "replaced", "*"))
	if err != nil {
		return err
	}
	for _, dir := range append(disks, replaced...) {
		if err := d.read(dir); err != nil {
			return err
		}
	}
	r.dots, r.disks = len(d.of), len(disks)+len(replaced)
	for _, text := range d.twice {
		r.dotsTwice = append(r.dotsTwice, text)
	}
	return nil
}
