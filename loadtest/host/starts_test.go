package host

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/images"
)

// TestProveHostStarts starts every image in every way: pulled, lazily, again, from
// a local directory, and on a second host.
func TestProveHostStarts(t *testing.T) {
	full(t)
	measureStarts(t, newLab(t, learning, imageNames()...))
}

// far is how long the first byte of a far origin takes.
const far = 30 * time.Millisecond

func measureStarts(t *testing.T, l *lab) {
	l.push(t)
	for _, img := range l.images {
		t.Run(img.Name, func(t *testing.T) { l.startsOf(t, img) })
	}
}

// ways are the starts of one image, by how.
type ways map[string][]start

func (l *lab) startsOf(t *testing.T, img images.Built) {
	w := ways{}
	workload, rootfs := l.coldStarts(t, w, img, "", 1, pick(3, 1))
	l.warmStarts(t, w, img, workload, rootfs, pick(3, 1))
	l.secondHost(t, w, img, workload, "", pick(2, 1))
	remove(t, rootfs)
	l.front.set(far)
	defer l.front.set(0)
	workload, rootfs = l.coldStarts(t, w, img, "_30ms", 1, 1)
	remove(t, rootfs)
	l.secondHost(t, w, img, workload, "_30ms", 1)
	w.report(t, "host.start."+img.Name)
	checkStarts(t, w)
}

// coldStarts measures pulls and lazy starts in turn, each the first of its workload,
// and returns the last workload, once its start is learned from, and the directory
// of the last pull.
func (l *lab) coldStarts(t *testing.T, w ways, img images.Built, suffix string, pulls, lazily int) (workload, rootfs string) {
	for i := range max(pulls, lazily) {
		if i < pulls {
			if rootfs != "" {
				remove(t, rootfs)
			}
			var s start
			s, rootfs = l.pull(t, img)
			w.add(t, "pull"+suffix, s)
		}
		if i < lazily {
			l.cold(t)
			workload = fmt.Sprintf("first%s-%d", suffix, i)
			s, m := l.lazy(t, l.first, img, workload)
			w.add(t, "lazy"+suffix, s)
			l.umount(t, m)
			l.awaitTraces(t, img.Ref(), workload, 1)
		}
	}
	return workload, rootfs
}

// warmStarts measures starts on a host that has had the image, beside those from a
// local directory.
func (l *lab) warmStarts(t *testing.T, w ways, img images.Built, workload, rootfs string, rounds int) {
	for range rounds {
		s, m := l.lazy(t, l.first, img, workload)
		w.add(t, "l1", s)
		w.add(t, "same_mount", l.again(t, m.bundle, img))
		local := l.local(t, m, rootfs)
		l.umount(t, m)
		l.cool(t)
		w.add(t, "local_cold", l.again(t, local, img))
		w.add(t, "local_warm", l.again(t, local, img))
		l.first.Stop()
		l.first.Start(t)
		l.zone.Await(t, l.zone.Nodes[:1])
		s, m = l.lazy(t, l.first, img, workload)
		w.add(t, "l2", s)
		l.umount(t, m)
		s, m = l.kept(t, img, workload)
		w.add(t, "kept", s)
		l.umount(t, m, "--now")
		m = l.mountBundle(t, l.first, img.Ref()) // nothing is cold
		w.add(t, "mount", start{ready: m.took, mount: m.took})
		l.umount(t, m)
	}
}

// secondHost measures starts on a host that has just come into the zone of one that
// has started the image.
func (l *lab) secondHost(t *testing.T, w ways, img images.Built, workload, suffix string, rounds int) {
	for range rounds {
		l.join(t)
		s, m := l.lazy(t, l.next, img, workload)
		w.add(t, "peer"+suffix, s)
		l.umount(t, m)
		l.alone(t)
	}
}

func (w ways) add(t *testing.T, how string, s start) {
	t.Helper()
	w[how] = append(w[how], s)
	t.Logf("%s: ready after %.3f s, mount %.1f ms, %.2f MB from the origin, served %s", how,
		s.ready.Seconds(), s.mount.Seconds()*1000, float64(s.origin)/1e6, tiersOf(s))
}

