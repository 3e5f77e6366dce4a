package account

import "github.com/prometheus/client_golang/prometheus"

// Pins says what pins keep in L2 now.
type Pins struct {
	Images     int64
	Incomplete int64 // of these, those that lack a block or are not as their name says
	Kept       Count // each block once
	Limit      int64 // bytes that pins may take
}

type pinDescs struct{ images, incomplete, kept, limit *prometheus.Desc }

func newPinDescs() pinDescs {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("cached_"+name, help, nil, nil) }
	return pinDescs{
		images:     desc("pinned_images", "Images that are pinned in L2."),
		incomplete: desc("pinned_incomplete_images", "Pinned images that lack a block in L2, or could not follow their name."),
		kept:       desc("pinned_bytes", "Bytes of blocks that pins keep in L2, each block once."),
		limit:      desc("pinned_limit_bytes", "Bytes that pins may take together."),
	}
}

func (d pinDescs) describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.images, d.incomplete, d.kept, d.limit} {
		out <- desc
	}
}

func (d pinDescs) collect(out sink, p Pins) {
	out.gauge(d.images, p.Images)
	out.gauge(d.incomplete, p.Incomplete)
	out.gauge(d.kept, p.Kept.Bytes)
	out.gauge(d.limit, p.Limit)
}
