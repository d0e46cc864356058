package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/register"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/setting"
	stories "github.com/urban-compute/ucp/test/story"
)

// Brokers of one scope that hold the same records decide by the same strategy, for the same emergency (rule E5): in whatever
// order they have learnt them, at each point where they hold the same, and after a restart. The stamps are drawn, since
// clocks differ.
func TestSameRecordsSameStrategy(t *testing.T) {
	epoch := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		stamps := clock.Hybrid(0)
		stamp := func() clock.Hybrid { // nobody writes two versions with one stamp
			stamps++
			return clock.HybridAt(epoch.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "seconds"))*time.Second)) + stamps
		}
		var settings []*setting.Setting
		var list []*emergency.Record
		for i := range rapid.IntRange(1, 6).Draw(t, "records") {
			by := rapid.SampledFrom([]clock.Actor{"a~1", "b~1", "bcd~1"}).Draw(t, "by")
			dot := clock.Dot{Actor: by, Counter: uint64(i) + 1}
			if rapid.Bool().Draw(t, "setting") {
				s := &setting.Setting{Name: strategySetting, Value: string(rapid.SampledFrom(resolve.All()).Draw(t, "strategy")),
					Seq: rapid.Uint64Range(1, 4).Draw(t, "seq"), At: stamp(), By: by, Register: register.New(dot)}
				settings = append(settings, s.See(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"flood-0", "flood-1", "flood-2"}), 0, 3, rapid.ID).Draw(t, "seen")))
				continue
			}
			r := &emergency.Record{ID: emergency.ID(fmt.Sprintf("flood-%d", rapid.IntRange(0, 2).Draw(t, "id"))), Created: []clock.Dot{dot}, Dots: clock.NewVector(dot),
				Terms: emergency.Terms{Type: "flood", Level: rapid.IntRange(1, 4).Draw(t, "level")}, Version: emergency.Version{Seq: 1, At: stamp(), By: by},
				Declared: clock.HybridAt(epoch), TTL: clock.Duration(time.Hour)}
			if rapid.IntRange(0, 3).Draw(t, "cleared") == 0 {
				r.Cleared = []emergency.Mark{{At: stamp(), By: by}}
			}
			list = append(list, r)
		}
		one := func(settings []*setting.Setting, list []*emergency.Record) string {
			b := New(Config{Actor: "x~1", Replicas: 1, Archive: stories.Disk{}})
			require.NoError(t, b.Step(Tick{Now: epoch.Add(time.Minute), Wall: epoch.Add(time.Minute)}))
			var set *setting.Setting
			n := len(settings) + len(list)
			for n > 0 {
				if len(list) == 0 || len(settings) > 0 && rapid.Bool().Draw(t, "first") {
					if set == nil {
						set = settings[0]
					}
					set, _ = setting.Merge(set, settings[0])
					settings = settings[1:]
					b.settled(set)
				} else {
					r := list[0]
					if old := b.emergencies.known[r.ID]; old != nil {
						r, _ = emergency.Merge(old, r)
					}
					list = list[1:]
					b.emergencies.learn(r)
				}
				n--
			}
			return strategyText(b.decisions.strategy(), b.decisions.override())
		}
		want := one(settings, list)
		require.Equal(t, want, one(rapid.Permutation(settings).Draw(t, "order"), rapid.Permutation(list).Draw(t, "order")))
	})
}

// A setting that comes again, with another update and the same version, does not take the place of what was set by hand since.
func TestACopyOfASettingChangesNothing(t *testing.T) {
	b := New(Config{Actor: "x~1", Replicas: 1, Archive: stories.Disk{}})
	s := &setting.Setting{Name: strategySetting, Value: "fcfs", Seq: 1, At: 1, By: "a~1", Register: register.New(clock.Dot{Actor: "a~1", Counter: 1})}
	b.settled(s)
	b.setStrategy(SetStrategy{Strategy: resolve.Optimal})
	again := *s
	again.Register = s.With(clock.Dot{Actor: "a~2", Counter: 1})
	b.settled(&again)
	require.Equal(t, resolve.Optimal, b.decisions.strategy())
	later := again
	later.Seq = 2
	b.settled(&later)
	require.Equal(t, resolve.FCFS, b.decisions.strategy())
}
