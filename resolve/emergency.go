package resolve

import (
	"fmt"

	"github.com/urban-compute/ucp/job"
)

// The strategy emergency looks at the emergency level before all else: a job of a higher one displaces those of
// lower ones, whatever their scores. Inside a level it is as priority.

// levelFirst has the higher level go first.
func levelFirst(c *Candidate) int64 { return int64(c.level()) }

// levelTier has lower levels be victims before higher ones.
func levelTier(level int64) int64 { return level }

func levelOutranks(level, other int64) string {
	if other == 0 {
		return fmt.Sprintf("%s goes before no emergency", job.LevelName(int(level)))
	}
	return fmt.Sprintf("%s goes before %s", job.LevelName(int(level)), job.LevelName(int(other)))
}
