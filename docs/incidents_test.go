package docs_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// incidents are the faults that the alerts are about.
var incidents = []incident{
	{
		name: "a certificate is not renewed", brief: true, alerts: []string{"CachedCertificateExpires"},
		blocks: []string{"certificateexpires.md#look", "certificateexpires.md#renew"}, happen: certificateExpires,
	},
	{
		name: "a node is killed", brief: true, alerts: []string{"CachedNodeIsDown"},
		blocks: []string{"nodeisdown.md#look"}, happen: nodeIsKilled,
	},
	{
		name: "others fill the disk", brief: true, alerts: []string{"CachedDiskRefusesWrites"},
		blocks: []string{"diskrefuseswrites.md#look"}, happen: diskIsFilled,
	},
	{
		name: "the object store is down", alerts: []string{"CachedOriginFails", "CachedReadsFailFast", "CachedReadsFailSlowly"},
		blocks: []string{"originfails.md#look", "originfails.md#ask", "readsfail.md#look"}, happen: storeIsDown,
	},
	{
		name: "too many reads at once", alerts: []string{"CachedIsOverloaded"},
		blocks: []string{"overloaded.md#look"}, happen: tooManyReads,
	},
	{
		name: "the object store is slow", alerts: []string{"CachedReadsAreSlow", "CachedReadsAreSlowForLong"},
		blocks: []string{"readsareslow.md#look", "readsareslow.md#l4"}, happen: storeIsSlow,
	},
	{
		name: "more is read than the zone has room for", alerts: []string{"CachedHitRateIsLow", "CachedHitRateIsLowForLong"}, site: siteOptions{l1: "16MiB", l2: "64MiB"},
		blocks: []string{"hitrateislow.md#look", "hitrateislow.md#room"}, happen: zoneIsTooSmall,
	},
	{
		name: "a disk turns over", alerts: []string{"CachedDiskIsFull"}, site: siteOptions{l1: "16MiB", l2: "64MiB"},
		blocks: []string{"diskisfull.md#look"}, happen: diskTurnsOver,
	},
	{
		name: "a host has another gossip key", alerts: []string{"CachedRingIsSplit", "CachedNodeIsAlone"},
		blocks: []string{"ringissplit.md#look", "ringissplit.md#key"}, happen: hostHasAnotherKey,
	},
	{
		name: "a program reads something else each time", alerts: []string{"CachedReadsAheadInVain"},
		blocks: []string{"readsaheadinvain.md#look", "readsaheadinvain.md#forget"}, happen: programChangesItsMind,
	},
	{
		name: "a disk gives wrong bytes", alerts: []string{"CachedIntegrityFailure"}, site: siteOptions{l1: "16MiB"},
		blocks: []string{"integrityfailure.md#look", "integrityfailure.md#l2"}, happen: diskLies,
	},
	{
		name: "a node gives wrong bytes", alerts: []string{"CachedIntegrityFailure"},
		blocks: []string{"integrityfailure.md#look", "integrityfailure.md#l3"}, happen: nodeLies,
	},
	{
		name: "the object store gives wrong bytes", alerts: []string{"CachedIntegrityFailure"},
		blocks: []string{"integrityfailure.md#look", "integrityfailure.md#l4", "integrityfailure.md#republish"}, happen: storeLies,
	},
}

func certificateExpires(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.settle()
	must(d.T, "cached", "certs", "issue", "--ca", "/srv/ca", "--node", "h1", "--valid", "100h", "--out", "/etc/cached/zone-tls")
	d.fires("CachedCertificateExpires")
	d.follow("certificateexpires.md#look", map[string]string{"NODE": "h1"})
	d.follow("certificateexpires.md#renew", map[string]string{"CA": "/srv/ca", "NODE": "h1"})
	d.clears("CachedCertificateExpires")
}

func nodeIsKilled(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.settle()
	d.hosts["h3"].process.Kill()
	if a := d.fires("CachedNodeIsDown"); a.Labels["node"] != "h3" {
		d.Errorf("labels %v", a.Labels)
	}
	d.says("of 2 nodes", "cached", "status")
	d.follow("nodeisdown.md#look", nil)
	d.start("h3")
	d.clears("CachedNodeIsDown")
}

