package job

import (
	"bytes"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// readEqualsCodec checks what read.go guarantees for all bytes: if it accepts them, it gives the same record
// as the codec, and append.go writes the same bytes for that record. It reports whether read.go accepts them.
func readEqualsCodec(t require.TestingT, b []byte) bool {
	r, spec, ok := decodeFast(b)
	if !ok {
		return false
	}
	want := new(Record)
	require.NoError(t, canon.Decode(b, want))
	require.Equal(t, want, r)
	require.Equal(t, b, canon.Encode(r), "only canonical bytes")
	require.Equal(t, canon.Encode(&r.Spec), spec)
	return true
}

// trim changes a record so that no list is empty that must not be empty, and none is longer than allowed.
// It reports whether the spec is small enough.
func trim(r *Record) bool {
	if len(r.Created) == 0 {
		r.Created = []Stamp{{}}
	}
	if len(r.Dots) == 0 {
		r.Dots = clock.Vector{{}}
	}
	r.Created = r.Created[:min(len(r.Created), MaxCreated)]
	r.Reports = r.Reports[:min(len(r.Reports), maxReports)]
	r.Returns = r.Returns[:min(len(r.Returns), MaxReturns)]
	r.Verdicts = r.Verdicts[:min(len(r.Verdicts), maxVerdicts)]
	return len(canon.Encode(&r.Spec)) <= MaxSpec
}

// TestReadEqualsCodec checks that what append.go writes is decoded without the codec, and gives the same
// record as with it, whatever the values of the fields (rule L2). The generator uses reflection, so it also
// fills fields that are added later.
func TestReadEqualsCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := new(Record)
		draw(t, reflect.ValueOf(r).Elem())
		if trim(r) {
			require.True(t, readEqualsCodec(t, canon.Encode(r)), "it is left to the codec")
		}
	})
	for _, full := range []bool{true, false} {
		count, turned := 0, ""
		for turn := -1; turn < count; turn++ { // as oneApart
			count, turned = 0, "nothing"
			r := new(Record)
			walk(reflect.ValueOf(r).Elem(), "Record", func(path string, field reflect.Value) bool {
				count++
				filled := full
				if count-1 == turn {
					turned, filled = path, !full
				}
				if filled {
					fillOne(field)
				}
				return filled
			})
			trim(r)
			require.True(t, readEqualsCodec(t, canon.Encode(r)), "left to the codec, opposite: %s", turned)
		}
		require.Greater(t, count, 20)
	}
}

// What brokers make is decoded without the codec: a submission, and a record in which
// the lists are as long as possible.
func TestReadAcceptsWhatBrokersMake(t *testing.T) {
	long := busy(t)
	long.Unknown = nil
	for i := range byte(maxReports) {
		dot := clock.Dot{Actor: clock.Actor([]byte{'k' + i, '~', '1'}), Counter: 1}
		long.SetReport(Report{Attempt: present, Dot: dot, At: 1 << 60, Phase: Done, Result: &Result{Outcome: Failed, Permanent: true}})
		long.AddVerdict(Verdict{At: 1 << 60, Dot: dot, Outcome: Failed})
		long.Dots.Set(dot)
	}
	for name, r := range map[string]*Record{"submission": newRecord(t, creation), "longest lists": long} {
		require.True(t, readEqualsCodec(t, r.Encode()), name)
		got, err := DecodeRecord(r.Encode())
		require.NoError(t, err, name)
		require.Equal(t, r.Key(), got.Key(), "%s: the key is made of the spec's bytes (rule J3)", name)
	}
}

// One byte is changed, or the bytes are truncated. If read.go still accepts them, they are canonical
// and give the same record as with the codec.
func TestReadEqualsCodecForEachByte(t *testing.T) {
	r := busy(t)
	r.Unknown = nil
	r.Spec.Resources.Devices = map[string]int64{"a": 1, "b": 200}
	good := r.Encode()
	require.True(t, readEqualsCodec(t, good))
	taken := 0
	for i := range good {
		require.False(t, readEqualsCodec(t, good[:i]), "cut at %d", i)
		for _, c := range []byte{0, 1, 0x7f, 0x80, 0x8f, 0x90, 0xa0, 0xa1, 0xc0, 0xc2, 0xc3, 0xcc, 0xcf, 0xd0, 0xd3, 0xd9, 0xdb, 0xde, 0xdf, 0xff, good[i] + 1, good[i] - 1, good[i] ^ 0x10} {
			bad := bytes.Clone(good)
			bad[i] = c
			if readEqualsCodec(t, bad) {
				taken++
			}
		}
	}
	require.Positive(t, taken, "a letter in a text may be replaced by another one")
	require.False(t, readEqualsCodec(t, append(bytes.Clone(good), 0)), "something follows")
}

