package docs_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/helm/dashboards"
	"github.com/zonecache/cached/internal/sandbox"
	"github.com/zonecache/cached/internal/testtool"
)

// What the pages name is there: commands and their flags, settings, metrics, panels, files.

// present are the pages about what is; an ADR tells what was decided one day.
func present(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(pages(t), func(file string) bool { return strings.HasPrefix(file, "docs/adr/") })
}

// A usage is what our program says of its commands.
type usage struct {
	program string
	help    map[string]string // by command, "" is the root
}

func (u *usage) of(t *testing.T, command string) string {
	t.Helper()
	if text, ok := u.help[command]; ok {
		return text
	}
	out, err := exec.Command(u.program, append(strings.Fields(command), "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("cached %s --help: %v\n%s", command, err, out)
	}
	u.help[command] = string(out)
	return string(out)
}

// command returns the longest command that words begin with, and the words behind it.
func (u *usage) command(t *testing.T, words []string) (string, []string) {
	t.Helper()
	command := ""
	for len(words) > 0 && regexp.MustCompile(`(?m)^  `+regexp.QuoteMeta(words[0])+` +\S`).MatchString(u.of(t, command)) {
		command, words = strings.TrimSpace(command+" "+words[0]), words[1:]
	}
	return command, words
}

var (
	span      = regexp.MustCompile("`([^`\n]+)`")
	ourCall   = regexp.MustCompile(`\bcached ([a-z][^|;&>)#\n]*)`)
	flag      = regexp.MustCompile(`^--([a-z][a-z0-9-]*)`)
	metric    = regexp.MustCompile(`\bcached_[a-z0-9_]+`)
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	panelName = regexp.MustCompile(`(?i)dashboard \*([^*]+)\*((?:,? ?(?:panel )?(?:and )?\*[^*]+\*)*)`)
)

// code is all code of a page: spans, and the lines of its blocks, joined where one goes on.
func (p page) code() []string {
	var all []string
	for _, m := range span.FindAllStringSubmatch(p.text, -1) {
		all = append(all, m[1])
	}
	for _, b := range p.blocks {
		text := b.text
		if strings.HasPrefix(b.language, "console") { // what commands print names none
			text = ""
			for _, st := range b.steps {
				text += st.script
			}
		}
		for _, line := range lines(text) {
			all = append(all, plain(line))
		}
	}
	return all
}

func TestCommandsAndFlagsExist(t *testing.T) {
	u := &usage{program: built(t) + "/cached", help: map[string]string{}}
	everything := allFlags(t, u, "")
	n := 0
	for _, file := range present(t) {
		for _, code := range readPage(t, file).code() {
			if strings.HasPrefix(code, "helm ") || strings.HasPrefix(code, "NOT READY") {
				continue // a release, and blocks, are called so
			}
			for _, m := range ourCall.FindAllStringSubmatch(code, -1) {
				command, rest := u.command(t, strings.Fields(m[1]))
				if command == "" {
					t.Errorf("%s: there is no command `cached %s`", file, m[1])
					continue
				}
				n++
				for _, word := range rest {
					if word == "--" {
						break
					}
					if f := flag.FindStringSubmatch(word); f != nil && !hasFlag(u.of(t, command), f[1]) {
						t.Errorf("%s: `cached %s` has no flag --%s", file, command, f[1])
					}
				}
			}
			if f := flag.FindStringSubmatch(code); f != nil && f[1] != "plugin" && !hasFlag(everything, f[1]) { // that is protoc's
				t.Errorf("%s: no command has a flag --%s", file, f[1])
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d calls of our program were found", n)
	}
}

func hasFlag(usage, name string) bool {
	return regexp.MustCompile(`(?m)^\s+(?:-\w, )?--` + name + `\b`).MatchString(usage)
}

// allFlags is the usage of all commands below one.
func allFlags(t *testing.T, u *usage, command string) string {
	t.Helper()
	text := u.of(t, command)
	_, below, _ := strings.Cut(text, "Available Commands:\n")
	below, _, _ = strings.Cut(below, "\n\n")
	for line := range strings.Lines(below) {
		if name := strings.Fields(line)[0]; name != "help" && name != "completion" {
			text += allFlags(t, u, strings.TrimSpace(command+" "+name))
		}
	}
	return text
}

// Settings are in docs/config.md, which is made from the code.
func TestSettingsExist(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(root, "docs/config.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys, stanzas := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+)`").FindAllStringSubmatch(string(config), -1) {
		keys[m[1]] = true
		if stanza, _, ok := strings.Cut(m[1], "."); ok {
			stanzas[stanza] = true
		}
	}
	setting := regexp.MustCompile(`^([a-z0-9]+)\.[a-z][a-z-]+$`)
	files := regexp.MustCompile(`\.(crt|key)$`)
	for _, file := range present(t) {
		for _, m := range span.FindAllStringSubmatch(readPage(t, file).text, -1) {
			if s := setting.FindStringSubmatch(m[1]); s != nil && stanzas[s[1]] && !keys[m[1]] && !files.MatchString(m[1]) && !strings.HasPrefix(file, "helm/") {
				t.Errorf("%s: there is no setting %s", file, m[1])
			}
		}
	}
}

// Metrics are those of a daemon in a zone.
func TestMetricsExist(t *testing.T) {
	programs := built(t)
	if !sandbox.Enter(t, sandbox.Machine{Files: map[string]string{"/usr/local/bin/cached": programs + "/cached"}}) {
		return
	}
	must(t, "cached", "certs", "init", "--dir", "/srv/ca", "--zone", "z1")
	must(t, "cached", "certs", "issue", "--ca", "/srv/ca", "--node", "n1", "--out", "/srv/n1")
	must(t, "sh", "-c", "cached certs gossip-key > /srv/keys")
	testtool.Start(t, exec.Command("cached", "serve", "--data-dir", "/srv/data", "--zone", "z1", "--node", "n1", "--zone-tls", "/srv/n1", "--gossip-keys", "/srv/keys", "--l2-min-free", "0"),
		testtool.Answering("http://127.0.0.1:7071/readyz"))
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("http://127.0.0.1:7071/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]bool{}
	for _, name := range metric.FindAllString(string(text), -1) {
		families[name] = true
	}
	for _, file := range present(t) {
		for _, code := range readPage(t, file).code() {
			for _, name := range metric.FindAllString(code, -1) {
				begins := func(f string) bool { return strings.HasPrefix(f, name) }
				if !families[name] && !slices.ContainsFunc(slices.Collect(keysOf(families)), begins) {
					t.Errorf("%s: no daemon has a metric %s", file, name)
				}
			}
		}
	}
}

func keysOf(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Dashboards and panels that a runbook sends people to.
func TestPanelsExist(t *testing.T) {
	titles := map[string][]string{}
	for _, d := range dashboards.All() {
		for _, p := range d.Panels {
			titles[strings.ToLower(d.Name)] = append(titles[strings.ToLower(d.Name)], p.Title)
		}
	}
	n := 0
	for _, file := range present(t) {
		for _, m := range panelName.FindAllStringSubmatch(readPage(t, file).text, -1) {
			panels, ok := titles[strings.ToLower(m[1])]
			if !ok {
				t.Errorf("%s: there is no dashboard %s", file, m[1])
			}
			for _, p := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(m[2], -1) {
				if n++; !slices.Contains(panels, p[1]) {
					t.Errorf("%s: dashboard %s has no panel %q: %q", file, m[1], p[1], panels)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no page names a panel")
	}
}

// Links lead somewhere, their anchors too.
func TestLinks(t *testing.T) {
	for _, file := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readPage(t, file).text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to, anchor, _ := strings.Cut(m[1], "#")
			path := filepath.Join(filepath.Dir(file), to)
			if to == "" {
				path = file
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(readPage(t, path).text), anchor) {
				t.Errorf("%s: %s has no heading #%s", file, path, anchor)
			}
		}
	}
}

// anchors are the names that a page's headings have for links.
func anchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
