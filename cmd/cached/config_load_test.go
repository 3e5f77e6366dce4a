package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// All that is wrong is told in one run, each with where it is from and what is wanted.
func TestAllMistakesAreToldAtOnce(t *testing.T) {
	doc := `shutdown: {drain-timeout: 5 minutes}
prefetch: maybe
l1: {size: lots}
zone:
  weight: heavy
origins: file:///a
log: {level: loud}
limits: 7
l2: {sise: 1}
tracing: {sample: x}
`
	env := map[string]string{"CACHED_PEER_BUDGET": "5m5", "CACHED_IN_FLIGHT": "many"}
	_, err := load(t, doc, env, "--insecure=ja", "--peer-silence=soon", "--listen=127.0.0.1:70700")
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		`cached.yaml: line 1: shutdown.drain-timeout: "5 minutes", want a duration such as 1.5s, 2m or 1h`,
		`line 2: prefetch: "maybe", want true or false`,
		`line 3: l1.size: size "lots": want a number of bytes such as`,
		`line 5: zone.weight: "heavy", want a whole number such as 64`,
		`line 6: origins: "file:///a", want a list such as [a, b]`,
		`line 8: limits: "7", want keys and their values`,
		`line 9: sise is not a key of l2`,
		`line 10: tracing.sample: "x", want a number such as 0.01`,
		`zone.peer-budget: "5m5", want a duration such as 1.5s, 2m or 1h (environment CACHED_PEER_BUDGET)`,
		`limits.in-flight: "many", want a whole number such as 64 (environment CACHED_IN_FLIGHT)`,
		`insecure: "ja", want true or false (flag --insecure)`,
		`zone.peer-silence: "soon", want a duration such as 1.5s, 2m or 1h (flag --peer-silence)`,
		`listen: "127.0.0.1:70700": port 70700, want a number from 0 to 65535 (flag --listen)`,
		`log.level: "loud", want debug, info, warn or error (line 7 of `,
	} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "config: ") && strings.Contains(l, want) }) {
			t.Errorf("no line says %s", want)
		}
	}
	if len(lines) != 14 || strings.Contains(err.Error(), "strconv") || strings.Contains(err.Error(), "unmarshal") {
		t.Errorf("%d lines, want 14:\n%v", len(lines), err)
	}
}

// Later sources win, and are named.
func TestTheSourceOfAMistakeIsNamed(t *testing.T) {
	doc := "zone:\n  name: z1\n  insecure: true\n  weight: -1\n"
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, nil, "zone.weight: -1, want 0 to 1000000 (line 4 of "},
		{map[string]string{"CACHED_WEIGHT": "-2"}, nil, "zone.weight: -2, want 0 to 1000000 (environment CACHED_WEIGHT)"},
		{map[string]string{"CACHED_WEIGHT": "-2"}, []string{"--weight=-3"}, "zone.weight: -3, want 0 to 1000000 (flag --weight)"},
	} {
		if _, err := load(t, doc, c.env, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

// What stands behind --- was not read, and nobody was told.
func TestASecondDocumentIsAnError(t *testing.T) {
	_, err := load(t, "listen: 127.0.0.1:1\n---\nadmin: 127.0.0.1:2\n", nil)
	if err == nil || !strings.Contains(err.Error(), "line 3: a second document begins here") {
		t.Errorf("error %v", err)
	}
	for _, doc := range []string{"---\nlisten: 127.0.0.1:1\n", "listen: 127.0.0.1:1\n---\n", "# nothing\n", "l1:\n", "---\n---\n"} {
		if _, err := load(t, doc, nil); err != nil {
			t.Errorf("%q: %v", doc, err)
		}
	}
	if _, err := parseTenants([]byte("tenants: [{name: a, images: ['*']}]\n---\ntenants: []\n")); err == nil || !strings.Contains(err.Error(), "second document") {
		t.Errorf("tenants: error %v", err)
	}
}

func TestAddressesThatClash(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // "": nothing is wrong
	}{
		{"--listen=127.0.0.1:7071", "admin: 127.0.0.1:7071 is taken by listen, 127.0.0.1:7071: give it another port"},
		{"--listen=localhost:7071", "admin: 127.0.0.1:7071 is taken by listen, localhost:7071"},
		{"--listen=0.0.0.0:7071 --insecure", "is taken by listen"},
		{"--listen=:7071 --insecure", "is taken by listen"},
		{"--listen=[::]:7071 --insecure", "is taken by listen"},
		{"--listen=[::1]:7071", ""},
		{"--listen=127.0.0.2:7071", ""},
		{"--listen=127.0.0.1:0 --admin=127.0.0.1:0", ""},
		{"--listen=127.0.0.1:http", ""},
		{"--listen=127.0.0.1:nothing-of-the-kind", "listen: \"127.0.0.1:nothing-of-the-kind\": port nothing-of-the-kind, want a number from 0 to 65535"},
		{"--admin=127.0.0.1:-1", "admin: \"127.0.0.1:-1\": port -1, want"},
		// Gossip listens by TCP as well as by UDP.
		{"--zone=z --zone-insecure --gossip=127.0.0.1:7072", "zone.gossip: 127.0.0.1:7072 is taken by zone.peer-listen"},
		{"--zone=z --zone-insecure --gossip=127.0.0.1:7070", "zone.gossip: 127.0.0.1:7070 is taken by listen"},
		{"--zone=z --zone-insecure --peer-listen=127.0.0.1:7071", "zone.peer-listen: 127.0.0.1:7071 is taken by admin"},
		{"--zone=z --zone-insecure --gossip=localhost:7946", "zone.gossip: \"localhost:7946\", want IP:PORT"},
		{"--zone=z --zone-insecure --peer-advertise=10.0.0.1:0", "zone.peer-advertise: \"10.0.0.1:0\": port 0, want a number from 1 to 65535"},
		{"--zone=z --zone-insecure --gossip-advertise=10.0.0.1:65536", "zone.gossip-advertise: \"10.0.0.1:65536\": port 65536, want"},
		{"--gossip=127.0.0.1:7072", ""}, // no zone, no gossip
	} {
		_, err := load(t, "", nil, strings.Fields(c.args)...)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.args, err, c.want)
		case err != nil && strings.Count(err.Error(), "\n") > 0:
			t.Errorf("%s: it is told more than once: %v", c.args, err)
		}
	}
}

