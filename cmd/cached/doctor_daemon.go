package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
)

// slowDaemon is how long the daemon may take to answer.
const slowDaemon = 3 * time.Second

// daemon asks the one that may run here what it complains of.
func (d *doctor) daemon(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, slowDaemon)
	defer cancel()
	network, address := "tcp", reachable(d.cfg.Listen)
	if d.cfg.Listen == "" {
		network, address = "unix", d.cfg.Socket.Path
	}
	c, err := new(net.Dialer).DialContext(asking, network, address)
	if network == "unix" {
		address = d.cfg.agentsURL()
	}
	if err != nil {
		d.note("daemon", sound, "", "none runs at %s", address)
		d.ports()
		return
	}
	c.Close()
	client, err := d.target().newClient()
	if err != nil {
		d.note("daemon", doubted, "check --tls", "cannot be asked: %v", err)
		return
	}
	defer client.Close()
	st, err := client.Status(asking)
	switch {
	case errors.Is(err, api.ErrDenied), errors.Is(err, block.ErrUnauthenticated):
		d.note("daemon", sound, "", "runs at %s, and answers operators only", address)
	case err != nil:
		d.note("daemon", broken, "end what listens there (`ss -ltnp`), or choose another --listen", "something at %s does not answer as a daemon does: %v", address, err)
	case len(st.GetNotReady()) > 0:
		d.note("daemon", doubted, "see what failed above", "runs at %s and is not ready: %s", address, strings.Join(st.GetNotReady(), "; "))
	case len(st.GetWarnings()) > 0:
		d.note("daemon", doubted, "see docs/runbooks", "runs at %s, version %s, and warns: %s", address, st.GetVersion(), strings.Join(st.GetWarnings(), "; "))
	default:
		d.note("daemon", sound, "", "runs at %s, version %s", address, st.GetVersion())
	}
	d.peers(ctx, st.GetZone())
}

// target is the daemon of this configuration, as this host reaches it.
func (d *doctor) target() target {
	if d.cfg.Listen == "" {
		return target{url: d.cfg.agentsURL()}
	}
	if d.cfg.TLS.Dir == "" {
		return target{url: "http://" + reachable(d.cfg.Listen)}
	}
	t := target{url: "https://" + reachable(d.cfg.Listen)}
	for _, ca := range []string{"ca.crt", "svid_bundle.pem"} { // see package identity
		if file := filepath.Join(d.cfg.TLS.Dir, ca); fileThere(file) {
			t.ca = file
		}
	}
	return t
}

// reachable is where this host reaches what listens at an address.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost" // which is in each node's certificate
	}
	return net.JoinHostPort(host, port)
}

// ports looks whether a daemon that starts gets its addresses.
func (d *doctor) ports() {
	addrs := d.cfg.listening()
	free := 0
	for _, a := range addrs {
		flag := "--" + strings.TrimPrefix(a.key, "zone.")
		l, err := net.Listen("tcp", a.value)
		if err == nil && a.key == "zone.gossip" {
			err = errors.Join(udpFree(a.value), l.Close())
		}
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			d.note("ports", broken, "end what listens there (`ss -ltunp`), or choose another "+flag, "%s is in use: %v", a.value, err)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			d.note("ports", broken, "give "+flag+" an address of this host (`ip addr`)", "%s is not this host's", a.value)
		case err != nil:
			d.note("ports", broken, "choose another "+flag, "%v", err)
		default:
			_ = l.Close() // that of gossip is already
			free++
		}
	}
	if free == len(addrs) {
		d.note("ports", sound, "", "all %d are free", free)
	}
}

// udpFree wants that nobody has the address by UDP.
func udpFree(addr string) error {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}