// Other encodings of a valid record are decoded by the codec, and give equal records,
// keys and canonical bytes (rules L2, J3).
func TestOtherEncodingsAreLeftToTheCodec(t *testing.T) {
	r := newRecord(t, creation)
	good := r.Encode()
	for name, change := range map[string]func() []byte{
		"a number with nine bytes":  func() []byte { return swap(good, "\xa2at\x0a", "\xa2at\xcf\x00\x00\x00\x00\x00\x00\x00\x0a") },
		"a long length of a string": func() []byte { return swap(good, "\xa4true", "\xd9\x04true") },
		"a long length of a list":   func() []byte { return swap(good, "\xa4args\x92", "\xa4args\xdc\x00\x02") },
		"a long length of a map":    func() []byte { return swap(good, "\xa3env\x81", "\xa3env\xde\x00\x01") },
		"fields in another order":   func() []byte { return swap(good, "\xa1a\xa3a~1\xa1n\x01", "\xa1n\x01\xa1a\xa3a~1") },
		"an empty field":            func() []byte { return swap(good, "\xa7retries\x80", "\xa7retries\x81\xa3max\x00") },
		"an empty text":             func() []byte { return swap(good, "\x88\xa4args", "\x89\xacafter_policy\xa0\xa4args") },
		"an empty list":             func() []byte { return swap(good, "\x88\xa4args", "\x89\xa5after\x90\xa4args") },
		"an empty map": func() []byte {
			return swap(swap(good, "\x88\xa4args", "\x89\xa4args"), "\xaapreemption", "\xa6labels\x80\xaapreemption")
		},
		"a field of a newer broker": func() []byte { return swap(good, "\xa7retries\x80", "\xa7retries\x81\xa5newer\x01") },
		"a number as unsigned":      func() []byte { return swap(good, "\xa3cpu\x64", "\xa3cpu\xcc\x64") },
	} {
		b := change()
		require.NotEqual(t, good, b, name)
		require.False(t, readEqualsCodec(t, b), name)
		got, err := DecodeRecord(b)
		require.NoError(t, err, name)
		require.Equal(t, r.Key(), got.Key(), name)
		require.Equal(t, good, got.Encode(), name)
	}
}

func swap(b []byte, old, new string) []byte {
	return []byte(strings.Replace(string(b), old, new, 1))
}

// A length that claims more than there is must not cause an allocation (rule L11).
func TestReadDoesNotTrustLengths(t *testing.T) {
	good := newRecord(t, creation).Encode()
	for name, b := range map[string][]byte{
		"dots":    swap(good, "\xa4dots\x91", "\xa4dots\xdc\xff\xff"),
		"args":    swap(good, "\xa4args\x92", "\xa4args\xdc\xff\xff"),
		"env":     swap(good, "\xa3env\x81", "\xa3env\xde\xff\xff"),
		"created": swap(good, "\xa7created\x91", "\xa7created\xdc\xff\xff"),
		"command": swap(good, "\xa4true", "\xdb\x7f\xff\xff\xff"),
		"depth":   swap(good, "\xa4args\x92", "\xa4args"+strings.Repeat("\x91", MaxRecord/2)),
	} {
		require.NotEqual(t, good, b, name)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, ok := decodeFast(b)
		runtime.ReadMemStats(&after)
		require.False(t, ok, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<10), name)
	}
}

// A record shares no memory with the bytes from which it was decoded, because they belong to the caller.
func TestReadKeepsNoBytes(t *testing.T) {
	b := newRecord(t, creation).Encode()
	good := bytes.Clone(b)
	r, err := DecodeRecord(b)
	require.NoError(t, err)
	for i := range b {
		b[i] = 'x'
	}
	require.Equal(t, good, r.Encode())
}

// BenchmarkDecode compares what a broker does (read) with what it would do without
// read.go (codec), and with all of DecodeRecord.
func BenchmarkDecode(b *testing.B) {
	b.Run("read", func(b *testing.B) { benchmarkDecode(b, func(in []byte) { decodeFast(in) }) })
	b.Run("codec", func(b *testing.B) {
		benchmarkDecode(b, func(in []byte) { _ = canon.Decode(in, new(Record)) })
	})
	b.Run("DecodeRecord", func(b *testing.B) { benchmarkDecode(b, func(in []byte) { _, _ = DecodeRecord(in) }) })
}

func benchmarkDecode(b *testing.B, decode func([]byte)) {
	spec, err := ParseSpec([]byte(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","0001-00000001","--format","geojson"],
		"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},
		"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`))
	require.NoError(b, err)
	in := New("0190163d-8694-739b-aea5-966c26f8ad90", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "north~00000001", Counter: 70_000}, At: 1 << 56}).Encode()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		decode(in)
	}
}
