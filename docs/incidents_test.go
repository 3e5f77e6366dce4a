package docs_test

import (
	"fmt"
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
		blocks:   []string{"certificateexpires.md#look", "certificateexpires.md#renew"},
		remedies: []string{"certificateexpires.md: Issue another one"}, happen: certificateExpires,
	},
	{
		name: "a node is killed", brief: true, alerts: []string{"CachedNodeIsDown"},
		blocks:   []string{"nodeisdown.md#look"},
		remedies: []string{"nodeisdown.md: Restart it"}, happen: nodeIsKilled,
	},
	{
		name: "others fill the disk", brief: true, alerts: []string{"CachedDiskRefusesWrites"},
		blocks:   []string{"diskrefuseswrites.md#look"},
		remedies: []string{"diskrefuseswrites.md: Full by others"}, happen: diskIsFilled,
	},
	{
		name: "the object store is down", alerts: []string{"CachedOriginFails", "CachedReadsFailFast", "CachedReadsFailSlowly"},
		blocks:   []string{"originfails.md#look", "originfails.md#ask", "readsfail.md#look"},
		remedies: []string{"originfails.md: The store is down"}, happen: storeIsDown,
	},
	{
		name: "too many reads at once", alerts: []string{"CachedIsOverloaded"},
		blocks:   []string{"overloaded.md#look"},
		remedies: []string{"overloaded.md: Memory allows it"}, happen: tooManyReads,
	},
	{
		name: "the object store is slow", alerts: []string{"CachedReadsAreSlow", "CachedReadsAreSlowForLong"},
		blocks:   []string{"readsareslow.md#look", "readsareslow.md#l4"},
		remedies: []string{"readsareslow.md: A slow store"}, happen: storeIsSlow,
	},
	{
		name: "more is read than the zone has room for", alerts: []string{"CachedHitRateIsLow", "CachedHitRateIsLowForLong"}, site: siteOptions{l1: "16MiB", l2: "64MiB"},
		blocks:   []string{"hitrateislow.md#look", "hitrateislow.md#room"},
		remedies: []string{"hitrateislow.md: More L2"}, happen: zoneIsTooSmall,
	},
	{
		name: "a disk turns over", alerts: []string{"CachedDiskIsFull"}, site: siteOptions{l1: "16MiB", l2: "64MiB"},
		blocks:   []string{"diskisfull.md#look"},
		remedies: []string{"diskisfull.md: Raise `--l2-size`"}, happen: diskTurnsOver,
	},
	{
		name: "a host has another gossip key", alerts: []string{"CachedRingIsSplit", "CachedNodeIsAlone"},
		blocks:   []string{"ringissplit.md#look", "ringissplit.md#key"},
		remedies: []string{"ringissplit.md: Another key"}, happen: hostHasAnotherKey,
	},
	{
		name: "a program reads something else each time", alerts: []string{"CachedReadsAheadInVain"},
		blocks:   []string{"readsaheadinvain.md#look", "readsaheadinvain.md#forget"},
		remedies: []string{"readsaheadinvain.md: Forget what was learned", "readsaheadinvain.md: Give each program"}, happen: programChangesItsMind,
	},
	{
		name: "a disk gives wrong bytes", alerts: []string{"CachedIntegrityFailure"}, site: siteOptions{l1: "16MiB"},
		blocks:   []string{"integrityfailure.md#look", "integrityfailure.md#l2"},
		remedies: []string{"integrityfailure.md: l2"}, happen: diskLies,
	},
	{
		name: "a node gives wrong bytes", alerts: []string{"CachedIntegrityFailure"},
		blocks:   []string{"integrityfailure.md#look", "integrityfailure.md#l3"},
		remedies: []string{"integrityfailure.md: l3"}, happen: nodeLies,
	},
	{
		name: "the object store gives wrong bytes", alerts: []string{"CachedIntegrityFailure"},
		blocks:   []string{"integrityfailure.md#look", "integrityfailure.md#l4", "integrityfailure.md#republish"},
		remedies: []string{"integrityfailure.md: l4"}, happen: storeLies,
	},
}

