package executor

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Who watches looks as long as there is somebody to look at, once more when there is nobody, and again when one comes.
func TestWatchList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newWatchList[string]()
		var mu sync.Mutex
		var seen []int
		quit, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			l.watch(quit, time.Second, func(_ time.Time, all map[*attempt]string) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, len(all))
			})
		}()
		looks := func(during time.Duration) []int {
			mu.Lock()
			seen = nil
			mu.Unlock()
			time.Sleep(during)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return seen
		}
		a, b := &attempt{}, &attempt{}
		require.Empty(t, looks(time.Minute))
		l.add(a, "a")
		require.Equal(t, []int{1, 1, 1}, looks(3500*time.Millisecond))
		l.add(b, "b") // the interval begins with who comes
		require.Equal(t, []int{2, 2}, looks(2500*time.Millisecond))
		l.remove(a)
		require.Equal(t, map[*attempt]string{b: "b"}, l.all())
		l.remove(b)
		require.Equal(t, []int{0}, looks(time.Minute))
		l.add(a, "a")
		require.Equal(t, []int{1}, looks(1500*time.Millisecond))
		close(quit)
		<-done
	})
}
