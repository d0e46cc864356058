package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// ended is a cluster in which a job that nobody can run has ended by a request, and a client was told so for good. Meanwhile
// does what is to happen before that; the copies of the disks are from before both.
func ended(t *testing.T, n int, meanwhile func(*Core)) (c *Core, key creation) {
	cfg := coreConfig()
	cfg.SyncInterval = 20 * time.Second
	c = NewCore(1, n, cfg)
	c.Run(5 * time.Second)
	c.SubmitSpec("b1", "j", job.Spec{Constraints: []string{"name=nobody"}}, nil)
	c.Run(time.Minute)
	for _, name := range c.Names() {
		c.backup(c.nodes[name])
	}
	c.Run(10 * time.Minute)
	meanwhile(c)
	c.Cancel("b1", "j")
	c.Run(10 * time.Second)
	require.True(t, firm(c, "b1"))
	require.Len(t, c.checks.answers.firm, 1)
	return c, creations(c.Record("b1", "j"))[0]
}

// firm asks a broker how the job has ended, and reports whether that is said for good.
func firm(c *Core, at string) (yes bool) {
	c.Read(at, "j", nil, func(f *broker.Found) { yes = f.Record.Finished() && !f.Provisional })
	c.Run(time.Second)
	return yes
}

// endAgain restores two disks at once, and ends the job again there, by clocks that are behind: that end is the earlier one, and
// nobody is told it for good as long as the third broker is away.
func endAgain(t *testing.T, c *Core) {
	c.Skew("b1", -8*time.Minute)
	c.Skew("b2", -8*time.Minute)
	c.RestoreTwo("b1", "b2")
	c.Run(time.Minute)
	c.Cancel("b1", "j")
	c.Run(20 * time.Second)
	require.False(t, firm(c, "b1"))
}

// leaves lets a broker say goodbye.
func leaves(c *Core, name string) {
	c.Leave(name)
	c.Run(20 * time.Second)
}

// A firm answer holds as long as a member of the roll keeps the disk that knows it (decisions/0021). When both that are left
// after a goodbye are restored, another end is no fault: the third disk, which knows the first, counted for nothing.
func TestLossesBeyondWhatIsPromised(t *testing.T) {
	t.Parallel()
	c, key := ended(t, 3, func(*Core) {})
	first := c.checks.answers.firm[key]
	leaves(c, "b0")
	endAgain(t, c)
	require.NotContains(t, c.checks.answers.firm, key)
	c.Start("b0")
	c.Run(5 * time.Minute)
	require.True(t, firm(c, "b0"))
	require.NotEqual(t, first.verdict, c.checks.answers.firm[key].verdict)
	c.Converged()
	require.Empty(t, c.Wrong(), c.Story(""))
}

// With a member whose disk is as it was, absent or not, what was firm stays so, and the checks demand it.
func TestLossesWithinWhatIsPromised(t *testing.T) {
	t.Parallel()
	c, key := ended(t, 3, func(*Core) {})
	first := c.checks.answers.firm[key]
	c.Kill("b0")
	endAgain(t, c)
	c.Start("b0")
	c.Run(5 * time.Minute)
	require.True(t, firm(c, "b1"))
	require.Equal(t, first, c.checks.answers.firm[key])
	c.Converged()
	require.Empty(t, c.Wrong(), c.Story(""))

	first.verdict.Counter++
	c.checks.answers.firm[key] = first // as if another end had been told
	firm(c, "b1")
	require.Len(t, c.Wrong(), 1)
}

// Who is let in again when an end was stable already has not held it, may write another, and changes nothing (story
// M2_back_with_an_older_job of broker). Who counted when it became stable must have held it.
func TestFirmBeforeSomebodyIsBack(t *testing.T) {
	t.Parallel()
	c, key := ended(t, 4, func(c *Core) { leaves(c, "b3") })
	c.Start("b3")
	for !c.nodes["b1"].disk.member("b3").Open() {
		c.Run(time.Millisecond)
	}
	c.Pause("b3", time.Minute)
	c.Run(20 * time.Second)
	for _, name := range []string{"b0", "b1", "b2"} {
		delete(c.checks.answers.firm, key) // as if it were told first now
		require.True(t, firm(c, name))
	}
	require.Empty(t, c.Wrong(), c.Story(""))
	require.False(t, c.Record("b3", "j").Finished())

	delete(c.checks.answers.firm, key)
	delete(c.nodes["b1"].without, "b3") // as if it had been there all along
	firm(c, "b1")
	require.Len(t, c.Wrong(), 1)
}

// A broker with a lost disk says again to a client what that was told for good, and need not say it to others yet (rule R4).
func TestFirmByTheToken(t *testing.T) {
	t.Parallel()
	c, key := ended(t, 3, func(*Core) {})
	verdict := c.checks.answers.firm[key].verdict
	told := causal.Context{{Dot: key.dot, Job: "j", Firm: causal.FirmEnd(verdict)}}
	n, now := c.nodes["b0"], c.Record("b0", "j")
	before := now.With(clock.Dot{Actor: "b0~1", Counter: 1}, func(r *job.Record) { r.Verdicts = nil })
	c.checks.answers.diskChanged("b0")
	c.checkShown(n, now, true, told, c.Now)
	c.checkShown(n, before, false, nil, c.Now.Add(time.Second))
	require.Empty(t, c.Wrong())
	c.checkShown(n, now, true, nil, c.Now)
	c.checkShown(n, before, false, nil, c.Now.Add(time.Second))
	require.Len(t, c.Wrong(), 1)
}
