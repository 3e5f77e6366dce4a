package zone_test

import (
	"fmt"
	"testing"

	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// A field is a zone with an image that none of its nodes has read. What went
// before in the same zone is not counted.
type field struct {
	*zone.Zone
	Image   zone.Image
	options zone.Options
	name    string // of the image
	mark    int64
	books   zone.Books
}

// fields is where measurements get their zones from: each a new one, or all that
// are alike the same.
type fields struct {
	shared map[zone.Spread]*field // nil: nothing is shared
	images int
}

// own gives each measurement zones of its own.
func own() *fields { return &fields{} }

// start returns a field with an image of the size that the options say.
func (f *fields) start(t *testing.T, o zone.Options) *field {
	t.Helper()
	s := f.shared[o.Spread]
	if s == nil {
		z := zone.Start(t, o)
		return &field{Zone: z, Image: z.Image, options: o, name: zone.ImageName}
	}
	s.Await(t, s.Nodes)
	s.link(o.Link, o.OriginLink)
	t.Cleanup(func() { s.link(s.options.Link, s.options.OriginLink) })
	f.images++
	n := &field{Zone: s.Zone, options: s.options, name: fmt.Sprintf("image-%d", f.images)}
	n.Image = n.publish(t, n.name, o.Image, uint64(1000+f.images))
	n.books = zone.SumBooks(t, n.Nodes)
	n.mark = n.Store.Mark(t)
	return n
}

// link gives all hosts and the store's such links, where they have others.
func (f *field) link(hosts, origin netlab.Link) {
	set := func(h *netlab.Host, link netlab.Link) {
		if h.Link() != link {
			h.SetLink(link)
		}
	}
	for _, n := range f.Nodes {
		set(n.Host, hosts)
	}
	set(f.Store.Host, origin)
}

// share starts the zone that all measurements of this kind get, until t ends.
func (f *fields) share(t *testing.T, o zone.Options) {
	t.Helper()
	s := f.start(t, o)
	if f.shared == nil {
		f.shared = map[zone.Spread]*field{}
	}
	f.shared[o.Spread] = s
}

func (f *field) publish(t *testing.T, name string, size int64, seed uint64) zone.Image {
	t.Helper()
	return f.Store.Publish(t, f.options.Programs, zone.Content{Name: name, Size: size, Seed: seed})
}

// agents starts an agent for the image on each node.
func (f *field) agents(t *testing.T, nodes []*zone.Node, flags ...string) []*zone.Agent {
	t.Helper()
	return zone.Agents(t, nodes, append([]string{"-image", f.name}, flags...)...)
}

// burst lets all nodes read the whole image at the same moment.
func (f *field) burst(t *testing.T) []report.Report {
	t.Helper()
	agents := f.agents(t, f.Nodes)
	zone.Go(t, agents)
	return zone.Reports(t, agents)
}

// reads are the store's since the image was published.
func (f *field) reads(t *testing.T) zone.OriginReads {
	t.Helper()
	return f.Store.Reads(t, f.mark)
}

// sums are what the daemons' ledgers say since then, where none has restarted.
func (f *field) sums(t *testing.T) zone.Books {
	t.Helper()
	return zone.SumBooks(t, f.Nodes).Since(f.books)
}
