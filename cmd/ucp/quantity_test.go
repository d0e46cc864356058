package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCPU(t *testing.T) {
	for in, want := range map[string]int64{"500m": 500, "0.5": 500, "2.0": 2000, "2": 2000, "64": 64000, "100000m": 100000, "1.25": 1250, "0.001": 1, "64000m": 64000} {
		var v cpuValue
		require.NoError(t, v.Set(in), in)
		require.EqualValues(t, want, v, in)
	}
	for _, in := range []string{"", "m", "-1", "0", "0.0001", "1.5m", "half", "NaN", "Inf", "1e300", "2 cores", "0x", "64.5", "500", "2000"} {
		var v cpuValue
		require.Error(t, v.Set(in), in)
	}
}

// A number without a unit is cores; one that was meant as millicores, as earlier versions took it, is refused with the way
// to write it.
func TestMillicoresNeedTheirUnit(t *testing.T) {
	var v cpuValue
	require.EqualError(t, v.Set("2000"), "2000 cores: write 2000m for millicores, or 2000000m if so many cores are meant")
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"64MiB": 64 << 20, "64Mi": 64 << 20, "64M": 64e6, "64MB": 64e6, "1GiB": 1 << 30, "1G": 1e9, "1.5 GiB": 3 << 29,
		"65536": 65536, "100B": 100, "8k": 8000, "8kib": 8192, "1TiB": 1 << 40,
	} {
		var v bytesValue
		require.NoError(t, v.Set(in), in)
		require.EqualValues(t, want, v, in)
	}
	for _, in := range []string{"", "MiB", "-1", "0", "64 X", "1e30", "NaN", "InfMiB", "9000TiB"} {
		var v bytesValue
		require.Error(t, v.Set(in), in)
	}
}

// A reserve of 0 is none, as the help says; to ask for 0 bytes of memory is a mistake.
func TestReserveMayBeNone(t *testing.T) {
	v := reserveValue(1 << 30)
	for _, none := range []string{"0", " 0", "0MiB", "0 GiB", "0.0K", "0B"} {
		v = 1 << 30
		require.NoError(t, v.Set(none), none)
		require.Zero(t, v, none)
	}
	require.NoError(t, v.Set("2GiB"))
	require.EqualValues(t, 2<<30, v)
	for _, in := range []string{"-1", "0.1", "0X", ""} {
		require.Error(t, v.Set(in), in)
	}
}

// What a quantity's String shows can be given back to it: help texts and errors
// show values that are valid.
func TestQuantitiesReadWhatTheyShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpu := cpuValue(rapid.Int64Range(1, 1_000_000).Draw(t, "cpu"))
		var c cpuValue
		require.NoError(t, c.Set(cpu.String()))
		require.Equal(t, cpu, c)

		amount := bytesValue(rapid.Int64Range(1, 1<<50).Draw(t, "bytes"))
		var b bytesValue
		require.NoError(t, b.Set(amount.String()))
		require.InEpsilon(t, int64(amount), int64(b), 0.05, "rounded to one decimal")
	})
}

func TestHumanTexts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 3 << 29: "1.5 GiB", 1 << 45: "32 TiB", 1 << 50: "1024 TiB"} {
		require.Equal(t, want, humanBytes(n))
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 4500 * time.Microsecond: "4.5ms", 1234 * time.Millisecond: "1.2s", 125 * time.Second: "2m5s",
		90 * time.Minute: "1h30m", 76 * time.Hour: "3d4h", -time.Minute: "-1m0s",
	} {
		require.Equal(t, want, humanDuration(d))
	}
	require.Equal(t, "a b [31m", oneLine("a\tb\x1b[31m"), "nothing from outside moves the cursor")
	require.Equal(t, "ab…", shorten("abcd", 3))
}
