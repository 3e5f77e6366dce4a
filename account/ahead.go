package account

import "github.com/prometheus/client_golang/prometheus"

// Ahead says what came of the blocks that were read ahead of programs, and of the
// starts that were recorded. All but Pending only grow.
type Ahead struct {
	Used    Count // here when a program asked for them
	Late    Count // on their way when a program asked for them
	Wasted  Count // never asked for, or not to be had
	Pending Count // not asked for so far
	Missed  int64 // blocks that programs asked for first

	Recorded int64 // starts whose trace was taken
	Refused  int64 // starts that were not recorded
	Lost     int64 // traces that nobody took
}

type aheadDescs struct{ blocks, bytes, pendingBlocks, pending, missed, traces *prometheus.Desc }

func newAheadDescs() aheadDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("cached_"+name, help, labels, nil)
	}
	return aheadDescs{
		blocks:        desc("prefetch_blocks_total", "Blocks read ahead of programs: here when one asked (used), on their way (late), or not asked for until the start was over (wasted).", "result"),
		bytes:         desc("prefetch_bytes_total", "Bytes of blocks read ahead of programs.", "result"),
		pending:       desc("prefetch_pending_bytes", "Bytes of blocks read ahead that no program has asked for so far."),
		pendingBlocks: desc("prefetch_pending_blocks", "Blocks read ahead that no program has asked for so far."),
		missed:        desc("prefetch_missed_blocks_total", "Blocks that programs of starts with a profile asked for before they were read ahead."),
		traces:        desc("prefetch_starts_total", "Starts whose reads were recorded, those that were not (refused), and traces that were lost.", "result"),
	}
}

func (d aheadDescs) describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.blocks, d.bytes, d.pendingBlocks, d.pending, d.missed, d.traces} {
		out <- desc
	}
}

func (d aheadDescs) collect(out sink, a Ahead) {
	for _, r := range []struct {
		result string
		Count
	}{{"used", a.Used}, {"late", a.Late}, {"wasted", a.Wasted}} {
		out.counter(d.blocks, r.Blocks, r.result)
		out.counter(d.bytes, r.Bytes, r.result)
	}
	out.gauge(d.pendingBlocks, a.Pending.Blocks)
	out.gauge(d.pending, a.Pending.Bytes)
	out.counter(d.missed, a.Missed)
	out.counter(d.traces, a.Recorded, "recorded")
	out.counter(d.traces, a.Refused, "refused")
	out.counter(d.traces, a.Lost, "lost")
}
