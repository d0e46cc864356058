package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The default record's bytes are part of the demo: they must not drift.
func TestDefaultRecordIsFixed(t *testing.T) {
	var a, b bytes.Buffer
	require.NoError(t, Default().Write(&a))
	require.NoError(t, Default().Write(&b))
	require.Equal(t, a.Bytes(), b.Bytes())
	require.Equal(t, "39f0d08f8646a38423f050c190f0f21984166e4f53ded4998c2d389584a4cab0", fmt.Sprintf("%x", sha256.Sum256(a.Bytes())))
	other := Default()
	other.Seed++
	b.Reset()
	require.NoError(t, other.Write(&b))
	require.NotEqual(t, a.Bytes(), b.Bytes())
}

func TestShape(t *testing.T) {
	r := Default()
	s := r.Samples()
	require.Len(t, s, 12000)
	peak, at := 0.0, 0
	for i, v := range s {
		if math.Abs(v) > peak {
			peak, at = math.Abs(v), i
		}
	}
	require.InDelta(t, 0.27, peak, 0.05)
	require.InDelta(t, 46.6, float64(at)/rate, 0.6, "the S wave is the strongest")
	for _, v := range s[:4000] {
		require.Less(t, math.Abs(v), 6*noise+1e-9, "nothing before the P wave")
	}
}