// What a configuration names and the host does not have is told at once, before
// anything is made.
func TestWhatTheHostDoesNotHave(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.DataDir, c.TLS.Dir, c.Auth.Tenants = filepath.Join(dir, "not", "there"), filepath.Join(dir, "tls"), filepath.Join(dir, "tenants.yaml")
	c.Zone.Name, c.Zone.TLS, c.Zone.GossipKeys = "z1", filepath.Join(dir, "zone-tls"), filepath.Join(dir, "keys")
	c.Socket.Path, c.Socket.Group = filepath.Join(dir, "no", "such", "s.sock"), "no-such-group"
	c.L2.Dir = file
	c.Origins = []string{"file://" + filepath.Join(dir, "origin")}
	err := c.checkHost()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		"config: tls.dir: ", "config: auth.tenants: ", "config: zone.tls: ", "config: zone.gossip-keys: ", "config: socket.group: ",
		"config: data-dir: " + filepath.Join(dir, "not") + " does not exist", "config: socket.path: " + filepath.Join(dir, "no") + " does not exist",
		"config: l2.dir: " + file + " is no directory",
	} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("no line begins with %s", want)
		}
	}
	if len(lines) != 8 {
		t.Errorf("%d lines, want 8:\n%v", len(lines), err)
	}
	if w := c.warnings(); len(w) != 1 || !strings.Contains(w[0], "there is no directory "+filepath.Join(dir, "origin")) {
		t.Errorf("warnings %q", w)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("it made %v, %v", left, err)
	}
	d := &doctor{cfg: c}
	d.agents(t.Context())
	d.check(t, "socket", broken, "no-such-group", "groupadd")

	ok := Default()
	ok.DataDir = filepath.Join(dir, "data")
	ok.complete()
	if err := ok.checkHost(); err != nil || len(ok.warnings()) != 0 {
		t.Errorf("%v %q", err, ok.warnings())
	}
}

// Where a wrong duration is from the environment, the flag is not blamed.
func TestKeepFromTheEnvironment(t *testing.T) {
	t.Setenv("CACHED_KEEP", "-5m")
	root := newRootCommand()
	root.SetArgs([]string{"mount", "a", t.TempDir()})
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), `environment CACHED_KEEP: "-5m", want a duration such as 90s or 5m, not negative, or 0`) {
		t.Errorf("error %v", err)
	}
	root = newRootCommand()
	root.SetArgs([]string{"mount", "a", t.TempDir(), "--keep", "soon"})
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), `--keep: "soon", want a duration such as 1.5s, 2m or 1h: see`) {
		t.Errorf("error %v", err)
	}
}

// An L2 larger than its disk was used as far as that went, and nobody was told.
func TestAnL2LargerThanItsDiskIsTold(t *testing.T) {
	l := L2Config{Dir: t.TempDir(), Size: 1 << 60, MinFree: 1 << 50}
	if w := l.short(); !strings.Contains(w, "TiB and a reserve of 1024TiB are wanted: L2 uses 0 B at most; make room") {
		t.Errorf("%q", w)
	}
	for _, enough := range []L2Config{{Dir: l.Dir, Size: 1}, {Dir: l.Dir}, {Dir: l.Dir + "/none", Size: 1 << 60}} {
		if w := enough.short(); w != "" {
			t.Errorf("%+v: %q", enough, w)
		}
	}
}
