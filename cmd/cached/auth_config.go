package main

import (
	"log/slog"
	"path/filepath"

	"github.com/spf13/pflag"
)

// TLSConfig is the stanza of the agents' port: with a certificate it speaks TLS.
type TLSConfig struct {
	Dir string `yaml:"dir"` // with this node's certificate and the CA of agents'
}

// AuthConfig is the stanza of who may read what.
type AuthConfig struct {
	Tenants string `yaml:"tenants"` // file that lists them; empty: whoever reaches the port may read every block
}

// bindAuthFlags adds the settings of the agents' port.
func bindAuthFlags(fs *pflag.FlagSet, c *Config) {
	fs.StringVar(&c.TLS.Dir, "tls", c.TLS.Dir, "`DIR` with this node's certificate and the CA of agents' certificates (see cached certs); empty: plain text")
	fs.StringVar(&c.Auth.Tenants, "tenants", c.Auth.Tenants, "YAML `FILE` with the tenants, how they prove who they are, and the images they may read; empty: everybody may read everything")
	fs.BoolVar(&c.Insecure, "insecure", c.Insecure, "let --listen speak plain text beyond this host")
	fs.BoolVar(&c.InsecureAdmin, "insecure-admin", c.InsecureAdmin, "let --admin, which is plain text, be reached from beyond this host: metrics and health for all, the rest for programs of this host")
	fs.BoolVar(&c.InsecureAdminPages, "insecure-admin-pages", c.InsecureAdminPages, "let other hosts that reach --admin see the status page, with the names of images, and /debug/pprof, too")
}

// validateAgents reports what is wrong with the agents' port and the admin port.
func (c *Config) validateAgents(bad func(format string, args ...any)) {
	for _, p := range []struct{ key, path string }{{"tls.dir", c.TLS.Dir}, {"auth.tenants", c.Auth.Tenants}} {
		if p.path != "" && !filepath.IsAbs(p.path) {
			bad("%s: %q must be an absolute path", p.key, p.path)
		}
	}
	switch plain := c.TLS.Dir == ""; {
	case plain && c.Listen != "" && beyondLoopback(c.Listen) && !c.Insecure:
		bad("listen: on %s other hosts would read in plain text: give --tls DIR (`cached certs` makes one), or --insecure on a network you trust", c.Listen)
	case !plain && c.Insecure:
		bad("insecure: contradicts tls.dir: drop one or the other")
	}
	if beyondLoopback(c.Admin) && !c.InsecureAdmin {
		bad("admin: on %s other hosts would be answered in plain text (metrics; the status page and profiles with --insecure-admin-pages): say --insecure-admin on a network you trust", c.Admin)
	}
}

// agentsURL is how a program of this host reaches the daemon.
func (c *Config) agentsURL() string {
	switch {
	case c.Listen == "":
		return "unix://" + c.Socket.Path
	case c.TLS.Dir == "":
		return "http://" + c.Listen
	}
	return "https://" + c.Listen
}

// warnOfExposure says at the start what anybody can do.
func (c *Config) warnOfExposure(log *slog.Logger) {
	switch {
	case !beyondLoopback(c.Admin):
	case !c.InsecureAdminPages:
		log.Warn("whoever reaches the admin port sees metrics (insecure-admin)", "admin", c.Admin)
	case c.Auth.Tenants == "":
		log.Warn("whoever reaches the admin port sees metrics, profiles and the names of images (insecure-admin-pages)", "admin", c.Admin)
	default:
		log.Warn("whoever reaches the admin port sees metrics, and operators' tokens can be overheard there (insecure-admin-pages)", "admin", c.Admin)
	}
	if c.Listen == "" || !beyondLoopback(c.Listen) {
		return
	}
	if c.TLS.Dir == "" {
		log.Warn("agents on other hosts read in plain text, and tokens can be overheard (insecure)", "listen", c.Listen)
	}
	if c.Auth.Tenants == "" {
		log.Warn("whoever reaches this port may read every block (auth.tenants is not set)", "listen", c.Listen)
	}
}
