package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/tracing"
)

// A Config is everything `cached serve` can be told. The YAML file, the
// environment and the flags all set the same fields, in rising order of
// precedence; bindFlags names them.
type Config struct {
	Listen             string       `yaml:"listen"`
	Socket             SocketConfig `yaml:"socket"`
	Admin              string       `yaml:"admin"`
	DataDir            string       `yaml:"data-dir"`
	Origins            []string     `yaml:"origins"`
	L1                 L1Config     `yaml:"l1"`
	L2                 L2Config     `yaml:"l2"`
	Zone               ZoneConfig   `yaml:"zone"`
	TLS                TLSConfig    `yaml:"tls"`
	Auth               AuthConfig   `yaml:"auth"`
	Insecure           bool         `yaml:"insecure"`             // plain text beyond loopback
	InsecureAdmin      bool         `yaml:"insecure-admin"`       // --admin may be reached from beyond this host
	InsecureAdminPages bool         `yaml:"insecure-admin-pages"` // and shows all that it has there, too
	Prefetch           bool         `yaml:"prefetch"`             // learn what starts read, and read ahead of them
	Limits             Limits       `yaml:"limits"`
	Metrics            Metrics      `yaml:"metrics"`
	Tracing            Tracing      `yaml:"tracing"`
	Log                Log          `yaml:"log"`
	Shutdown           Shutdown     `yaml:"shutdown"`
}

// L1Config is the memory tier's stanza.
type L1Config struct {
	Size Size `yaml:"size"` // 0 turns the tier off
}

// L2Config is the disk tier's stanza.
type L2Config struct {
	Size              Size   `yaml:"size"` // 0 turns the tier off
	Dir               string `yaml:"dir"`  // default: <data-dir>/l2
	MinFree           Size   `yaml:"min-free"`
	WriteBudgetPerDay Size   `yaml:"write-budget-per-day"` // 0: none
}

// Limits bound the work in progress.
type Limits struct {
	OriginReads int `yaml:"origin-reads"`
	InFlight    int `yaml:"in-flight"`
}

// Metrics says what /metrics shows.
type Metrics struct {
	Tenants []string `yaml:"tenants"` // who is counted apart
}

// maxTenantSeries bounds Metrics.Tenants: each is ten series of every node.
const maxTenantSeries = 64

func (m Metrics) validate(bad func(format string, args ...any)) {
	if len(m.Tenants) > maxTenantSeries {
		bad("metrics.tenants: %d tenants, at most %d are counted apart: each is ten series of every node", len(m.Tenants), maxTenantSeries)
	}
	for i, name := range m.Tenants {
		switch {
		case name == "" || name == account.OtherTenants:
			bad("metrics.tenants: %q is no tenant: %q is what all that are not listed are called", name, account.OtherTenants)
		case slices.Contains(m.Tenants[:i], name):
			bad("metrics.tenants: %q is listed twice", name)
		}
	}
}

// Tracing says which reads are traced, and to where.
type Tracing struct {
	Endpoint string  `yaml:"endpoint"` // "": off
	Sample   float64 `yaml:"sample"`
}

