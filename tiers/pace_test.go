package tiers_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

// A link carries one block after the other, each after a delay of its own.
type link struct {
	delay, transfer time.Duration
	fail            bool

	mu           sync.Mutex
	free         time.Time
	inside, most int
}

func (l *link) reader(b block.Block) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
		l.mu.Lock()
		l.inside++
		l.most = max(l.most, l.inside)
		at := time.Now().Add(l.delay)
		if at.Before(l.free) {
			at = l.free
		}
		l.free = at.Add(l.transfer)
		done := l.free
		fail := l.fail
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			l.inside--
			l.mu.Unlock()
		}()
		select {
		case <-time.After(time.Until(done)):
		case <-ctx.Done():
			return block.Block{}, ctx.Err()
		}
		if fail {
			return block.Block{}, block.ErrUnavailable
		}
		return b.Retain(), nil
	})
}

// read lets so many readers read for a while through r.
func read(t *testing.T, r block.Reader, readers int, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for ctx.Err() == nil {
				b, _ := r.ReadBlock(ctx, block.ID{1})
				b.Release()
			}
		})
	}
	wg.Wait()
}

func TestGovern(t *testing.T) {
	for _, tt := range []struct {
		name        string
		link        *link
		hosts       int
		from, to    int // reads inside at a time, of all hosts, in the end
		least, most int
	}{
		{"a wide origin far away is used", &link{delay: 36 * time.Millisecond, transfer: 10 * time.Microsecond}, 1, 64, 64, 4, 64},
		{"sixteen hosts do not queue at a narrow one", &link{delay: 2 * time.Millisecond, transfer: 12 * time.Millisecond}, 16, 64, 300, 4, 64},
		{"one that fails is left alone", &link{delay: time.Millisecond, transfer: time.Millisecond, fail: true}, 1, 4, 4, 4, 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := blocktest.Block(1, 1000)
				defer b.Release()
				l := tt.link
				next := l.reader(b)
				readers := make([]block.Reader, tt.hosts)
				for i := range readers {
					readers[i] = tiers.Govern(next, tt.least, tt.most)
				}
				all := func(d time.Duration) {
					var wg sync.WaitGroup
					for _, r := range readers {
						wg.Go(func() { read(t, r, 2*tt.most, d) })
					}
					wg.Wait()
				}
				all(2 * time.Minute)
				l.most = 0
				all(10 * time.Second)
				if l.most < tt.from || l.most > tt.to {
					t.Errorf("%d reads at a time, want %d to %d", l.most, tt.from, tt.to)
				}
			})
		})
	}
}

// A burst is over before the pace has gone down step by step: on a link that takes 400 ms
// for a block nine of the first sixteen reads are enough to know.
func TestGovernSeesAThinLinkEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Block(1, 1000)
		defer b.Release()
		l := &link{transfer: 400 * time.Millisecond}
		r := tiers.Govern(l.reader(b), 4, 64)
		began := time.Now()
		go func() {
			<-time.After(7500 * time.Millisecond) // those that are inside have to end
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.inside > 8 {
				t.Errorf("%d reads at a time after %s", l.inside, time.Since(began))
			}
		}()
		read(t, r, 64, 8*time.Second)
	})
}
