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

// What an installation is told to do next can be done: the commands and their flags are
// the binary's, and the names are those of what was installed.
func TestTheNotes(t *testing.T) {
	programs := built(t)
	chart := chartWithNotes(t)
	verbs := map[string]bool{}
	for name, values := range cases {
		out, err := template(t, chart, append(slices.Clone(least), values...)...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		notes := fmt.Sprint(find(t, decode(t, out), "ConfigMap notes").at("data", "notes"))
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