func certificateExpires(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.settle()
	must(d.T, "cached", "certs", "issue", "--ca", "/srv/ca", "--node", "h1", "--valid", "5h", "--out", "/etc/cached/zone-tls")
	d.fires("CachedCertificateExpires")
	d.follow("certificateexpires.md#look", map[string]string{"NODE": "h1"})
	d.do("certificateexpires.md: Issue another one")
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
	d.do("nodeisdown.md: Restart it")
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
	d.do("diskrefuseswrites.md: Full by others")
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
	d.says("200", "curl", "-so", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:7070/blocks/"+d.blocks("app:v1")[0]) // warm
	d.do("originfails.md: The store is down")
	d.restart("--origin", d.store.url, "--origin", d.store.another(d.T))
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
	d.do("overloaded.md: Memory allows it")
	d.hosts["h1"].process.Stop()
	d.hosts["h1"].flags = nil // the default is 1024
	d.start("h1")
	d.clears("CachedIsOverloaded")
	c.end()
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
	d.do("readsareslow.md: A slow store")
	d.restart("--origin", d.store.another(d.T), "--origin", d.store.url)
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
	d.do("hitrateislow.md: More L2")
	d.restart("--l2-size", "512MiB")
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
	d.do("diskisfull.md: Raise `--l2-size`")
	d.restart("--l2-size", "2GiB")
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
	d.do("ringissplit.md: Another key")
	put(d.T, "/srv/h3/gossip.keys", old, 0o600)
	d.clears("CachedRingIsSplit")
	d.clears("CachedNodeIsAlone")
}

func programChangesItsMind(d *rehearsal) {
	d.start("h1", "h2", "h3")
	d.publish("job:v1", 256<<20)
	d.settle()
	programs := d.fickle("job:v1")
	d.fires("CachedReadsAheadInVain")
	d.follow("readsaheadinvain.md#look", nil)
	d.do("readsaheadinvain.md: Give each program")
	programs.named.Store(true)
	d.do("readsaheadinvain.md: Forget what was learned")
	d.follow("readsaheadinvain.md#forget", map[string]string{"NAME": "job:v1", "WORKLOAD": "serve-0", "URL": "'" + d.store.url + "'"})
	d.clears("CachedReadsAheadInVain")
	programs.stop()
}

func diskLies(d *rehearsal) {
	const dir = "/var/lib/cached/l2"
	newDisk := func() {
		givenDir(d.T, dir)
		must(d.T, "mount", "-t", "tmpfs", "-o", "size=256m", "disk", dir)
	}
	newDisk()
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 48<<20)
	d.settle()
	c := d.read("h1", 4, inTurn("app:v1", ids))
	d.prometheus.Await(d.T, `cached_tier_written_bytes_total{node="h1", tier="l2"} > 4e6`)
	rot := d.rot(filepath.Join(dir, "segments"))
	if a := d.fires("CachedIntegrityFailure"); a.Labels["source"] != "l2" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("integrityfailure.md#look", nil)
	d.follow("integrityfailure.md#l2", nil)
	d.do("integrityfailure.md: l2")
	d.hosts["h1"].process.Stop()
	if rot() == 0 {
		d.Error("the disk has damaged nothing")
	}
	must(d.T, "umount", dir)
	newDisk()
	d.start("h1")
	d.clears("CachedIntegrityFailure")
	c.end()
}

func nodeLies(d *rehearsal) {
	d.start("h1", "h2", "h3")
	ids := d.publish("app:v1", 64<<20)
	d.settle()
	liar := d.liar()
	c := d.read("h1", 4, inTurn("app:v1", ids))
	if a := d.fires("CachedIntegrityFailure"); a.Labels["source"] != "l3" {
		d.Errorf("labels %v", a.Labels)
	}
	d.follow("integrityfailure.md#look", nil)
	d.follow("integrityfailure.md#l3", nil)
	d.do("integrityfailure.md: l3")
	liar.Signal(syscall.SIGTERM)
	d.clears("CachedIntegrityFailure")
	c.end()
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
	d.do("integrityfailure.md: l4")
	d.follow("integrityfailure.md#republish", map[string]string{"SOURCE": "file:/srv/bytes", "NAME": "app:v1", "URL": fmt.Sprintf("'%s'", d.store.url)})
	d.clears("CachedIntegrityFailure")
	c.end()
}
