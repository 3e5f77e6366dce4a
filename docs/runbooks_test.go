package docs_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/sandbox"
	"github.com/zonecache/cached/internal/testtool"
)

// An incident is a fault, made on a real zone; the alerts that tell of it fire; the commands
// of their runbooks are run, and show what the runbooks say; what they say helps, helps.
type incident struct {
	name   string
	alerts []string
	// blocks are those of the runbooks that are tried here, as FILE#NAME of the fence.
	blocks []string
	// remedies are what is done about it, as FILE: and how the line of the runbook begins.
	remedies []string
	site     siteOptions
	happen   func(*rehearsal)
	// brief: it takes seconds, and happens in each run of the tests.
	brief bool
}

// A rehearsal is an incident that happens.
type rehearsal struct {
	*site
	incident incident
	followed map[string]bool // blocks and remedies
}

// do notes that what a runbook says to do is being done.
func (d *rehearsal) do(remedy string) {
	d.Helper()
	if !slices.Contains(d.incident.remedies, remedy) {
		d.Fatalf("%s is not among the remedies that %s tries", remedy, d.incident.name)
	}
	d.followed[remedy] = true
}

// follow runs a block of a runbook, in which words in capitals stand for something.
func (d *rehearsal) follow(block string, words map[string]string) {
	d.Helper()
	if !slices.Contains(d.incident.blocks, block) {
		d.Fatalf("%s is not among the blocks that %s tries", block, d.incident.name)
	}
	d.followed[block] = true
	file, name, _ := strings.Cut(block, "#")
	for _, b := range readPage(d.T, "docs/runbooks/"+file).blocks {
		if b.name != name {
			continue
		}
		for i := range b.steps {
			for word, is := range words {
				whole := regexp.MustCompile(`\b` + word + `\b`)
				b.steps[i].script = whole.ReplaceAllLiteralString(b.steps[i].script, is)
				b.steps[i].shows = whole.ReplaceAllLiteralString(b.steps[i].shows, is)
			}
		}
		session{dir: "/srv", env: storeKeys}.run(d.T, "docs/runbooks/"+file, b.steps)
		return
	}
	d.Fatalf("%s has no block %q", file, name)
}

// TestRunbooks has those incidents happen that take seconds.
func TestRunbooks(t *testing.T) {
	if figure.Full() {
		t.Skip("TestProveRunbooks has all incidents happen")
	}
	rehearse(t, &tally{to: map[string]int{}}, func(i incident) bool { return i.brief })
}

// TestProveRunbooks has all incidents happen.
func TestProveRunbooks(t *testing.T) {
	if !figure.Full() {
		t.Skip("takes minutes: run it with " + figure.FullEnv + "=1")
	}
	alerts := &tally{to: map[string]int{}}
	if !sandbox.Inside() {
		t.Cleanup(func() { // once all incidents are over
			figure.Report(t, "runbooks.alerts_tried", float64(alerts.done()), "alerts")
		})
	}
	rehearse(t, alerts, func(incident) bool { return true })
}

// A tally counts the alerts whose incidents went as they should.
type tally struct {
	mu sync.Mutex
	to map[string]int // incidents that are to come, by alert
}

func (c *tally) add(i incident, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range i.alerts {
		c.to[a] += n
	}
}

// done returns how many alerts have fired, and were over, in each incident about them.
func (c *tally) done() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, left := range c.to {
		if left == 0 {
			n++
		}
	}
	return n
}

// rehearse has incidents happen, two at once.
func rehearse(t *testing.T, alerts *tally, wanted func(incident) bool) {
	t.Helper()
	programs := built(t)
	for _, i := range incidents {
		if !wanted(i) {
			continue
		}
		alerts.add(i, 1)
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			if !sandbox.Enter(t, siteMachine(t, programs)) {
				alerts.add(i, -1) // it does not return where it failed or was skipped
				return
			}
			d := &rehearsal{site: newSite(t, i.site), incident: i, followed: map[string]bool{}}
			i.happen(d)
			for _, b := range slices.Concat(i.blocks, i.remedies) {
				if !d.followed[b] {
					t.Errorf("%s was not tried", b)
				}
			}
			for _, a := range i.alerts {
				if !d.fired[a] || !d.over[a] {
					t.Errorf("%s: fired %v, over %v", a, d.fired[a], d.over[a])
				}
			}
		})
	}
}

