package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/identity"
)

// A target is the daemon a command talks to, and as whom.
type target struct {
	url       string
	ca        string // file
	certDir   string
	tokenFile string
	insecure  bool
}

// addServerFlag gives cmd the address of the daemon to talk to, and how to prove
// who is talking. Each has an environment variable.
func addServerFlag(cmd *cobra.Command) *target {
	t := &target{url: os.Getenv(envPrefix + "SERVER")}
	if t.url == "" {
		t.url = api.DefaultURL
	}
	fs := cmd.Flags()
	fs.StringVar(&t.url, "server", t.url, "`URL` of the daemon, http://HOST:PORT, https://HOST:PORT or unix:///FILE (env CACHED_SERVER)")
	fs.StringVar(&t.ca, "ca", os.Getenv(envPrefix+"CA"), "`FILE` with the CA of the daemon's certificate (env CACHED_CA)")
	fs.StringVar(&t.certDir, "cert-dir", os.Getenv(envPrefix+"CERT_DIR"), "`DIR` with this agent's certificate and the CA of the daemon's (env CACHED_CERT_DIR)")
	fs.StringVar(&t.tokenFile, "token-file", os.Getenv(envPrefix+"TOKEN_FILE"), "`FILE` with a bearer token (env CACHED_TOKEN_FILE)")
	fs.BoolVar(&t.insecure, "insecure-token", false, "send the token to another host in plain text")
	return t
}

// newClient returns a client of the daemon.
func (t target) newClient() (*api.Client, error) {
	o, err := t.clientOptions()
	if err != nil {
		return nil, err
	}
	return api.NewClient(t.url, o)
}

// clientOptions returns as whom the daemon is spoken to, and how safely.
func (t target) clientOptions() (o api.ClientOptions, err error) {
	if err := t.secure(&o); err != nil {
		return o, err
	}
	if t.insecure {
		o.Exposed = api.TokenExposed
	}
	if t.tokenFile != "" {
		p, err := os.ReadFile(t.tokenFile)
		if err != nil {
			return o, fmt.Errorf("--token-file: %w", err)
		}
		if o.Token = strings.TrimSpace(string(p)); o.Token == "" {
			return o, fmt.Errorf("--token-file: %s is empty", t.tokenFile)
		}
	}
	return o, nil
}

// secure sets what https needs.
func (t target) secure(o *api.ClientOptions) error {
	u, err := url.Parse(t.url)
	if err != nil || u.Scheme != "https" { // NewClient says what is wrong with a URL
		return nil //nolint:nilerr // see above
	}
	if t.certDir != "" {
		src, err := identity.Load(t.certDir, identity.Options{})
		if err != nil {
			return fmt.Errorf("--cert-dir: %w", err)
		}
		if err := src.Check(); err != nil {
			return fmt.Errorf("--cert-dir: %w", err)
		}
		o.TLS = src.AgentClient(u.Hostname())
	} else if t.ca != "" {
		if o.TLS, err = identity.HostClient(t.ca, u.Hostname()); err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
	}
	return nil
}

// withClient makes use a client of the daemon while it runs.
func withClient(t target, use func(*api.Client) error) error {
	client, err := t.newClient()
	if err != nil {
		return err
	}
	defer client.Close()
	return use(client)
}

// envDuration returns one of our environment variables, or what is usual where it is
// not set.
func envDuration(name string, usual time.Duration) (time.Duration, error) {
	name = envPrefix + name
	text := os.Getenv(name)
	if text == "" {
		return usual, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return usual, fmt.Errorf("environment %s: %q, want a duration such as 90s or 5m, not negative, or 0", name, text)
	}
	return d, nil
}

// envWords returns the words of one of our environment variables.
func envWords(name string) []string { return strings.Fields(os.Getenv(envPrefix + name)) }
