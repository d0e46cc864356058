package clock

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that is a string such as "1m30s" in JSON.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler. A number without a unit is refused.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"90s\", not %s", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration %q: write it as \"90s\" or \"1h30m\"", s)
	}
	*d = Duration(v)
	return nil
}

// Time is an instant in Unix milliseconds. In JSON it is a string in the form of RFC 3339. 0 means
// that there is no instant.
type Time int64

// TimeOf returns the physical time of a hybrid stamp.
func TimeOf(h Hybrid) Time { return Time(h >> 16) }

// At returns the given time in milliseconds.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Time returns the instant in UTC, or the zero time.Time for 0.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// MarshalJSON implements json.Marshaler. 0 becomes null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(t.Time().Format("2006-01-02T15:04:05.000Z07:00"))
}

// UnmarshalJSON implements json.Unmarshaler. null becomes 0.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	var v time.Time
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("time %s: write it as in RFC 3339, such as \"2026-01-31T15:04:05Z\"", b)
	}
	*t = At(v)
	return nil
}
