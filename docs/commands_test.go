// Package docs_test does what the documents say: it runs their commands as they stand
// there, and looks up what they name.
package docs_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/sandbox"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/internal/testtool/pin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A manual is a page whose commands are run from top to bottom, in one shell.
type manual struct {
	file string
	// tools are programs of Debian that the page uses, pinned those of Go.
	tools, pinned []string
	// given makes what the reader has, as root on a machine of the test's own.
	given func(*testing.T)
	// first are commands in the page's shell, before those of the page.
	first string
	env   []string
	dir   string // where the commands are typed; "": in the repository
	// notRun are commands that cannot be run here, and why.
	notRun map[string]instead
}

// An instead says why a command is not run, and what is in its place.
type instead struct{ why, script string }

var manuals = []manual{
	{
		file: "README.md", tools: []string{"jq", "docker-registry", "skopeo"}, pinned: []string{"versitygw", "grpcurl"},
		given: func(t *testing.T) { givenApp(t); givenStore(t); givenRegistry(t); givenDir(t, "/mnt/nvme/cached") },
		notRun: map[string]instead{
			"make demo": {why: "make prove-main runs it"},
			"make test": {why: "this test is a part of it"},
		},
	},
	{file: "docs/mount.md", given: givenFlask, dir: "/srv/work"},
	{file: "docs/zone.md", pinned: []string{"versitygw"}, given: func(t *testing.T) { givenStore(t); givenFewDocuments(t) }, dir: "/srv/work", env: storeKeys},
	{
		file: "docs/prefetch.md", tools: []string{"jq"}, given: givenFlask, first: zoneOfFour, dir: "/srv/work",
		env: []string{"CACHED_ORIGIN=file:///srv/origin"},
	},
	{file: "docs/packages.md", given: func(t *testing.T) { givenPackage(t); givenMemory(t) }, first: "cached serve &\n", dir: "/srv/work"},
	{file: "docs/simulator.md", tools: []string{"jq"}},
	{file: "docs/security.md", tools: []string{"jq"}, given: givenApp, dir: "/srv/work"},
	{
		file: "docs/microvm.md", tools: []string{"busybox"}, given: givenMemory, dir: "/srv/work", first: "cached serve &\n",
		env: []string{"CACHED_ORIGIN=file:///srv/origin"}, notRun: virtualMachines,
	},
	{
		file: "docs/agents/README.md", tools: []string{"protoc", "grpc_python_plugin"}, given: givenPython,
		first: "groupadd agents\ncached publish dir:/srv/app --name app:v1\ncached serve &\n",
		notRun: map[string]instead{
			"apt-get install -y python3-grpcio python3-protobuf python3-zstandard protobuf-compiler protobuf-compiler-grpc libprotobuf-dev": {
				why: "there is no way to a mirror from here; the test beside the page installs just these",
			},
		},
	},
	{
		file: "docs/operate.md", given: givenBuilt,
		notRun: map[string]instead{
			"make packages": {why: "builds for a minute: the test in packaging does"},
			"apt install ./bin/cached_*.deb": {
				why:    "the test in packaging installs the packages",
				script: "install -m 0755 bin/cached /usr/bin/cached\ninstall -D -m 0644 packaging/cached.yaml /etc/cached/cached.yaml\n",
			},
			"editor /etc/cached/cached.yaml": {why: "nobody is here to type"},
			"systemctl enable --now cached": {
				why:    "there is no systemd; the test in packaging runs the command lines of the unit, here runs what it starts",
				script: "mkdir -p /var/lib/cached\ncached serve --config /etc/cached/cached.yaml &\n",
			},
			"ssh -L 7071:127.0.0.1:7071 HOST": {why: "there is no other host"},
			"kubectl proxy & open http://127.0.0.1:8001/api/v1/namespaces/NS/pods/POD:7071/proxy/": {why: noCluster},
			"cached drill --empty --before 10s --for 5m":                                           {why: "takes five minutes, under load: TestDrill in cmd/cached, shorter"},
			"systemctl restart cached":                                                             {why: "there is no systemd", script: "cached serve --config /etc/cached/cached.yaml &\n"},
		},
	},
	{file: "helm/cached/README.md", pinned: []string{"helm"}, dir: "", notRun: kubernetes},
}

