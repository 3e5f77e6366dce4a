package spread

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is scheduled when: it happens in the order of time, and of age at the
// same time.
func TestAgendaIsInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := newAgenda(time.Duration(rapid.IntRange(0, 1_000_000).Draw(rt, "interval")))
		left := rapid.IntRange(1, 300).Draw(rt, "events")
		delay := rapid.Custom(func(rt *rapid.T) time.Duration {
			most := rapid.SampledFrom([]int64{0, 1, 1000, int64(time.Millisecond), int64(10 * time.Second)}).Draw(rt, "most")
			return time.Duration(rapid.Int64Range(0, most).Draw(rt, "delay"))
		})
		type key struct {
			at  time.Duration
			age int
		}
		var scheduled, happened []key
		var schedule func()
		schedule = func() {
			if left--; left < 0 {
				return
			}
			k := key{at: a.now + delay.Draw(rt, "delay"), age: len(scheduled)}
			scheduled = append(scheduled, k)
			a.schedule(k.at, action(func() {
				if a.now != k.at {
					rt.Fatalf("at %v, scheduled for %v", a.now, k.at)
				}
				happened = append(happened, k)
				for range rapid.IntRange(0, 3).Draw(rt, "more") {
					schedule()
				}
			}), 0)
		}
		schedule()
		schedule()
		if n := a.run(); n != len(scheduled) || len(happened) != n {
			rt.Fatalf("%d events ran, %d were scheduled, %d happened", n, len(scheduled), len(happened))
		}
		for i := 1; i < len(happened); i++ {
			if before, now := happened[i-1], happened[i]; before.at > now.at || before.at == now.at && before.age > now.age {
				rt.Fatalf("%v happened before %v", before, now)
			}
		}
	})
}
