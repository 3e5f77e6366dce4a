package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

func load(t *testing.T, doc string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	file := ""
	if doc != "" {
		file = filepath.Join(t.TempDir(), "cached.yaml")
		if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addSettings(fs, bindFlags)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(file, func(k string) (string, bool) { v, ok := env[k]; return v, ok }, fs)
}

func TestConfigPrecedence(t *testing.T) {
	doc := "l1: {size: 64MiB}\nl2: {size: 1GiB}\nlimits: {origin-reads: 7}\norigins: [file:///a]\n"
	c, err := load(t, doc, map[string]string{"CACHED_L2_SIZE": "2GiB", "CACHED_ORIGIN": "file:///b file:///c", "CACHED_ORIGIN_READS": "8"}, "--origin-reads=9")
	if err != nil {
		t.Fatal(err)
	}
	if c.L1.Size != 64<<20 || c.L2.Size != 2<<30 || c.Limits.OriginReads != 9 {
		t.Fatalf("got %+v", c)
	}
	if got := strings.Join(c.Origins, " "); got != "file:///b file:///c" {
		t.Fatalf("origins %q", got)
	}
	if c, err = load(t, doc, nil, "--origin=file:///x", "--origin=file:///y"); err != nil || len(c.Origins) != 2 {
		t.Fatalf("origins %q, %v", c.Origins, err)
	}
}

func TestConfigMistakesAreNamed(t *testing.T) {
	tests := []struct {
		name, doc string
		env       map[string]string
		args      []string
		want      string
	}{
		{name: "unknown key", doc: "l1: {sise: 1GiB}\n", want: "line 1: sise is not a key of l1"},
		{name: "negative size", doc: "l2: {size: -4GiB}\n", want: `size "-4GiB" is negative`},
		{name: "negative flag", args: []string{"--l1-size=-1"}, want: "is negative"},
		{name: "size of nothing", doc: "l1: {size: lots}\n", want: `line 1: l1.size: size "lots": want a number of bytes such as`},
		{name: "bad environment", env: map[string]string{"CACHED_L1_SIZE": "big"}, want: "environment CACHED_L1_SIZE"},
		{name: "admin for everybody", args: []string{"--admin=0.0.0.0:7071"}, want: "say --insecure-admin"},
		{name: "bad address", args: []string{"--listen=nowhere"}, want: "listen: \"nowhere\" is not host:port"},
		{name: "relative directory", args: []string{"--data-dir=here"}, want: "must be an absolute path"},
		{name: "bad level", args: []string{"--log-level=loud"}, want: "want debug, info, warn or error"},
		{name: "tiny tier", args: []string{"--l1-size=1KiB"}, want: "too small"},
		{name: "more than the machine has", args: []string{"--l1-size=9000TiB"}, want: "memory that this machine has"},
		{name: "not YAML", doc: "l1: [", want: "yaml"},
		{name: "no readers", args: []string{"--origin-reads=0"}, want: "want at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.doc, tt.env, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestConfigPrintsWhatItReads(t *testing.T) {
	c, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again := Config{}
	if err := again.mergeYAML(doc); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	second, err := yaml.Marshal(again)
	if err != nil || string(second) != string(doc) {
		t.Fatalf("printed\n%s\nread back as\n%s", doc, second)
	}
}

func TestSizesRoundTrip(t *testing.T) {
	for _, n := range []Size{0, 1, 1023, 1024, 1500000, 1 << 20, 3 << 30, 1 << 40} {
		var got Size
		if err := got.Set(n.String()); err != nil || got != n {
			t.Errorf("%d prints as %q and reads as %d, %v", int64(n), n, got, err)
		}
	}
}

// docs/config.md is what the code says, and has every key of the file.
func TestTheReferenceIsCurrent(t *testing.T) {
	var made strings.Builder
	if err := printReference(&made); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile("../../docs/config.md")
	if err != nil || string(was) != made.String() {
		t.Errorf("docs/config.md is stale (%v): run `cached config reference > docs/config.md`", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil || !strings.Contains(string(readme), "`"+rootDataDir+"` for root, in `~/"+userDataDir+"` for others") {
		t.Errorf("README.md does not say where data lies (%v)", err)
	}
	var keys func(path string, tree map[string]any)
	keys = func(path string, tree map[string]any) {
		for name, v := range tree {
			key := strings.TrimPrefix(path+"."+name, ".")
			if below, ok := v.(map[string]any); ok {
				keys(key, below)
			} else if !strings.Contains(made.String(), "| `"+key+"` |") {
				t.Errorf("the key %s is not in it", key)
			}
		}
	}
	keys("", treeOf(Default()))
}

func TestTheDefaultDataDirectory(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"", "", "/var/lib/cached"}, {"", "/home/u", "/home/u/.local/share/cached"}, {"/x", "/home/u", "/x/cached"}, {"/x", "", "/x/cached"},
	} {
		if got := dataDirOf(c.xdg, c.home); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
