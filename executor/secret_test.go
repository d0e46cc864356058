package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A job has its secrets as variables and as files that nobody else reads, and they go with it. One that it can't have fails it for
// good; one that can't be had now returns it.
func TestSecretsOfATask(t *testing.T) {
	secrets := map[string]string{}
	var trouble error
	r := newRig(t, native, func(c *Config) {
		c.Secrets = func(_ context.Context, _ string, s *job.Spec) (map[string]string, error) {
			require.Len(t, s.Secrets, len(secrets))
			return secrets, trouble
		}
	})
	given := func(task Task, values map[string]string) Task {
		secrets, task.Spec.Secrets = values, map[string]string{}
		for name := range values {
			task.Spec.Secrets[name] = "sealed"
		}
		return task
	}
	values := map[string]string{"PW": "seven dry wells", "./key": "eight\x00wet walls\n", "keys/van-3": "nine"}

	task := given(r.sh(`umask; echo "$PW"; od -An -c key | tr -d ' \n'; echo; cat keys/van-3; ls -ln key | cut -c1-10; ulimit -Hc`), values)
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Regexp(t, `^\d+\nseven dry wells\neight\\0wetwalls\\n\nnine-r--------\n[01]\n$`, r.read(res.Stdout))
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(r.e.cfg.Dir, "1"))
		return errors.Is(err, os.ErrNotExist)
	}, time.Minute, time.Millisecond, "its directory has gone")

	task = given(r.wasm("copy", "key", "out/copy"), values)
	task.Spec.Dirs, task.Spec.Outputs = []string{"out"}, []string{"out"}
	res = r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	copied := res.Outputs["out/copy"]
	require.Equal(t, values["./key"], r.read(&copied))
	res = r.run(given(r.wasm("env"), values))
	require.Contains(t, r.read(res.Stdout), "PW=seven dry wells\n")

	trouble = fmt.Errorf("PW: %w: it is for jobs of kim", ErrBadSecret)
	task = given(r.wasm("env"), values)
	r.e.Start(task)
	last := r.ended(task)
	require.False(t, last.Returned)
	require.True(t, last.Result.Permanent)
	require.Contains(t, last.Result.Reason, "it is for jobs of kim")
	trouble = errors.New("nobody is there")
	r.wasReturned(given(r.wasm("env"), values), false, "nobody is there")
}
