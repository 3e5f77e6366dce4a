package helm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chartWithNotes is the chart with an object of its notes, which Helm renders for
// installations in clusters only.
func chartWithNotes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("cached")); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(dir, "templates", "NOTES.txt")
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"_notes.tpl": `{{ define "notes" }}` + string(text) + `{{ end }}`,
		"notes.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata:\n  notes: {{ include \"notes\" . | quote }}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "templates", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(notes); err != nil {
		t.Fatal(err)
	}
	return dir
}

// notesOf are what an installation with these values beside the least is told.
func notesOf(t *testing.T, values ...string) string {
	t.Helper()
	out, err := template(t, chartWithNotes(t), append(slices.Clone(least), values...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return fmt.Sprint(find(t, decode(t, out), "ConfigMap notes").at("data", "notes"))
}

// What reaches a daemon depends on where it listens and on what it asks for.
func TestTheNotesSayHowToReachTheDaemon(t *testing.T) {
	status := func(flags string) string { return "-c cached -- cached status" + flags + "\n" }
	mount := func(flags string) string { return "cached mount app:v1 /mnt/app" + flags + "        # on a node" }
	for name, tt := range map[string]struct {
		values     []string
		has, lacks []string
	}{
		"least":    {nil, []string{status(""), mount(""), "host reach its daemon at http://127.0.0.1:7070.\n"}, []string{"token", "ca.crt -o", "Pods reach"}},
		"a port":   {[]string{"ports.blocks=17070"}, []string{status(" --server http://127.0.0.1:17070"), mount(" --server http://127.0.0.1:17070"), "at http://127.0.0.1:17070.\n"}, nil},
		"its file": {[]string{"config.listen=127.0.0.1:17070", "ports.blocks=17070"}, []string{status(" --server http://127.0.0.1:17070"), mount(" --server http://127.0.0.1:17070")}, nil},
		"no port":  {[]string{"config.listen=", "agents.socket.enabled=true"}, []string{status(" --server unix:///run/cached/agents/cached.sock"), mount(" --server unix:///run/cached/cached.sock")}, []string{"127.0.0.1"}},
		"pod network": {
			[]string{"hostNetwork=false", "agents.insecure=true"},
			[]string{status(""), "have no address of its daemon", "Pods reach a daemon at the address of its pod"},
			[]string{"cached mount", "127.0.0.1", "localhost"},
		},
		"pod network and a socket": {
			[]string{"hostNetwork=false", "agents.insecure=true", "agents.socket.enabled=true", "tenants.existingSecret=tenants"},
			[]string{mount(" --server unix:///run/cached/cached.sock --token-file agent.token"), "--insecure-token"},
			[]string{"have no address", "127.0.0.1"},
		},
		"TLS": {
			[]string{"agents.service.enabled=true", "tls.agents.issuer=ca"},
			[]string{
				status(" --server https://localhost:7070 --ca /run/cached/tls/ca.crt"), mount(" --server https://localhost:7070 --ca ca.crt"),
				"get secret rel-cached-agents -o", "Pods reach the daemon of their own node at https://rel-cached.caches:7070", "host reach its daemon at https://localhost:7070",
			},
			[]string{"token", "http://"},
		},
		"tenants": {
			[]string{"tenants.existingSecret=tenants"},
			[]string{"exec -i daemonset/", status(" --token-file /dev/stdin < operator.token"), mount(" --token-file agent.token")},
			[]string{"--server"},
		},
	} {
		notes := notesOf(t, tt.values...)
		for _, want := range tt.has {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: there is no %q in\n%s", name, want, notes)
			}
		}
		for _, other := range tt.lacks {
			if strings.Contains(notes, other) {
				t.Errorf("%s: %q is in\n%s", name, other, notes)
			}
		}
	}
}

// What an installation is told to do next can be done: the commands and their flags are
// the binary's, and the names are those of what was installed.
func TestTheNotes(t *testing.T) {
	programs := built(t)
	verbs := map[string]bool{}
	for name, values := range cases {
		notes := notesOf(t, values...)
		for _, line := range regexp.MustCompile(`(?m)(?:^\s+|-- )cached ([a-z].*)$`).FindAllStringSubmatch(notes, -1) {
			words := strings.Fields(line[1])
			verb := words[:1]
			if words[0] == "certs" {
				verb = words[:2]
			}
			verbs[strings.Join(verb, " ")] = true
			help, err := programs.Command(append(verb, "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: cached %s: %v\n%s", name, line[1], err, help)
			}
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(line[1], -1) {
				if !strings.Contains(string(help), flag+" ") {
					t.Errorf("%s: cached %s has no %s", name, verb, flag)
				}
			}
		}
		for _, named := range regexp.MustCompile(`daemonset/(\S+)`).FindAllStringSubmatch(notes, -1) {
			find(t, render(t, values...), "DaemonSet "+named[1])
		}
		if socket := strings.Contains(notes, "unix:///run/cached/cached.sock"); socket != (name == "socket") {
			t.Errorf("%s: it tells of a socket: %v", name, socket)
		}
		if scraped := !strings.Contains(notes, "Nothing scrapes"); scraped != (name == "monitoring" || name == "by Service" || name == "ports") {
			t.Errorf("%s: it says that somebody scrapes: %v", name, scraped)
		}
		if warned := strings.Contains(notes, "WARNING: a NetworkPolicy has no effect"); warned != (name == "ports") {
			t.Errorf("%s: it warns of the policy: %v", name, warned)
		}
		if warned := strings.Contains(notes, "WARNING: whoever reaches port 7071 of a node") || strings.Contains(notes, "WARNING: whoever reaches port 17071 of a node"); warned != (name != "pod network") {
			t.Errorf("%s: it warns of the admin port: %v", name, warned)
		}
		if warned := strings.Contains(notes, "starts with an empty cache"); warned != (name == "ephemeral") {
			t.Errorf("%s: it warns of a cache that ends with its pod: %v", name, warned)
		}
		if warned := strings.Contains(notes, "the PersistentVolumeClaim mine: it is for a zone of one node"); warned != (name == "claim") {
			t.Errorf("%s: it warns of the one volume: %v", name, warned)
		}
		if warned := strings.Contains(notes, "WARNING: tls.mode is insecure"); warned != (name == "insecure") {
			t.Errorf("%s: it warns: %v", name, warned)
		}
	}
	for _, verb := range []string{"certs init", "publish", "mount", "status"} {
		if !verbs[verb] {
			t.Errorf("no notes tell of cached %s: %v", verb, verbs)
		}
	}
}