func diskIsFilled(d *rehearsal) {
	givenDir(d.T, "/var/lib/cached/l2")
	must(d.T, "mount", "-t", "tmpfs", "-o", "size=96m", "disk", "/var/lib/cached/l2")
	d.start("h1", "h2", "h3")
	d.settle()
	filler := "/var/lib/cached/l2/of-somebody-else"
	fill(d, filler)
	ids := d.publish("app:v1", 32<<20)
	c := d.read("h1", 4, inTurn("app:v1", ids))
	d.fires("CachedDiskRefusesWrites")
	d.follow("diskrefuseswrites.md#look", nil)
	if err := os.Remove(filler); err != nil {
		d.Fatal(err)
	}
	// What is read next is kept again.
	more := d.publish("app:v2", 24<<20)
	again := d.read("h1", 4, inTurn("app:v2", more))
	d.clears("CachedDiskRefusesWrites")
	c.end()
	again.end()
}

// fill takes all the room of a file system.
func fill(d *rehearsal, name string) {
	d.Helper()
	f, err := os.Create(name)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
}

func storeIsDown(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.publish("app:v1", 1<<20)
	ids := d.publish("job:v1", 64<<20)
	warm := d.read("h1", 1, inTurn("app:v1", d.blocks("app:v1")))
	d.settle()
	d.store.down()
	c := d.read("h1", 4, inTurn("job:v1", ids))
	d.fires("CachedOriginFails")
	d.fires("CachedReadsFailFast")
	d.fires("CachedReadsFailSlowly")
	d.says("FAILING", "cached", "status") // long before the alert, where a minute is one
	d.follow("originfails.md#look", nil)
	d.follow("originfails.md#ask", nil)
	d.follow("readsfail.md#look", nil)
	d.store.up(d.T)
	for _, name := range d.incident.alerts {
		d.clears(name)
	}
	c.end()
	warm.end()
}

func tooManyReads(d *rehearsal) {
	d.hosts["h1"].flags = append(d.hosts["h1"].flags, "--in-flight", "8")
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 256<<20)
	d.settle()
	slow := slowly(time.Second)
	d.store.fault.Store(&slow)
	c := d.read("h1", 64, inTurn("app:v1", ids))
	d.fires("CachedIsOverloaded")
	d.follow("overloaded.md#look", nil)
	c.end()
	d.hosts["h1"].process.Stop()
	d.hosts["h1"].flags = nil // the default is 1024
	d.start("h1")
	c = d.read("h1", 64, inTurn("app:v1", ids))
	d.clears("CachedIsOverloaded")
	c.end()
}

// slowly lets each answer of the store take longer.
func slowly(pause time.Duration) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
		}
		return false
	}
}

func storeIsSlow(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("job:v1", 256<<20)
	d.settle()
	slow := slowly(1500 * time.Millisecond)
	d.store.fault.Store(&slow)
	c := d.read("h1", 32, inTurn("job:v1", ids))
	for _, name := range d.incident.alerts {
		d.fires(name)
	}
	d.follow("readsareslow.md#look", nil)
	d.follow("readsareslow.md#l4", nil)
	d.store.fault.Store(nil)
	for _, name := range d.incident.alerts {
		d.clears(name)
	}
	c.end()
}

func zoneIsTooSmall(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("job:v1", 256<<20)
	d.settle()
	c := d.read("h1", 16, inTurn("job:v1", ids))
	for _, name := range d.incident.alerts {
		d.fires(name)
	}
	d.follow("hitrateislow.md#look", nil)
	d.follow("hitrateislow.md#room", nil)
	for _, name := range []string{"h1", "h2", "h3"} {
		d.hosts[name].process.Stop()
		d.hosts[name].flags = append(d.hosts[name].flags, "--l2-size", "512MiB")
		d.start(name)
	}
	for _, name := range d.incident.alerts {
		d.clears(name)
	}
	c.end()
}

