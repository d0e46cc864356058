package main

import (
	"errors"
	"math"
)

// Terrain is made-up land: its height is a sum of octaves of value noise, so that each
// point depends on the seed and its place alone, and tiles that are drawn on different
// machines fit together.
type Terrain struct {
	Seed  uint64
	Water float64 // height of the water, 0 to 1 as heights are
}

const (
	octaves = 6
	grid    = 1.0 / 128 // of the widest octave, per pixel
	relief  = 160       // pixels that a height of 1 stands for, when light falls on it
)

// Height of the land at a pixel of the whole map, from 0 to 1.
func (t Terrain) Height(x, y float64) float64 {
	sum, weight, f := 0.0, 1.0, grid
	for o := range uint64(octaves) {
		sum += weight * t.noise(o, x*f, y*f)
		weight, f = weight/2, f*2
	}
	return sum / (2 - math.Pow(0.5, octaves-1))
}

// noise runs smoothly between random values at whole coordinates.
func (t Terrain) noise(octave uint64, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	at := func(dx, dy float64) float64 { return t.lattice(octave, int64(x0+dx), int64(y0+dy)) }
	u, v := smooth(x-x0), smooth(y-y0)
	return mix(mix(at(0, 0), at(1, 0), u), mix(at(0, 1), at(1, 1), u), v)
}

func smooth(x float64) float64    { return x * x * (3 - 2*x) }
func mix(a, b, u float64) float64 { return a + u*(b-a) }

// lattice is a random value from 0 to 1 for a point: the finalizer of SplitMix64 (Steele,
// Lea, Flood, OOPSLA 2014) over what names it.
func (t Terrain) lattice(octave uint64, x, y int64) float64 {
	z := t.Seed
	for _, v := range [...]uint64{octave, uint64(x), uint64(y)} {
		z += v + 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
	}
	return float64(z>>11) / (1 << 53)
}

// Tile is one square of the map, as grey pixels.
type Tile struct {
	Grey  []byte  // row by row
	Flood float64 // share of it that is under water
}

// Draw draws the tile of this size whose place in the map is column, row. Land is shaded as
// if light came from the north-west, 45 degrees high; water is black.
func (t Terrain) Draw(column, row, size int) Tile {
	out := Tile{Grey: make([]byte, 0, size*size)}
	wet := 0
	for py := range size {
		for px := range size {
			x, y := float64(column*size+px), float64(row*size+py)
			if t.Height(x, y) < t.Water {
				wet++
				out.Grey = append(out.Grey, 0)
				continue
			}
			out.Grey = append(out.Grey, t.shade(x, y))
		}
	}
	out.Flood = float64(wet) / float64(size*size)
	return out
}

// shade is the brightness of a point: the cosine between its normal and the light.
func (t Terrain) shade(x, y float64) byte {
	dx := relief * (t.Height(x+1, y) - t.Height(x-1, y)) / 2
	dy := relief * (t.Height(x, y+1) - t.Height(x, y-1)) / 2
	const half = 0.5 // the light is (-1/2, -1/2, √½)
	cos := (half*dx + half*dy + math.Sqrt2*half) / math.Sqrt(dx*dx+dy*dy+1)
	return byte(1 + 254*max(cos, 0)) // 0 is water's
}

// errSize refuses maps that nobody means.
var errSize = errors.New("-columns, -rows and -size must be from 1 to 4096")

// checkSize bounds a map.
func checkSize(columns, rows, size int) error {
	for _, v := range []int{columns, rows, size} {
		if v < 1 || v > 4096 {
			return errSize
		}
	}
	return nil
}
