package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/loadtest/bench"
)

// A serversValue is the value of --server where it may be given several times.
type serversValue struct {
	urls    *[]string
	changed bool
}

var _ pflag.Value = (*serversValue)(nil)

func newServersValue(urls *[]string, otherwise string) *serversValue {
	*urls = strings.Fields(otherwise)
	return &serversValue{urls: urls}
}

// Set implements [pflag.Value].
func (v *serversValue) Set(s string) error {
	if !v.changed {
		*v.urls, v.changed = nil, true
	}
	*v.urls = append(*v.urls, s)
	return nil
}

// String implements [pflag.Value].
func (v *serversValue) String() string {
	if v.urls == nil {
		return ""
	}
	return strings.Join(*v.urls, " ")
}

// Type implements [pflag.Value].
func (v *serversValue) Type() string { return "URL" }

// benchDaemons are the daemons under load.
type benchDaemons struct{ targets []bench.Target }

func (d *benchDaemons) close() {
	for _, t := range d.targets {
		t.Client.Close()
	}
}

// benchIdle is how many connections to a daemon are kept: enough that a burst does
// not measure handshakes again and again.
const benchIdle = 1024

// connect makes a client of each daemon, and finds out where its metrics are.
func (b *benchCommand) connect(ctx context.Context) (d benchDaemons, err error) {
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	encoding, err := api.ParseEncoding(b.encoding)
	if err != nil {
		return d, fmt.Errorf("--encoding: %w", err)
	}
	if n := len(b.metrics); n != 0 && n != len(b.servers) && !slices.Equal(b.metrics, []string{"none"}) {
		return d, fmt.Errorf("--metrics was given %d times, --server %d times: want one for each", n, len(b.servers))
	}
	for i, server := range b.servers {
		t := *b.target
		t.url = server
		o, err := t.clientOptions()
		if err != nil {
			return d, err
		}
		o.Verify, o.Encoding, o.Timeout, o.MaxIdle = api.VerifyAbove, encoding, b.timeout, benchIdle
		client, err := api.NewClient(server, o)
		if err != nil {
			return d, err
		}
		d.targets = append(d.targets, bench.Target{Client: client})
		one := &d.targets[i]
		switch {
		case len(b.metrics) == 0:
			if one.Metrics, err = metricsOf(ctx, client); err != nil {
				return d, err
			}
		case i < len(b.metrics) && b.metrics[i] != "none":
			one.Metrics = b.metrics[i]
		}
	}
	return d, nil
}

// statusTimeout bounds the question of what a daemon is.
const statusTimeout = 10 * time.Second

// metricsOf returns where a daemon says that its metrics are; "" where it tells only
// operators.
func metricsOf(ctx context.Context, client *api.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		if api.Answered(err) {
			return "", nil
		}
		return "", err
	}
	host, port, err := net.SplitHostPort(status.GetAdminAddress())
	if err != nil { // it serves none
		return "", nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		u, err := url.Parse(client.URL())
		if err != nil {
			return "", err
		}
		host = u.Hostname()
	}
	return "http://" + net.JoinHostPort(host, port) + "/metrics", nil
}
