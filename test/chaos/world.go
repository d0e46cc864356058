package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// What the brokers offer to jobs: little, so that jobs compete.
const (
	brokerCPU        = 2000
	brokerMemory     = 4 << 30
	smallReserveFlag = "64MiB"
	drainTimeout     = 2 * time.Second
)

// world is one round: brokers, jobs, and what is known of them.
type world struct {
	o       *options
	tasks   []*task
	brokers []*rig.Broker // the last one joins later
	taken   []chan struct{}
	network *rig.Network // nil on loopback
	acks    acks
	witness *witness
	served  availability
	seen    sightings
	alarms  *alarms

	begin    time.Time
	over     time.Duration // of submissions and faults
	watching context.Context
	watchers sync.WaitGroup
	before   map[string]rig.Load // what each process used when it was fresh

	mu       sync.Mutex
	inside   []*rig.Broker  // those that have joined
	counted  map[string]int // faults by name
	blows    []*blow
	healed   time.Time
	swaps    []swap
	weather  []weather
	spoilt   map[string]map[rig.Link]float64 // by what asks for it
	story    strings.Builder
	problems []string
	pinned   int                           // jobs that one broker alone can run, submitted so far
	withdrew int                           // times that a broker was seen to withdraw its offer
	short    map[string]int                // what brokers answered that were short of descriptors
	counters map[string]map[string]float64 // broker -> what it counted in this process
	past     map[string]float64            // what ended processes have counted
}

func brokerName(i int) string { return fmt.Sprintf("b%d", i+1) }

func brokerNames(list []int) string {
	var out []string
	for _, i := range list {
		out = append(out, brokerName(i))
	}
	return strings.Join(out, " ")
}

