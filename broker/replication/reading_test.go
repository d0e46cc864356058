package replication

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a member says of its clocks shows what time it is there only as far as the message can't have been under way for
// long (rule T2).
func TestReadings(t *testing.T) {
	type said struct {
		at    time.Duration // when it is heard
		clock time.Duration // how far the member's clock was ahead of ours when it said so
		way   time.Duration // how long that was under way
		asked time.Duration // how long before it was heard the member was asked; 0 it was not
	}
	for name, x := range map[string]struct {
		said  []said
		want  time.Duration // how far its clock is ahead, where nothing else is known of it
		slack time.Duration
	}{
		"an answer that comes at once":                 {[]said{{0, 5, 1, 1}}, 4, 1},
		"an answer that was held up":                   {[]said{{0, 5, 1, 1}, {60, 5, 50, 50}}, 4, 1},
		"a message that was held up":                   {[]said{{0, 5, 1, 1}, {60, 5, 50, 0}}, 4, 1},
		"a message that was held up comes first":       {[]said{{0, 0, 50, 0}}, 0, unbounded},
		"one that shows that its clock is ahead":       {[]said{{0, 90, 50, 0}}, 40, unbounded},
		"an answer after that":                         {[]said{{0, 0, 50, 0}, {9, -30, 1, 1}}, -30, 1},
		"an answer that was held up comes first":       {[]said{{0, 0, 50, 50}}, 0, 50},
		"a clock that is set back":                     {[]said{{0, 5, 1, 1}, {60, -90, 0, 1}}, -89, 1},
		"a clock that is set back, as a slow one says": {[]said{{0, 5, 1, 1}, {60, -90, 20, 30}}, -80, 30},
		"a clock that is set ahead":                    {[]said{{0, 5, 1, 1}, {60, 90, 3, 0}}, 87, unbounded},
	} {
		var l link
		now := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
		start := now
		for _, s := range x.said {
			now = start.Add(s.at * time.Second)
			shows := now.Add((s.clock - s.way) * time.Second)
			var asked time.Time
			if s.asked != 0 {
				asked = now.Add(-s.asked * time.Second)
			}
			l.read(Reading{Own: shows, City: shows}, asked, now)
		}
		now = now.Add(time.Hour)
		r := l.reading(now)
		slack := x.slack
		if slack != unbounded {
			slack *= time.Second
		}
		require.Equal(t, slack, r.Slack, name)
		require.Equal(t, x.want*time.Second, r.Near(r.Own, now, 0), name)
		require.Equal(t, x.want*time.Second, r.Near(r.City, now, 0), name)
	}
}