func diskTurnsOver(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("job:v1", 512<<20)
	d.settle()
	c := d.read("h1", 4, inTurn("job:v1", ids))
	d.fires("CachedDiskIsFull")
	d.follow("diskisfull.md#look", nil)
	for _, name := range []string{"h1", "h2", "h3"} {
		d.hosts[name].process.Stop()
		d.hosts[name].flags = append(d.hosts[name].flags, "--l2-size", "2GiB")
		d.start(name)
	}
	d.clears("CachedDiskIsFull")
	c.end()
}

func hostHasAnotherKey(d *rehearsal) {
	old, err := os.ReadFile("/srv/h3/gossip.keys")
	if err != nil {
		d.Fatal(err)
	}
	put(d.T, "/srv/h3/gossip.keys", []byte(d.output("cached", "certs", "gossip-key")), 0o600)
	d.start("h1", "h2", "h3")
	d.fires("CachedRingIsSplit")
	if a := d.fires("CachedNodeIsAlone"); a.Labels["node"] != "h3" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("ringissplit.md#look", map[string]string{"HOST": "10.0.0.3"})
	d.follow("ringissplit.md#key", nil)
	put(d.T, "/srv/h3/gossip.keys", old, 0o600)
	d.clears("CachedRingIsSplit")
	d.clears("CachedNodeIsAlone")
}

func programChangesItsMind(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.publish("job:v1", 256<<20)
	d.settle()
	stop := d.fickle("job:v1")
	d.fires("CachedReadsAheadInVain")
	d.follow("readsaheadinvain.md#look", nil)
	stop()
	d.follow("readsaheadinvain.md#forget", map[string]string{"NAME": "job:v1", "WORKLOAD": "serve-0", "URL": "'" + d.store.url + "'"})
	d.clears("CachedReadsAheadInVain")
}

func diskLies(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 48<<20)
	d.settle()
	d.read("h1", 4, inTurn("app:v1", ids))
	d.prometheus.Await(d.T, `cached_tier_written_bytes_total{node="h1", tier="l2"} > 4e6`)
	segments, err := filepath.Glob("/var/lib/cached/l2/segments/*")
	if err != nil || len(segments) == 0 {
		d.Fatalf("segments: %v", err)
	}
	for _, name := range segments {
		damage(d, name)
	}
	if a := d.fires("CachedIntegrityFailure"); a.Labels["source"] != "l2" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("integrityfailure.md#look", nil)
	d.follow("integrityfailure.md#l2", nil)
	d.clears("CachedIntegrityFailure")
}

// damage flips a bit in each page of a file.
func damage(d *rehearsal, name string) {
	d.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		d.Fatal(err)
	}
	var b [1]byte
	for at := int64(2048); at < info.Size(); at += 4096 {
		if _, err := f.ReadAt(b[:], at); err != nil {
			d.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], at); err != nil {
			d.Fatal(err)
		}
	}
}

func nodeLies(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 64<<20)
	d.settle()
	liar := d.liar()
	d.read("h1", 4, inTurn("app:v1", ids))
	if a := d.fires("CachedIntegrityFailure"); a.Labels["source"] != "l3" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("integrityfailure.md#look", nil)
	d.follow("integrityfailure.md#l3", nil)
	liar.Signal(syscall.SIGTERM)
	d.clears("CachedIntegrityFailure")
}

func storeLies(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 4<<20)
	d.settle()
	hex := strings.TrimPrefix(ids[3], "blake3:")
	object := filepath.Join(d.store.dir, "blocks", hex[:2], hex)
	bytes, err := os.ReadFile(object)
	if err != nil {
		d.Fatal(err)
	}
	bytes[100] ^= 1
	put(d.T, object, bytes, 0o644)
	c := d.read("h1", 1, inTurn("app:v1", ids))
	if a := d.fires("CachedIntegrityFailure"); a.Labels["source"] != "l4" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("integrityfailure.md#look", nil)
	d.follow("integrityfailure.md#l4", map[string]string{"NAME": "app:v1"})
	d.follow("integrityfailure.md#republish", map[string]string{"SOURCE": "file:/srv/bytes", "NAME": "app:v1", "URL": fmt.Sprintf("'%s'", d.store.url)})
	d.clears("CachedIntegrityFailure")
	c.end()
}