func (t Tracing) validate(bad func(format string, args ...any)) {
	if t.Endpoint != "" {
		if err := tracing.CheckEndpoint(t.Endpoint); err != nil {
			bad("tracing.endpoint: %v", err)
		}
	}
	if !(t.Sample >= 0 && t.Sample <= 1) { // not NaN either
		bad("tracing.sample: %g, want a share from 0 to 1", t.Sample)
	}
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Shutdown says how the daemon stops.
type Shutdown struct {
	DrainTimeout time.Duration `yaml:"drain-timeout"`
}

// Default returns the configuration of a daemon that was told nothing: loopback
// only, small tiers, and an origin in a folder of its own.
func Default() Config {
	return Config{
		Listen:   "127.0.0.1:7070",
		Socket:   SocketConfig{Mode: "0660"},
		Admin:    "127.0.0.1:7071",
		DataDir:  defaultDataDir(),
		L1:       L1Config{Size: 256 << 20},
		L2:       L2Config{Size: 4 << 30, MinFree: 1 << 30},
		Zone:     defaultZone(),
		Prefetch: true,
		Limits:   Limits{OriginReads: 64, InFlight: 1024},
		Tracing:  Tracing{Sample: 0.01},
		Log:      Log{Level: "info", Format: "text"},
		Shutdown: Shutdown{DrainTimeout: 30 * time.Second},
	}
}

// What the default data directory is of root, and below the home of others.
const (
	rootDataDir = "/var/lib/cached"
	userDataDir = ".local/share/cached"
)

// defaultDataDir is that of this user.
func defaultDataDir() string {
	home, err := os.UserHomeDir()
	if err != nil || os.Geteuid() == 0 {
		home = ""
	}
	return dataDirOf(os.Getenv("XDG_DATA_HOME"), home)
}

// dataDirOf is the default of who has these directories, "" where there is none.
func dataDirOf(xdgDataHome, home string) string {
	switch {
	case xdgDataHome != "":
		return filepath.Join(xdgDataHome, "cached")
	case home != "":
		return filepath.Join(home, userDataDir)
	}
	return rootDataDir
}

// validate reports every mistake at once, each with the key it is of. It looks at no
// file: see checkHost.
func (c *Config) validate() (wrong misconfiguration) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	c.validateAddresses(bad)
	if !filepath.IsAbs(c.DataDir) {
		bad("data-dir: %q must be an absolute path", c.DataDir)
	}
	if c.L2.Dir != "" && !filepath.IsAbs(c.L2.Dir) {
		bad("l2.dir: %q must be an absolute path", c.L2.Dir)
	}
	if c.L1.Size > 0 && c.L1.Size < 16<<20 {
		bad("l1.size: %s is too small: want at least 16MiB, or 0 to turn L1 off", c.L1.Size)
	}
	if ram := memoryOfMachine(); int64(c.L1.Size) > ram {
		bad("l1.size: %s is more than the %s of memory that this machine has", c.L1.Size, humanize.IBytes(uint64(ram)))
	}
	if c.L2.Size > 0 && c.L2.Size < 64<<20 {
		bad("l2.size: %s is too small: want at least 64MiB, or 0 to turn L2 off", c.L2.Size)
	}
	if c.Limits.OriginReads < 1 {
		bad("limits.origin-reads: %d, want at least 1", c.Limits.OriginReads)
	}
	if c.Limits.InFlight < 1 {
		bad("limits.in-flight: %d, want at least 1", c.Limits.InFlight)
	}
	c.Socket.validate(bad)
	c.Zone.validate(bad)
	c.Metrics.validate(bad)
	c.Tracing.validate(bad)
	c.validateAgents(bad)
	for _, w := range c.wordings() {
		w.validate(bad)
	}
	if c.Shutdown.DrainTimeout < 0 {
		bad("shutdown.drain-timeout: %s is negative", c.Shutdown.DrainTimeout)
	}
	return wrong
}

// complete fills in what depends on other fields.
func (c *Config) complete() {
	if len(c.Origins) == 0 {
		c.Origins = []string{fileURL(filepath.Join(c.DataDir, "origin"))}
	}
	if c.L2.Dir == "" {
		c.L2.Dir = filepath.Join(c.DataDir, "l2")
	}
}

// ownOrigin returns the folder of the embedded default origin, or "" when the
// origins were configured.
func (c *Config) ownOrigin() string {
	dir := filepath.Join(c.DataDir, "origin")
	if len(c.Origins) == 1 && c.Origins[0] == fileURL(dir) {
		return dir
	}
	return ""
}

// fileURL returns the URL of an absolute path, whatever characters are in it.
func fileURL(dir string) string { return (&url.URL{Scheme: "file", Path: dir}).String() }

// newLogger logs to w as configured.
func (l Log) newLogger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // validate has reported it
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// A Size is a number of bytes, written like 256MiB, 4GiB or 1500000.
type Size int64

// String writes the size so that Set reads the same number back.
func (s Size) String() string {
	for _, u := range []struct {
		n    int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if int64(s) != 0 && int64(s)%u.n == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.n, u.name)
		}
	}
	return fmt.Sprint(int64(s))
}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-") {
		return fmt.Errorf("size %q is negative", text)
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("size %q: want a number of bytes such as 256MiB, 4GiB or 1500000", text)
	}
	*s = Size(n)
	return nil
}

// Type implements pflag.Value.
func (*Size) Type() string { return "size" }

// UnmarshalYAML implements [yaml.Unmarshaler]: the library tells no line of what a text is not.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	if err := s.Set(node.Value); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", node.Line, err)}} // so that the rest is read
	}
	return nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(p []byte) error { return s.Set(string(p)) }

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil } //nolint:unparam // the interface has the error
