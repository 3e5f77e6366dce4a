package netlab

import (
	"fmt"
	"time"
)

// A Rate is a number of bits a second, counted as Ethernet frames.
type Rate int64

// Units of rates.
const (
	Kbit Rate = 1000
	Mbit Rate = 1000 * Kbit
	Gbit Rate = 1000 * Mbit
)

// Transfer returns how long n bytes take at this rate.
func (r Rate) Transfer(n int64) time.Duration {
	return time.Duration(float64(n) * 8 / float64(r) * float64(time.Second))
}

// in returns how many bytes are carried in d.
func (r Rate) in(d time.Duration) int { return int(float64(r) / 8 * d.Seconds()) }

// A Link connects a host to the switch. The zero value is as fast as the machine.
type Link struct {
	Rate Rate // in each direction; 0: not shaped
	// Queue is how many bytes wait at the switch's port for the host before the
	// switch drops; default what the link carries in 40 ms, at least 128 KiB. The
	// host's own queue has room for twice that; TCP keeps it short.
	Queue int
}

const (
	// span is how much a full bucket lets through at once, as time at the link's
	// rate: short enough to look like a link, long enough that packets can stay as
	// large as the kernel builds them, on which the cost of a byte depends.
	span     = 8 * time.Millisecond
	minBurst = 32 << 10
	maxBurst = 256 << 10

	waiting  = 40 * time.Millisecond
	minQueue = 128 << 10
)

// burst returns the bucket's size in bytes.
func (k Link) burst() int { return min(max(k.Rate.in(span), minBurst), maxBurst) }

// segment returns the largest packet the kernel may build before it is cut to
// frames: half a bucket at most, since what does not fit into the bucket is cut
// by the shaper at great cost.
func (k Link) segment() int {
	if k.Rate == 0 {
		return 64 << 10
	}
	return min(k.burst()/2, 64<<10)
}

// shape returns the tc command that shapes what leaves by device.
func (k Link) shape(device string, queue int) string {
	return fmt.Sprintf("qdisc replace dev %s root tbf rate %dbit burst %d limit %d\n", device, k.Rate, k.burst(), queue)
}

func (k Link) queue() int {
	if k.Queue > 0 {
		return k.Queue
	}
	return max(k.Rate.in(waiting), minQueue)
}
