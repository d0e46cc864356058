package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/scripts/rig"
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

	mu         sync.Mutex
	inside     []*rig.Broker  // those that have joined
	counted    map[string]int // faults by name
	blows      []*blow
	healed     time.Time
	swaps      []swap
	weather    []weather
	spoilt     map[string]map[rig.Link]float64 // by what asks for it
	story      strings.Builder
	complaints []string
	short      map[string]int                // what was said by who was short of descriptors
	counters   map[string]map[string]float64 // broker -> what it counted in this process
	past       map[string]float64            // what ended processes have counted
}

// blow is one time that a broker was gone without a word, and until when.
type blow struct {
	broker, how string // killed or paused
	at, back    time.Time
}

const (
	killed = "killed"
	paused = "paused"
)

// swap is a disk that was exchanged: what the broker had promised is gone with it.
type swap struct {
	broker, kept string
	at           time.Time
}

// weather is how the links were from some time on.
type weather struct {
	at   time.Time
	lost map[rig.Link]float64
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
	for i := range n {
		name := brokerName(i)
		b := &rig.Broker{
			Name: name, Disk: filepath.Join(w.disks(), name, "disk"), Log: filepath.Join(w.o.dir, "logs", name+".log"),
			Program: w.o.ucp, Place: rig.Loopback(),
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
	}
	if w.o.barred[inBox] == "" {
		return rig.MountDisk(w.brokers[smallDisk].Disk, smallDiskBytes)
	}
	return nil
}

// reserve gives a broker its settings, with that disk reserve, from its next start on.
func (w *world) reserve(b *rig.Broker, reserve string) {
	b.Args = []string{
		"--sync-interval", w.o.syncInterval.String(), "--isolation-delay", w.o.isolation.String(),
		"--redeploy-delay", w.o.wait.String(), "--drain-timeout", drainTimeout.String(),
		"--cpu", fmt.Sprintf("%dm", brokerCPU), "--memory", fmt.Sprint(brokerMemory), "--disk-reserve", reserve,
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
		if pause(ctx, 50*time.Millisecond) != nil {
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
	errs := make([]error, len(steps)+1)
	var all sync.WaitGroup
	all.Go(func() { w.submitAll(limit) })
	all.Go(func() { errs[len(steps)] = w.raiseAlarms(limit) })
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
	if n := len(w.tasks) - len(w.acks.from(0)); err == nil && n > 0 {
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

// tell tells the story as it happens.
func (w *world) tell(format string, args ...any) {
	line := fmt.Sprintf("%6.1fs  %s\n", time.Since(w.begin).Seconds(), fmt.Sprintf(format, args...))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story.WriteString(line)
	fmt.Print(line)
}

func (w *world) names(who []int) string { return brokerNames(who) }

// are names brokers with the verb.
func (w *world) are(who []int) string {
	if len(who) == 1 {
		return brokerName(who[0]) + " is"
	}
	return brokerNames(who) + " are"
}

// kill kills brokers, all at once, and waits until they are gone.
func (w *world) kill(who []int) error {
	for _, i := range who {
		w.absent(w.brokers[i], killed)
	}
	errs := make([]error, len(who))
	var all sync.WaitGroup
	for i, n := range who {
		all.Go(func() { errs[i] = w.brokers[n].Kill() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// back starts a broker again.
func (w *world) back(b *rig.Broker) error {
	w.present(b)
	return b.Start()
}

func (w *world) absent(b *rig.Broker, how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blows = append(w.blows, &blow{broker: b.Name, how: how, at: time.Now()})
}

func (w *world) present(b *rig.Broker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.blows {
		if x.broker == b.Name && x.back.IsZero() {
			x.back = time.Now()
		}
	}
}

// replaced takes note of an exchanged disk.
func (w *world) replaced(b *rig.Broker, kept string) {
	w.mu.Lock()
	w.swaps = append(w.swaps, swap{broker: b.Name, kept: kept, at: time.Now()})
	w.mu.Unlock()
	w.witness.forget(b.Name)
}

// gone reports whether a broker's disk was exchanged after it made a promise.
func (w *world) gone(broker string, after time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.swaps, func(s swap) bool { return s.broker == broker && s.at.After(after) })
}

// spoil makes links lose what they carry, on top of what others ask for; nil mends what
// was spoilt under this name.
func (w *world) spoil(name string, lost map[rig.Link]float64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoilt[name] = lost
	sum := map[rig.Link]float64{}
	for _, one := range w.spoilt {
		for l, p := range one {
			sum[l] = max(sum[l], p)
		}
	}
	before := time.Now()
	err := w.network.Set(sum)
	// Until then the links were as they had been, or already as they are to be.
	w.weather = append(w.weather, weather{before, sum})
	if len(lost) == 0 && len(w.weather) > 1 { // what is mended is so when all of it is
		w.weather[len(w.weather)-1].at = time.Now()
	}
	return err
}

// heard reports whether two brokers could reach each other all the time, losing nothing.
func (w *world) heard(a, b string, from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, x := range w.weather {
		if x.at.After(to) || i+1 < len(w.weather) && w.weather[i+1].at.Before(from) {
			continue
		}
		for l := range x.lost {
			if one, other := brokerName(l.From), brokerName(l.To); one == a && other == b || one == b && other == a {
				return false
			}
		}
	}
	return true
}

// counts counts a fault.
func (w *world) counts(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[name]++
}

// shortOf counts what a broker said that was short of descriptors.
func (w *world) shortOf(answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.short[answer]++
}

func (w *world) healedNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.healed = time.Now()
}

// complain notes what is wrong beyond what has a count of its own.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
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