func tiersOf(s start) (text string) {
	for _, tier := range []cachedv1.Tier{cachedv1.Tier_TIER_MEMORY, cachedv1.Tier_TIER_DISK, cachedv1.Tier_TIER_PEER, cachedv1.Tier_TIER_ORIGIN} {
		text += fmt.Sprintf(" %s %d/%.2fMB", tier, s.served[tier].blocks, float64(s.served[tier].bytes)/1e6)
	}
	return text
}

// blocks is how many blocks the daemon served.
func (s start) blocks() (n int64) {
	for _, c := range s.served {
		n += c.blocks
	}
	return n
}

// median returns the median of what f says of the starts.
func (w ways) median(how string, f func(start) float64) float64 {
	var all []float64
	for _, s := range w[how] {
		all = append(all, f(s))
	}
	return median(all)
}

func median(all []float64) float64 {
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func seconds(s start) float64 { return s.ready.Seconds() }

// report states the medians, and the ratios that the goals are about.
func (w ways) report(t *testing.T, name string) {
	t.Helper()
	for how := range w {
		if how != "mount" {
			figure.Report(t, name+"."+how+"_s", w.median(how, seconds), "s")
		}
	}
	for _, suffix := range []string{"", "_30ms"} {
		pull := w.median("pull"+suffix, seconds)
		figure.Report(t, name+".pull_by_lazy"+suffix, pull/w.median("lazy"+suffix, seconds), "x")
		figure.Report(t, name+".pull_by_peer"+suffix, pull/w.median("peer"+suffix, seconds), "x")
		for _, how := range []string{"pull", "lazy", "peer"} {
			figure.Report(t, name+"."+how+suffix+"_origin_mb", w.median(how+suffix, func(s start) float64 { return float64(s.origin) / 1e6 }), "MB")
		}
	}
	figure.Report(t, name+".l1_by_local", w.median("l1", seconds)/w.median("local_cold", seconds), "x")
	figure.Report(t, name+".l2_by_local", w.median("l2", seconds)/w.median("local_cold", seconds), "x")
	figure.Report(t, name+".same_mount_by_local", w.median("same_mount", seconds)/w.median("local_warm", seconds), "x")
	figure.Report(t, name+".kept_by_local", w.median("kept", seconds)/w.median("local_warm", seconds), "x")
	figure.Report(t, name+".kept_mount_ms", w.median("kept", func(s start) float64 { return s.mount.Seconds() * 1000 }), "ms")
	figure.Report(t, name+".kept_blocks", w.median("kept", func(s start) float64 { return float64(s.blocks()) }), "blocks")
	figure.Report(t, name+".mount_ms", w.median("mount", seconds)*1000, "ms")
	for tier, how := range map[cachedv1.Tier]string{
		cachedv1.Tier_TIER_ORIGIN: "lazy", cachedv1.Tier_TIER_MEMORY: "l1", cachedv1.Tier_TIER_DISK: "l2", cachedv1.Tier_TIER_PEER: "peer",
	} {
		figure.Report(t, name+"."+how+"_blocks", w.median(how, func(s start) float64 { return float64(s.served[tier].blocks) }), "blocks")
		figure.Report(t, name+"."+how+"_mb", w.median(how, func(s start) float64 { return float64(s.served[tier].bytes) / 1e6 }), "MB")
	}
}

// checkStarts fails where the blocks did not come from where they should.
func checkStarts(t *testing.T, w ways) {
	t.Helper()
	for how, tier := range map[string]cachedv1.Tier{
		"lazy": cachedv1.Tier_TIER_ORIGIN, "lazy_30ms": cachedv1.Tier_TIER_ORIGIN, "l1": cachedv1.Tier_TIER_MEMORY,
		"l2": cachedv1.Tier_TIER_DISK, "peer": cachedv1.Tier_TIER_PEER, "peer_30ms": cachedv1.Tier_TIER_PEER,
	} {
		for _, s := range w[how] {
			if s.served[tier].blocks == 0 {
				t.Errorf("%s: nothing came from %s: %s", how, tier, tiersOf(s))
			}
		}
	}
}
