package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Tiles of any size show the same land: what one machine draws fits to what another does.
func TestTilesFitTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		land := Terrain{Seed: rapid.Uint64().Draw(t, "seed"), Water: rapid.Float64Range(0, 1).Draw(t, "water")}
		const half = 8
		whole := land.Draw(0, 0, 2*half)
		flood := 0.0
		for row := range 2 {
			for column := range 2 {
				part := land.Draw(column, row, half)
				flood += part.Flood / 4
				for y := range half {
					from := (row*half+y)*2*half + column*half
					require.Equal(t, whole.Grey[from:from+half], part.Grey[y*half:(y+1)*half])
				}
			}
		}
		require.InDelta(t, whole.Flood, flood, 1e-9)
	})
}

func TestHeightsAreBetweenZeroAndOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		land := Terrain{Seed: rapid.Uint64().Draw(t, "seed")}
		h := land.Height(rapid.Float64Range(-1e6, 1e6).Draw(t, "x"), rapid.Float64Range(-1e6, 1e6).Draw(t, "y"))
		require.GreaterOrEqual(t, h, 0.0)
		require.LessOrEqual(t, h, 1.0)
	})
}

func TestWaterRises(t *testing.T) {
	last := -1.0
	for _, water := range []float64{0, 0.2, 0.4, 0.6, 0.8, 1} {
		tile := Terrain{Seed: 1755, Water: water}.Draw(0, 0, 128)
		require.GreaterOrEqual(t, tile.Flood, last)
		last = tile.Flood
	}
	require.Equal(t, 1.0, last, "nothing stands above 1")
	require.Zero(t, Terrain{Seed: 1755}.Draw(0, 0, 128).Flood, "and nothing below 0")
}

func TestWaterAloneIsBlack(t *testing.T) {
	tile := Terrain{Seed: 1755, Water: 0.5}.Draw(0, 0, 256)
	black := 0
	for _, g := range tile.Grey {
		if g == 0 {
			black++
		}
	}
	require.InDelta(t, tile.Flood, float64(black)/float64(len(tile.Grey)), 1e-9)
	require.Greater(t, tile.Flood, 0.05)
	require.Less(t, tile.Flood, 0.95)
}

func TestWritesAGraymap(t *testing.T) {
	dir := t.TempDir()
	tile := Terrain{Seed: 1}.Draw(2, 3, 4)
	require.NoError(t, tile.write(dir, 2, 3, 4))
	b, err := os.ReadFile(filepath.Join(dir, "2-3.pgm"))
	require.NoError(t, err)
	require.Equal(t, append([]byte("P5\n4 4\n255\n"), tile.Grey...), b)
	require.NoError(t, tile.write("", 2, 3, 4))
	require.Error(t, tile.write(filepath.Join(dir, "none"), 2, 3, 4))
}

func TestSizes(t *testing.T) {
	require.NoError(t, checkSize(1, 4096, 256))
	require.ErrorIs(t, checkSize(0, 1, 1), errSize)
	require.ErrorIs(t, checkSize(1, 1, 5000), errSize)
}