func siteMachine(t *testing.T, programs string) sandbox.Machine {
	t.Helper()
	if !sandbox.Inside() && os.Geteuid() == 0 {
		testtool.Debian(t, "prometheus")
		testtool.Debian(t, "curl")
		testtool.Debian(t, "jq")
	}
	return sandbox.Machine{
		Files: map[string]string{
			"/usr/local/bin/cached": programs + "/cached", "/usr/local/bin/liar": programs + "/liar",
			"/usr/local/bin/versitygw": testtool.Go(t, "versitygw"),
		},
		Addresses: []string{"10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32", "10.0.0.9/32"},
	}
}

// Every alert has an incident, and every command of a runbook is tried by one.
func TestEveryRunbookIsTried(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(root, "helm", "cached", "rules", "cached.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts, blocks := map[string]bool{}, map[string]bool{}
	for _, i := range incidents {
		for _, a := range i.alerts {
			alerts[a] = true
		}
		for _, b := range i.blocks {
			blocks[b] = true
		}
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)\n(?s:.*?)runbook_url: RUNBOOKS/(\S+)`).FindAllStringSubmatch(string(rules), -1) {
		page, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", m[2]))
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		if title, _, _ := strings.Cut(string(page), "\n"); !strings.Contains(title, m[1]) {
			t.Errorf("docs/runbooks/%s is not about %s: %s", m[2], m[1], title)
		}
		if !alerts[m[1]] {
			t.Errorf("no incident is about %s", m[1])
		}
		delete(alerts, m[1])
	}
	for a := range maps.Keys(alerts) {
		t.Errorf("an incident is about %s, which no rule is", a)
	}
	for _, file := range runbooks(t) {
		for _, b := range readPage(t, "docs/runbooks/"+file).blocks {
			if id := file + "#" + b.name; len(b.steps) > 0 && !blocks[id] {
				t.Errorf("%s: no incident tries the block at line %d: %s", file, b.line, id)
			}
		}
	}
}

func runbooks(t *testing.T) (files []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatal(err)
	}
	for _, p := range paths {
		if name := filepath.Base(p); name != "README.md" {
			files = append(files, name)
		}
	}
	return files
}

var (
	fenced    = regexp.MustCompile("(?ms)^```.*?^```$")
	section   = regexp.MustCompile(`(?ms)^## Do\n(.*?)^## `)
	notTried  = regexp.MustCompile(`\(not tried: [^()]+\)$`)
	elsewhere = regexp.MustCompile(`\]\([a-z]+\.md\)`) // another runbook has it
)

// Whatever a runbook says to do is done by an incident, or says that it is not and why.
func TestEveryRemedyIsTriedOrSaysWhyNot(t *testing.T) {
	tried := map[string]bool{}
	for _, i := range incidents {
		for _, r := range i.remedies {
			tried[r] = false
		}
	}
	for _, file := range runbooks(t) {
		do := section.FindStringSubmatch(readPage(t, "docs/runbooks/"+file).text)
		if do == nil {
			t.Errorf("%s does not say what to do", file)
			continue
		}
		for line := range strings.Lines(fenced.ReplaceAllString(do[1], "")) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if line == "" {
				continue
			}
			by := 0
			for r := range tried {
				if strings.HasPrefix(file+": "+line, r) {
					tried[r] = true
					by++
				}
			}
			if not := notTried.MatchString(line); not == (by > 0) && !elsewhere.MatchString(line) {
				t.Errorf("%s: tried %d times, says that it is not: %v: %s", file, by, not, line)
			}
		}
	}
	for r, there := range tried {
		if !there {
			t.Errorf("no runbook says %q", r)
		}
	}
}
