package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/gossip"
)

// zonePage is all that a daemon shows of its peers, its ring and its certificates.
func zonePage(t *testing.T, d *demoDaemon) map[string]float64 {
	t.Helper()
	page := samples(t, d)
	maps.DeleteFunc(page, func(name string, _ float64) bool {
		return !strings.HasPrefix(name, "peer_") && !strings.HasPrefix(name, "ring_") && !strings.HasPrefix(name, "certificate_")
	})
	return page
}

// awaitZonePage fails the test unless the page comes to show what is wanted, and zero
// where nothing is.
func awaitZonePage(t *testing.T, d *demoDaemon, want map[string]float64) {
	t.Helper()
	var page map[string]float64
	wrong := func() (all []string) {
		page = zonePage(t, d)
		for name := range want {
			if _, there := page[name]; !there {
				all = append(all, name+" is missing")
			}
		}
		const sending = "peer_sending_seconds_total{}" // how long is the machine's affair
		if took, sent := page[sending], page["peer_blocks_total{direction=sent}"]; (took > 0) != (sent > 0) || took > 60*sent {
			all = append(all, fmt.Sprintf("%s: %g for %g blocks", sending, took, sent))
		}
		delete(page, sending)
		for _, name := range slices.Sorted(maps.Keys(page)) {
			if math.Abs(page[name]-want[name]) > 1e-9*math.Max(1, want[name]) {
				all = append(all, fmt.Sprintf("%s: %g, want %g", name, page[name], want[name]))
			}
		}
		return all
	}
	// What a server counts after its answer may come after the client has it.
	for late := time.After(20 * time.Second); len(wrong()) > 0; {
		select {
		case <-late:
			t.Fatal(strings.Join(wrong(), "\n"))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// provenZone is what two nodes that prove who they are share, and their CA.
func provenZone(t *testing.T, zone string) (ca *identity.CA, keys string) {
	t.Helper()
	ca, err := identity.NewCA(identity.CAOptions{Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	keys = filepath.Join(t.TempDir(), "gossip.keys")
	if err := os.WriteFile(keys, []byte(gossip.NewKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca, keys
}

// issueNode writes the certificate of a node and returns its directory and its end.
func issueNode(t *testing.T, ca *identity.CA, node string, lifetime time.Duration) (dir string, ends time.Time) {
	t.Helper()
	b, err := ca.Issue(identity.Request{Node: node, Lifetime: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), node)
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, b.NotAfter
}

// begins is the Unix time at which a certificate begins: a day before it is made.
func begins(ends time.Time, lifetime time.Duration) float64 {
	return float64(ends.Add(-lifetime - 24*time.Hour).Unix())
}

// Two daemons read from each other, and every number of the page about peers, the ring
// and certificates after it: what is not in want is zero.
func TestEveryNumberOfTheZonesPage(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	ids := fillFolder(t, origin, 24)
	ca, keys := provenZone(t, "joined")
	start := func(node string, lifetime time.Duration, more ...string) (d *demoDaemon, peers, gossip string, ends time.Time) {
		dir, ends := issueNode(t, ca, node, lifetime)
		args, gossip := joiner(t, node, origin, append([]string{"--prefetch=false", "--peer-budget", "1m", "--peer-silence", "20s", "--zone-insecure=false", "--zone-tls", dir, "--gossip-keys", keys}, more...)...)
		return startTestDaemon(t, args...), args[slices.Index(args, "--peer-listen")+1], gossip, ends
	}
	a, address, seed, endOfA := start("a", 100*time.Hour, "--weight", "300")
	b, _, _, endOfB := start("b", 200*time.Hour, "--weight", "100", "--seed", seed)

	ring := placement.NewRing([]placement.Member{{Name: "a", Weight: 300}, {Name: "b", Weight: 100}})
	owned, bytes := map[string][]block.ID{}, map[string]float64{}
	for _, id := range ids {
		owner, _ := ring.Owner(id)
		owned[owner.Name] = append(owned[owner.Name], id)
		file, err := os.Stat(filepath.Join(origin, "blocks", id.Hex()[:2], id.Hex()))
		if err != nil {
			t.Fatal(err)
		}
		bytes[owner.Name] += float64(file.Size())
	}
	ofA, ofB := float64(len(owned["a"])), float64(len(owned["b"]))
	if math.Abs(ring.Share("a")-0.75) > 0.01 {
		t.Errorf("a owns %g of all blocks, want three quarters", ring.Share("a"))
	}
	if ofA == 0 || ofB == 0 {
		t.Fatalf("%g and %g blocks: each is to own some", ofA, ofB)
	}
	wantA := map[string]float64{
		"ring_members{}": 2, "ring_owned_share{}": ring.Share("a"), "ring_epoch{}": float64(ring.Epoch() >> 12), "peer_breakers{state=closed}": 1,
		"certificate_expiry_timestamp_seconds{use=zone}": float64(endOfA.Unix()), "certificate_start_timestamp_seconds{use=zone}": begins(endOfA, 100*time.Hour),
	}
	wantB := maps.Clone(wantA)
	wantB["ring_owned_share{}"], wantB["certificate_expiry_timestamp_seconds{use=zone}"] = 1-ring.Share("a"), float64(endOfB.Unix())
	wantB["certificate_start_timestamp_seconds{use=zone}"] = begins(endOfB, 200*time.Hour)
	awaitZonePage(t, a, wantA)
	awaitZonePage(t, b, wantB)

	// Who owns a block asks the next holder, in vain, before it reads the origin.
	for _, id := range ids {
		readAndRelease(t, a.client, id)
	}
	wantA["peer_requests_total{direction=sent,result=served}"], wantA["peer_requests_total{direction=sent,result=gone}"] = ofB, ofA
	wantA["peer_requests_total{direction=received,result=gone}"] = ofB
	wantA["peer_gone_total{direction=taken}"], wantA["peer_gone_total{direction=given}"] = ofA, ofB
	wantA["peer_blocks_total{direction=received}"], wantA["peer_bytes_total{direction=received,result=whole}"] = ofB, bytes["b"]
	wantB["peer_requests_total{direction=received,result=served}"], wantB["peer_requests_total{direction=received,result=gone}"] = ofB, ofA
	wantB["peer_requests_total{direction=sent,result=gone}"] = ofB
	wantB["peer_gone_total{direction=taken}"], wantB["peer_gone_total{direction=given}"] = ofB, ofA
	wantB["peer_blocks_total{direction=sent}"], wantB["peer_bytes_total{direction=sent,result=whole}"] = ofB, bytes["b"]
	awaitZonePage(t, a, wantA)
	awaitZonePage(t, b, wantB)

	// What b has read for a it has.
	for _, id := range ids {
		readAndRelease(t, b.client, id)
	}
	wantA["peer_requests_total{direction=received,result=served}"] = ofA
	wantA["peer_blocks_total{direction=sent}"], wantA["peer_bytes_total{direction=sent,result=whole}"] = ofA, bytes["a"]
	wantB["peer_requests_total{direction=sent,result=served}"] = ofA
	wantB["peer_blocks_total{direction=received}"], wantB["peer_bytes_total{direction=received,result=whole}"] = ofA, bytes["a"]
	awaitZonePage(t, a, wantA)
	awaitZonePage(t, b, wantB)

	// What is nowhere a refuses, after it has asked b for it.
	if _, err := b.client.ReadBlock(t.Context(), ownedBy(ring, "a")); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("a block that does not exist: %v", err)
	}
	wantB["peer_requests_total{direction=sent,result=refused}"], wantA["peer_requests_total{direction=received,result=refused}"] = 1, 1
	wantA["peer_requests_total{direction=sent,result=gone}"]++
	wantA["peer_gone_total{direction=taken}"]++
	wantB["peer_requests_total{direction=received,result=gone}"]++
	wantB["peer_gone_total{direction=given}"]++
	awaitZonePage(t, a, wantA)
	awaitZonePage(t, b, wantB)

	// Strangers, and a node that thinks it is in another zone.
	stranger, _ := provenZone(t, "joined")
	dirs := map[string]string{}
	dirs["stranger"], _ = issueNode(t, stranger, "b", time.Hour)
	dirs["b"], _ = issueNode(t, ca, "b", time.Hour)
	for _, who := range []struct{ certificate, zone string }{{"stranger", "joined"}, {"b", "other"}, {"", "joined"}} {
		options := api.PeerClientOptions{Node: "b", Zone: who.zone}
		if who.certificate != "" {
			src, err := identity.Load(dirs[who.certificate], identity.Options{})
			if err != nil {
				t.Fatal(err)
			}
			// The stranger does not look whom it speaks with.
			options.TLS = func(placement.Member) *tls.Config {
				c := src.PeerClient("joined", "a")
				c.VerifyConnection = nil
				return c
			}
		}
		peers := api.NewPeers(options)
		arrival := block.NewArrival(owned["a"][0], block.DefaultPool)
		if reply, err := peers.Fetch(t.Context(), placement.Member{Name: "a", Address: address}, owned["a"][0], placement.Ask{}, arrival); err == nil {
			t.Errorf("%+v got %v", who, reply)
		}
		arrival.Leave()
		if err := peers.Close(); err != nil {
			t.Error(err)
		}
	}
	wantA["peer_refused_total{reason=handshake}"], wantA["peer_refused_total{reason=zone}"] = 2, 1
	wantA["peer_certificates_refused_total{}"] = 1
	awaitZonePage(t, a, wantA)
	awaitZonePage(t, b, wantB)
}

// ownedBy is the id of a block that a node owns.
func ownedBy(ring *placement.Ring, node string) block.ID {
	for seed := uint64(1000); ; seed++ {
		id := block.Sum(blocktest.Bytes(seed, 100))
		if owner, _ := ring.Owner(id); owner.Name == node {
			return id
		}
	}
}

// A store that never comes to an answer, and as many reads as a daemon takes: each one
// more is refused and counted, at the port of agents and at that of peers.
func TestEveryRefusalOfAnOverloadIsCounted(t *testing.T) {
	const atPeerPort = 1024 // asks at once, and connections from one address
	release := make(chan struct{})
	cfg := aStore(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blocks/") {
			<-release
		}
		answerError(w, http.StatusNotFound, "NoSuchKey")
	})
	args, _ := joiner(t, "a", "", "--prefetch=false", "--in-flight", "2", "--zone-insecure")
	args[slices.Index(args, "--origin")+1] = cfg.Origins[0]
	d := startTestDaemon(t, args...)
	id := block.Sum([]byte("it never comes"))
	raw := "/cached.v1.BlockService/ReadBlock?encoding=raw&id=" + id.String()

	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer close(release)
	for range 2 {
		waiting.Go(func() {
			if _, err := d.client.ReadBlock(context.Background(), id); !errors.Is(err, block.ErrNotFound) {
				t.Errorf("a read that waited: %v", err)
			}
		})
	}
	eventually(t, "two reads are in progress", func() bool { return samples(t, d)["requests_in_flight{}"] == 2 })
	refused := func(client *http.Client, url string) {
		t.Helper()
		resp, err := client.Get(url + raw)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("one read too many: %s", resp.Status)
		}
	}
	for range 3 {
		refused(http.DefaultClient, d.client.URL())
	}
	if n := samples(t, d)["overload_refusals_total{}"]; n != 3 {
		t.Errorf("%g refusals were counted, want 3", n)
	}

	peers := api.NewPeers(api.PeerClientOptions{Node: "b", Zone: "joined", Silence: time.Minute, DialTimeout: time.Minute})
	t.Cleanup(func() { peers.Close() })
	address := args[slices.Index(args, "--peer-listen")+1]
	arrivals := make([]*block.Arrival, atPeerPort)
	for i := range arrivals {
		arrivals[i] = block.NewArrival(id, block.DefaultPool)
		waiting.Go(func() {
			defer arrivals[i].Leave()
			if _, err := peers.Fetch(context.Background(), placement.Member{Name: "a", Address: address}, id, placement.Ask{}, arrivals[i]); !errors.Is(err, block.ErrNotFound) {
				t.Errorf("an ask that waited: %v", err)
			}
		})
	}
	eventually(t, "all are told to wait", func() bool {
		return !slices.ContainsFunc(arrivals, func(a *block.Arrival) bool { _, waits := a.Heard(); return waits == 0 })
	})
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}
	defer transport.CloseIdleConnections()
	refused(&http.Client{Transport: transport}, "http://"+address)
	more, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	if n, err := io.Copy(io.Discard, more); n > 0 {
		t.Errorf("a connection too many got %d bytes, %v", n, err)
	}
	page := zonePage(t, d)
	for reason, want := range map[string]float64{"overload": 1, "connection": 1, "handshake": 0, "identity": 0, "zone": 0} {
		if got := page["peer_refused_total{reason="+reason+"}"]; got != want {
			t.Errorf("%s: %g refusals were counted, want %g", reason, got, want)
		}
	}
}
