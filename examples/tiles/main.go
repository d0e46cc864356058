// Command tiles draws a map in tiles: shaded land, and what a flood of a given height would
// cover. It is an example of a job that takes its time, says how far it is, and can be
// stopped for more urgent ones at any moment.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tiles:", err)
		os.Exit(1)
	}
}

func run() error {
	var t Terrain
	flag.Uint64Var(&t.Seed, "seed", 1755, "of the land")
	flag.Float64Var(&t.Water, "water", 0.4, "height of the water, 0 to 1")
	columns := flag.Int("columns", 6, "tiles from west to east")
	rows := flag.Int("rows", 4, "tiles from north to south")
	size := flag.Int("size", 256, "pixels along the side of a tile")
	out := flag.String("out", "", "write the tiles to this directory, as PGM (default: only say what they show)")
	pace := flag.Duration("pace", 0, "least time for each tile, so that a demonstration takes as long on a fast machine")
	flag.Parse()
	if flag.NArg() != 0 {
		return fmt.Errorf("what is %q? there are flags only", flag.Arg(0))
	}
	if err := checkSize(*columns, *rows, *size); err != nil {
		return err
	}
	all := *columns * *rows
	flood := 0.0
	for i := range all {
		began := time.Now()
		column, row := i%*columns, i / *columns
		tile := t.Draw(column, row, *size)
		if err := tile.write(*out, column, row, *size); err != nil {
			return err
		}
		flood += tile.Flood
		time.Sleep(*pace - time.Since(began))
		fmt.Printf("tile %d of %d: %3.0f %% under water\n", i+1, all, 100*tile.Flood)
	}
	fmt.Printf("the map is done: %.0f %% under water at height %g\n", 100*flood/float64(all), t.Water)
	return nil
}

// write stores a tile as a portable graymap; without a directory it does nothing.
func (t Tile) write(dir string, column, row, size int) error {
	if dir == "" {
		return nil
	}
	head := fmt.Appendf(nil, "P5\n%d %d\n255\n", size, size)
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%d.pgm", column, row)), append(head, t.Grey...), 0o644)
}
