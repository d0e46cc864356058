package emergency

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// One emergency of each kind, as a broker in district 7 sees them at second 100.
func someEmergencies() []*Record {
	known := func(id ID, kind string, level int, declared int64, scope, choose []string) *Record {
		return &Record{ID: id, Terms: Terms{Type: kind, Level: level, Scope: scope, Select: choose}, Version: Version{Seq: 1}, Declared: hybrid(declared), TTL: clock.Duration(1000e9)}
	}
	cleared := known("quake-1", "quake", 4, 10, nil, []string{"pumps"})
	cleared.Cleared = []Mark{{hybrid(20), "a~1"}}
	over := known("storm-1", "storm", 4, 10, nil, []string{"pumps"})
	over.TTL = clock.Duration(50e9)
	return []*Record{
		known("flood-2", "flood", 3, 60, []string{"district=7"}, nil),
		known("flood-1", "flood", 3, 50, nil, nil),
		known("flood-0", "flood", 3, 60, nil, nil),
		known("cut-1", "power-cut", 2, 70, nil, []string{"service=hospital", "floor!=2"}),
		known("all-1", "drill", 1, 70, nil, []string{}),
		known("fire-8", "fire", 4, 70, []string{"district=8"}, []string{"pumps"}),
		known("fire-9", "fire", 4, 70, []string{"district=7", "zone"}, []string{"pumps"}),
		cleared, over,
		{ID: "unknown-1", Cleared: []Mark{{hybrid(20), "a~1"}}},
	}
}

// The highest comes first; of one level the earlier, so that all brokers name the same cause.
// What is out of scope, cleared or over is not in the active set.
func TestActiveSetOrder(t *testing.T) {
	labels := map[string]string{"district": "7"}
	b := NewActiveSet(someEmergencies(), labels, clock.At(hybrid(100).Time()))
	require.Equal(t, []ID{"flood-1", "flood-0", "flood-2", "cut-1", "all-1"}, b.IDs())
	require.Equal(t, 3, b.Top())
	require.False(t, b.Calm())
	require.Equal(t, []ID{"fire-8", "flood-1", "flood-0", "cut-1", "all-1"}, NewActiveSet(someEmergencies(), map[string]string{"district": "8"}, clock.At(hybrid(100).Time())).IDs())
	require.Equal(t, []ID{"flood-1", "flood-0", "cut-1", "all-1"}, NewActiveSet(someEmergencies(), nil, clock.At(hybrid(100).Time())).IDs())

	calm := NewActiveSet(someEmergencies(), labels, clock.At(hybrid(5000).Time()))
	require.True(t, calm.Calm())
	require.Zero(t, calm.Top())
	require.True(t, calm.Equal(ActiveSet{}))
}

func TestTheLevelOfAJob(t *testing.T) {
	b := NewActiveSet(someEmergencies(), map[string]string{"district": "7"}, clock.At(hybrid(100).Time()))
	hospital := map[string]string{"service": "hospital"}
	for _, c := range []struct {
		name   string
		tag    string
		labels map[string]string
		level  int
		by     ID
	}{
		{"no tag", "", nil, 0, ""},
		{"its own level", "critical", nil, 4, ""},
		{"level none", "none", nil, 0, ""},
		{"by ID", "flood-2", nil, 3, "flood-2"},
		{"by type, the earlier", "flood", nil, 3, "flood-1"},
		{"by the beginning of an ID", "flood-", nil, 0, ""},
		{"by a type out of scope", "fire", nil, 0, ""},
		{"by an ID out of scope", "fire-8", nil, 0, ""},
		{"by what was cleared", "quake", nil, 0, ""},
		{"by what is over", "storm-1", nil, 0, ""},
		{"by what nobody has declared", "riot", nil, 0, ""},
		{"by its labels", "", hospital, 2, "cut-1"},
		{"by all of its labels", "", map[string]string{"service": "hospital", "floor": "2"}, 0, ""},
		{"by the labels of what is out of scope", "", map[string]string{"pumps": ""}, 0, ""},
		{"by an empty selection nobody is chosen", "", map[string]string{"x": "y"}, 0, ""},
		{"named, and chosen at a lower level", "flood", hospital, 3, "flood-1"},
		{"named at a lower level, and chosen", "drill", hospital, 2, "cut-1"},
		{"its own level is the higher", "critical", hospital, 4, ""},
		{"its own level is the lower", "low", hospital, 2, "cut-1"},
		{"its own level is the same", "medium", hospital, 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			level, by := b.Level(&job.Spec{Priority: job.Priority{Emergency: c.tag}, Labels: c.labels})
			require.Equal(t, c.level, level)
			require.Equal(t, c.by, by)
		})
	}
	level, by := (&ActiveSet{}).Level(&job.Spec{Priority: job.Priority{Emergency: "flood"}})
	require.Zero(t, level)
	require.Empty(t, by)
}

// Two active sets are equal when no job could tell them apart: by who is in them, in which version.
func TestActiveSetsAreEqual(t *testing.T) {
	now, labels := clock.At(hybrid(100).Time()), map[string]string{"district": "7"}
	b := NewActiveSet(someEmergencies(), labels, now)
	require.True(t, b.Equal(NewActiveSet(someEmergencies(), labels, now+1)))
	list := someEmergencies()
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	require.True(t, b.Equal(NewActiveSet(list, labels, now)), "in whatever order they come")
	require.False(t, b.Equal(NewActiveSet(someEmergencies(), nil, now)))
	require.False(t, b.Equal(ActiveSet{}))
	changed := someEmergencies()
	changed[0].Version = Version{2, 5, clock.Actor("a~1")}
	require.False(t, b.Equal(NewActiveSet(changed, labels, now)), "its terms are others")
	longer := someEmergencies()
	longer[0].TTL *= 2
	require.True(t, b.Equal(NewActiveSet(longer, labels, now)), "how long it lasts matters to no job")
}
