package peer

import (
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A counter is where peers ask: the desk that decides, and those who wait there
// for its decision.
type counter struct {
	mu    sync.Mutex
	desk  *placement.Desk
	calls map[call]chan struct{} // closed when the desk is to decide again
}

// A call is a waiting ask. The same reader may have lost a connection and ask
// again: then the later ask has the line.
type call struct {
	id     block.ID
	reader string
}

// decide has the desk decide. When the verdict is Wait, the channel is closed
// once it is to decide again.
func (c *counter) decide(r placement.Request) (placement.Decision, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.desk.Decide(r, time.Now())
	key := call{r.Block, r.Reader}
	if d.Verdict != placement.Wait {
		delete(c.calls, key)
		return d, nil
	}
	again, ok := c.calls[key]
	if !ok {
		again = make(chan struct{})
		c.calls[key] = again
	}
	return d, again
}

// left takes a waiting reader out of the line.
func (c *counter) left(id block.ID, reader string, again <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := call{id, reader}
	if now, ok := c.calls[key]; again == nil || ok && now != again {
		return // it does not wait, or asks again and waits
	}
	delete(c.calls, key)
	c.desk.Left(id, reader)
}

// ended says how a send ended and calls whom the desk names.
func (c *counter) ended(id block.ID, reader string, result placement.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.desk.Ended(id, reader, result, time.Now()) {
		key := call{id, name}
		if again, ok := c.calls[key]; ok {
			close(again)
			delete(c.calls, key)
		}
	}
}

func (c *counter) forget(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desk.Forget(node)
}

// behind reports whether somebody reads or waits for the block here.
func (c *counter) behind(id block.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.desk.Behind(id)
}

// scale sets what the desk takes on to this node's rate and what is typical, in
// Mbit/s.
func (c *counter) scale(own, typical uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desk.SetRate(own, typical)
}
