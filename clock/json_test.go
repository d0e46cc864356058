package clock

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDurationJSON(t *testing.T) {
	for text, want := range map[string]time.Duration{`"90s"`: 90 * time.Second, `"1h30m"`: 90 * time.Minute, `"0s"`: 0, `"-1s"`: -time.Second} {
		var d Duration
		require.NoError(t, json.Unmarshal([]byte(text), &d))
		require.Equal(t, want, time.Duration(d))
	}
	for text, hint := range map[string]string{`90`: `such as "90s"`, `"90"`: `write it as "90s"`, `""`: "write it", `true`: "a string", `{}`: "a string"} {
		var d Duration
		require.ErrorContains(t, json.Unmarshal([]byte(text), &d), hint, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Duration(rapid.Int64().Draw(t, "ns"))
		b, err := json.Marshal(want)
		require.NoError(t, err)
		var got Duration
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, want, got)
	})
}

func TestTimeJSON(t *testing.T) {
	for text, want := range map[string]Time{
		`null`:                            0,
		`"2026-01-31T15:04:05Z"`:          1769871845000,
		`"2026-01-31T16:04:05.123+01:00"`: 1769871845123,
	} {
		var got Time
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, want, got)
	}
	for _, bad := range []string{`"tomorrow"`, `17`, `"2026-01-31"`, `{}`} {
		var got Time
		require.ErrorContains(t, json.Unmarshal([]byte(bad), &got), "RFC 3339", bad)
	}
	b, err := json.Marshal(map[string]Time{"none": 0, "some": 1769871845120})
	require.NoError(t, err)
	require.Equal(t, `{"none":null,"some":"2026-01-31T15:04:05.120Z"}`, string(b))
	rapid.Check(t, func(t *rapid.T) {
		want := Time(rapid.Int64Range(1, 253402300799999).Draw(t, "ms")) // to the end of the year 9999
		b, err := json.Marshal(want)
		require.NoError(t, err)
		var got Time
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, want, got)
	})
}

func TestTimeConversions(t *testing.T) {
	now := time.UnixMilli(1769871845123).UTC()
	require.Equal(t, now, At(now).Time())
	require.True(t, Time(0).Time().IsZero())
	require.Equal(t, At(now), TimeOf(HybridAt(now)+7))
}