func newWorld(o *options) (*world, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if o.ucp, err = filepath.Abs(o.ucp); err != nil {
		return nil, err
	}
	var module []byte
	if o.wasm != "" {
		if module, err = os.ReadFile(o.wasm); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"notes", "logs", "brokers"} {
		if err := os.MkdirAll(filepath.Join(o.dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(filepath.Join(o.dir, "notes"), 0o777); err != nil { // each job is a user of its own
		return nil, err
	}
	w := &world{
		o: o, witness: newWitness(), counted: map[string]int{}, short: map[string]int{}, spoilt: map[string]map[rig.Link]float64{}, before: map[string]rig.Load{},
		counters: map[string]map[string]float64{}, past: map[string]float64{}, alarms: newAlarms(o),
	}
	if w.tasks, err = tasks(o, self, module); err != nil {
		return nil, err
	}
	return w, w.place(o.brokers + 1)
}

// place makes the brokers, each in its place, without starting them.
func (w *world) place(n int) error {
	if w.o.barred[onNetwork] == "" {
		var err error
		if w.network, err = rig.NewNetwork(n); err != nil {
			return err
		}
	}
	var members *rig.City
	if w.o.city {
		var err error
		if members, err = rig.NewCity(filepath.Join(w.o.dir, "city")); err != nil {
			return err
		}
	}
	for i := range n {
		name := brokerName(i)
		b := &rig.Broker{
			Name: name, Disk: filepath.Join(w.disks(), name, "disk"), Log: filepath.Join(w.o.dir, "logs", name+".log"),
			Program: filepath.Join(w.disks(), name, "ucp"), Place: rig.Loopback(), City: members,
		}
		if w.network != nil {
			b.Place = w.network.Place(i)
		}
		b.Peers = func() []string { return w.peers(b) }
		w.reserve(b, smallReserveFlag)
		w.brokers = append(w.brokers, b)
		w.taken = append(w.taken, make(chan struct{}, 1))
		if err := os.MkdirAll(b.Disk, 0o700); err != nil {
			return err
		}
		if err := rig.CopyProgram(w.o.ucp, b.Program); err != nil { // its own: a fault may spoil it
			return err
		}
	}
	if w.o.barred[inBox] == "" {
		return rig.MountDisk(w.brokers[smallDisk].Disk, smallDiskBytes, smallDiskFiles)
	}
	return nil
}

// reserve gives a broker its settings, with that disk reserve, from its next start on.
func (w *world) reserve(b *rig.Broker, reserve string) {
	b.Args = []string{
		"--sync-interval", w.o.syncInterval.String(), "--isolation-delay", w.o.isolation.String(),
		"--redeploy-delay", w.o.wait.String(), "--drain-timeout", drainTimeout.String(),
		"--cpu", fmt.Sprintf("%dm", brokerCPU), "--memory", fmt.Sprint(brokerMemory), "--disk-reserve", reserve,
		"--job-path", filepath.Join(w.o.dir, "notes") + ":rw", // the jobs are this program, and write there
	}
}

func (w *world) disks() string { return filepath.Join(w.o.dir, "brokers") }

// peers are the gossip addresses of the others that have joined.
func (w *world) peers(b *rig.Broker) (out []string) {
	for _, p := range w.members() {
		if p != b && p.Gossip != "" {
			out = append(out, p.Gossip)
		}
	}
	return out
}

// members are the brokers that have joined, also those that are down.
func (w *world) members() []*rig.Broker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inside[:len(w.inside):len(w.inside)]
}

// joined takes in a broker that is up for the first time.
func (w *world) joined(b *rig.Broker) {
	w.mu.Lock()
	w.inside = append(w.inside, b)
	n := len(w.inside)
	w.mu.Unlock()
	if w.watching != nil {
		w.watchers.Go(func() { w.watch(w.watching, b, rand.New(rand.NewPCG(w.o.seed, 200+uint64(n)))) })
	}
}

// where says in a few words where the brokers are.
func (w *world) where() string {
	if w.network == nil {
		return "on loopback"
	}
	return "each in its network namespace, links filtered by " + w.network.Filter()
}

// start starts the brokers and waits until all see each other.
func (w *world) start(ctx context.Context) error {
	for _, b := range w.brokers[:w.o.brokers] {
		if err := b.Start(); err != nil {
			return err
		}
		w.joined(b)
	}
	if err := w.whole(ctx, rig.StartWithin); err != nil {
		return err
	}
	w.before = w.weigh(ctx)
	return w.alarms.probe(ctx, w.brokers[0])
}

// whole waits until every broker sees all others.
func (w *world) whole(ctx context.Context, within time.Duration) error {
	all := w.members()
	for _, b := range all {
		if err := w.until(ctx, within, func(ctx context.Context) error {
			s, err := b.Client().Coordination(ctx)
			if err == nil && s.HealthyPeers != len(all)-1 {
				err = fmt.Errorf("%s sees %d of %d others", b.Name, s.HealthyPeers, len(all)-1)
			}
			return err
		}); err != nil {
			return fmt.Errorf("the brokers do not all see each other: %w", err)
		}
	}
	return nil
}

// until asks again and again, until there is no error or the time is over.
func (w *world) until(ctx context.Context, within time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var err error // the last that is not our own impatience
	for {
		one, done := context.WithTimeout(ctx, answerWithin)
		now := ask(one)
		done()
		if now == nil {
			return nil
		}
		if err == nil || ctx.Err() == nil {
			err = now
		}
		if rig.Pause(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("after %v: %w", within, err)
		}
	}
}

// storm lets clients submit and faults happen, while every broker is watched. It
// returns when the last fault is healed and every job is acknowledged.
func (w *world) storm(ctx context.Context) error {
	steps := plan(w.o)
	w.begin = time.Now()
	w.over = max(w.o.over, lasting(steps))
	w.healedNow()
	var unwatch context.CancelFunc
	w.watching, unwatch = context.WithCancel(ctx)
	for i, b := range w.members() {
		w.watchers.Go(func() { w.watch(w.watching, b, rand.New(rand.NewPCG(w.o.seed, 200+uint64(i)))) })
	}
	w.watchers.Go(func() { w.observe(w.watching) })
	defer func() {
		unwatch()
		w.watchers.Wait()
	}()

	limit, giveUp := context.WithTimeout(ctx, 3*w.over+w.o.settle)
	defer giveUp()
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	all.Go(func() { w.submitAll(limit) })
	all.Go(func() { w.raiseAlarms(limit) })
	for i := range steps {
		all.Go(func() {
			if errs[i] = w.walk(limit, steps[i]); errs[i] != nil {
				giveUp()
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := errors.Join(errs...)
	if n := len(w.tasks) - w.acks.ofClients(); err == nil && n > 0 {
		err = fmt.Errorf("%d jobs were not acknowledged in time", n)
	}
	return err
}

// end ends all processes, and gives back what was mounted; what was on that is kept
// beside it when the directory stays.
func (w *world) end(keep bool) {
	for _, b := range w.brokers {
		b.End()
	}
	if w.network != nil {
		_ = w.network.Set(nil) // it goes with the box in any case
		w.network.Remove()
	}
	if w.o.barred[inBox] != "" {
		return
	}
	disk := w.brokers[smallDisk].Disk
	if keep {
		_ = rig.CopyDisk(disk, filepath.Join(filepath.Dir(disk), "disk.kept")) // as good as it can be
	}
	_ = rig.UnmountDisk(disk) // likewise
}

// token is a content that no other run has.
func (w *world) token(what string) string {
	return fmt.Sprintf("%s %d %d\n", what, w.o.seed, time.Now().UnixNano())
}

// save writes a file beside the logs.
func (w *world) save(name string, content []byte) error {
	return os.WriteFile(filepath.Join(w.o.dir, name), content, 0o600)
}

// first is the first error that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// broker finds a broker by its name.
func (w *world) broker(name string) *rig.Broker {
	for _, b := range w.brokers {
		if b.Name == name {
			return b
		}
	}
	return &rig.Broker{Name: name} // it never lived
}
