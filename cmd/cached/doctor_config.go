package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/identity"
)

// config is what the others look at; one that cannot be read ends the examination.
func (d *doctor) config(err error) bool {
	const do = "`cached serve --help` and docs/config.md list all settings"
	if wrong, ok := errors.AsType[misconfiguration](err); ok {
		for _, text := range wrong {
			d.note("config", broken, do, "%s", text)
		}
		return false
	}
	if err != nil {
		d.note("config", broken, do, "%v", err)
		return false
	}
	d.note("config", sound, "", "can be read (`cached config print` shows it)")
	return true
}

// agents looks at what agents prove themselves by.
func (d *doctor) agents(context.Context) {
	if d.cfg.TLS.Dir != "" {
		d.certificate("agents", d.cfg.TLS.Dir, identity.Options{})
	}
	if err := d.cfg.Socket.check(); err != nil {
		d.note("socket", broken, "make the group (groupadd --system), or name another by --socket-group", "%v", err)
	}
	if d.cfg.Auth.Tenants == "" {
		return
	}
	if _, err := openTenants(d.cfg.Auth.Tenants, slog.New(slog.DiscardHandler)); err != nil {
		d.note("tenants", broken, "see docs/security.md", "%v", err)
		return
	}
	d.note("tenants", sound, "", "%s can be read", d.cfg.Auth.Tenants)
}

// certificate looks at one that this host shows.
func (d *doctor) certificate(use, dir string, o identity.Options) {
	s, err := identity.Load(dir, o)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		d.note("certificate", broken, "`cached certs issue` into the same directory renews it", "%s: %v", use, err)
		return
	}
	v := sound
	if _, late := s.Left(); late {
		v = doubted
	}
	d.note("certificate", v, "`cached certs issue` into the same directory renews it", "%s: ends %s", use, humanize.Time(s.NotAfter()))
}

func fileThere(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
