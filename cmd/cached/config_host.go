package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement/gossip"
)

// checkHost says what the configuration names and this host does not have. It makes
// nothing. `cached config validate` and `cached serve` begin with it.
func (c *Config) checkHost() error {
	var wrong misconfiguration
	note := func(key string, err error) {
		if err != nil {
			wrong = append(wrong, oneLine(key+err.Error()))
		}
	}
	if c.TLS.Dir != "" {
		_, err := identity.Load(c.TLS.Dir, identity.Options{})
		note("tls.dir: ", err)
	}
	if c.Auth.Tenants != "" {
		_, err := openTenants(c.Auth.Tenants, slog.New(slog.DiscardHandler))
		note("", err)
	}
	if z := c.Zone; z.Name != "" && !z.Insecure {
		_, err := identity.Load(z.TLS, identity.Options{Accept: identity.OfNode(z.Name, z.Node)})
		note("zone.tls: ", err)
		_, err = gossip.CheckKeys(z.GossipKeys)
		note("zone.gossip-keys: ", err)
	}
	note("", c.Socket.check())
	for _, d := range c.dirs() {
		note("", checkDir(d.key, d.value, c.DataDir))
	}
	return wrong.err()
}

// dirs are the directories that the daemon makes, each behind the one it may be in;
// that of its data is not among them where it is made with its parents.
func (c *Config) dirs() []setting {
	var all []setting
	if c.DataDir != Default().DataDir {
		all = append(all, setting{"data-dir", c.DataDir})
	}
	if c.L2.Size > 0 {
		all = append(all, setting{"l2.dir", c.L2.Dir})
	}
	if c.Socket.Path != "" {
		all = append(all, setting{"socket.path", filepath.Dir(c.Socket.Path)})
	}
	return all
}

// checkDir says why makeDir would not have the directory.
func checkDir(key, dir, made string) error {
	switch st, err := os.Stat(dir); {
	case err == nil && !st.IsDir():
		return fmt.Errorf("%s: %s is no directory", key, dir)
	case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == made:
		return nil
	}
	if _, err := os.Stat(filepath.Dir(dir)); errors.Is(err, fs.ErrNotExist) {
		return noParent(key, dir)
	}
	return nil
}

// warnings are what keeps no daemon from its start, and is hardly meant.
func (c *Config) warnings() []string {
	var all []string
	for _, raw := range c.Origins {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "file" || c.ownOrigin() != "" {
			continue
		}
		if _, err := os.Stat(u.Path); errors.Is(err, fs.ErrNotExist) {
			all = append(all, fmt.Sprintf("origins: there is no directory %s: until it is there (mount it, or publish into it) only what is cached is served", u.Path))
		}
	}
	return all
}

// room is what L2 may have of its file system, with what it holds already.
func (l L2Config) room() (bytes int64, fs unix.Statfs_t, err error) {
	if err := unix.Statfs(l.Dir, &fs); err != nil {
		return 0, fs, err
	}
	return int64(fs.Bavail)*fs.Bsize + usedBelow(l.Dir), fs, nil
}

// short says what L2 uses where its disk has less room than it is to have; "": enough.
func (l L2Config) short() string {
	if l.Size == 0 {
		return ""
	}
	room, _, err := l.room()
	if want := int64(l.Size) + int64(l.MinFree); err != nil || room >= want { // opening L2 says what is wrong with a disk
		return ""
	}
	uses := max(room-int64(l.MinFree), 0)
	return fmt.Sprintf("l2: %s has room for %s, %s and a reserve of %s are wanted: L2 uses %s at most; make room, or lower --l2-size or --l2-min-free",
		l.Dir, humanize.IBytes(uint64(room)), l.Size, l.MinFree, humanize.IBytes(uint64(uses)))
}