// TestCommands runs the commands of the pages.
func TestCommands(t *testing.T) {
	programs := built(t)
	for _, m := range manuals {
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			page := readPage(t, m.file)
			if !sandbox.Enter(t, m.machine(t, programs)) {
				return
			}
			for _, command := range slices.Sorted(maps.Keys(m.notRun)) {
				t.Logf("not run: %s: %s", command, m.notRun[command].why)
			}
			if m.given != nil {
				m.given(t)
			}
			dir := m.dir
			if dir == "" {
				dir = root
			}
			steps := []step{{script: m.first}}
			for _, b := range page.blocks {
				steps = append(steps, b.steps...)
			}
			session{dir: dir, env: m.env, notRun: m.notRun}.run(t, m.file, steps)
		})
	}
}

// machine is where a page is tried: with our program and those it names.
func (m manual) machine(t *testing.T, programs string) sandbox.Machine {
	t.Helper()
	box := sandbox.Machine{
		Files:     map[string]string{"/usr/local/bin/cached": programs + "/cached"},
		Addresses: []string{"10.0.0.1/32", "10.0.0.2/32", "10.0.0.4/32", "10.0.0.7/32", "10.0.0.9/32"},
	}
	if os.Geteuid() != 0 {
		return box // it will say so
	}
	for _, name := range append([]string{"curl", "openssl"}, m.tools...) {
		testtool.Debian(t, name)
	}
	for _, name := range m.pinned {
		box.Files["/usr/local/bin/"+name] = testtool.Go(t, name)
	}
	return box
}

// built returns a directory with our program, built as `make build` does, and a node that lies.
func built(t *testing.T) string {
	t.Helper()
	if sandbox.Inside() {
		return "" // it was built outside
	}
	dir, err := pin.Root()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-o", programs, "./cmd/cached", "./loadtest/zone/liar")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return programs
}

// Every page with commands is a manual, or is tried by another test.
func TestEveryPageIsTried(t *testing.T) {
	tried := map[string]string{
		"docs/bench.md":              "its runs take minutes: TestScripts/bench in cmd/cached runs such commands, for shorter",
		"docs/bursts.md":             "it measures for half an hour: the tests of loadtest/zone do the same, smaller",
		"docs/peers.md":              "it measures for minutes: the tests of loadtest/peers do the same, smaller",
		"docs/hitrate.md":            "the tests of loadtest/hitrate make such calls; its day takes minutes",
		"CONTRIBUTING.md":            "its commands are what continuous integration, or a developer, runs",
		"helm/cached/README.head.md": "it is the beginning of README.md beside it",
	}
	for _, m := range manuals {
		tried[m.file] = "TestCommands"
	}
	for _, file := range pages(t) {
		if strings.HasPrefix(file, "docs/adr/") || strings.HasPrefix(file, "docs/runbooks/") {
			continue // commands of the day of a decision; TestRunbooks
		}
		for _, b := range readPage(t, file).blocks {
			if (b.language == "sh" || b.language == "console") && tried[file] == "" {
				t.Errorf("%s:%d: nobody runs these commands: add the page to the manuals", file, b.line)
			}
		}
	}
}

// A block of commands says so, or it would not be run.
func TestFences(t *testing.T) {
	for _, file := range pages(t) {
		for _, b := range readPage(t, file).blocks {
			switch b.language {
			case "sh":
			case "console":
				if len(b.steps) == 0 {
					t.Errorf("%s:%d: a console begins with `$ ` and a command", file, b.line)
				}
			default:
				for line := range strings.Lines(b.text) {
					if strings.HasPrefix(line, "cached ") || strings.HasPrefix(line, "$ ") {
						t.Errorf("%s:%d: commands in a block that is neither sh nor console: %s", file, b.line, line)
					}
				}
			}
		}
	}
}

// pages are all documents.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "helm/cached/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			f, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
	}
	return all
}
