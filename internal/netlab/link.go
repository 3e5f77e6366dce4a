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

// A Link connects a host to the switch. The zero value is as fast as the machine.
type Link struct {
	Rate Rate // in each direction; 0: not shaped
	// Queue is how many bytes wait at the switch's port for the host before the
	// switch drops; default 256 KiB. The host's own queue has room for 1 MiB; TCP
	// keeps it short.
	Queue int
}

const (
	defaultQueue = 256 << 10
	hostQueue    = 1 << 20

	// span is how much a full bucket lets through at once, as time at the link's
	// rate: long enough for the kernel's timers, short enough to look like a link.
	span     = 4 * time.Millisecond
	minBurst = 32 << 10
	maxBurst = 256 << 10
)

// burst returns the bucket's size in bytes.
func (k Link) burst() int {
	return min(max(int(int64(k.Rate)/8*int64(span)/int64(time.Second)), minBurst), maxBurst)
}

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
	return defaultQueue
}
