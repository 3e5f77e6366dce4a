package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// The command lines of the unit do what they are to, with the configuration beside it,
// as far as it can be told without systemd: paths are those of the test.
func TestTheUnitsCommandLines(t *testing.T) {
	dir := t.TempDir()
	config, err := os.ReadFile("cached.yaml")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(built(t), "cached")
	state := filepath.Join(dir, "state")
	listen, admin := testtool.FreePort(t), testtool.FreePort(t)
	socket := filepath.Join(dir, "cached.sock")
	text := strings.NewReplacer("/var/lib/cached", state, "/run/cached/cached.sock", socket).Replace(string(config)) + fmt.Sprintf("listen: 127.0.0.1:%d\nadmin: 127.0.0.1:%d\n", listen, admin)
	text = regexp.MustCompile(`min-free: \S+`).ReplaceAllString(text, "min-free: 0")
	file := filepath.Join(dir, "cached.yaml")
	for name, content := range map[string]string{file: text, filepath.Join(dir, "environment"): ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(state, 0o755); err != nil { // StateDirectory
		t.Fatal(err)
	}
	words := func(key string) []string {
		return strings.Fields(strings.ReplaceAll(unit(t, key), "/etc/cached", dir))
	}
	command := func(key string) *exec.Cmd {
		w := words(key)
		if w[0] != "/usr/bin/cached" {
			t.Errorf("%s runs %s", key, w[0])
		}
		return exec.Command(binary, w[1:]...)
	}
	if out, err := command("ExecStartPre").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testtool.Start(t, command("ExecStart"), testtool.Answering(fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)))
	for _, server := range []string{fmt.Sprintf("http://127.0.0.1:%d", listen), "unix://" + socket} {
		output(t, binary, "status", "--server", server)
	}
}

// The unit keeps the daemon from writing elsewhere than to its own directories, and whoever
// has a disk for it, as the README does, is told what to add.
func TestADiskElsewhereNeedsADropIn(t *testing.T) {
	if unit(t, "ProtectSystem") != "strict" || unit(t, "StateDirectory") != "cached" {
		t.Fatal("the unit lets the daemon write elsewhere: what is said of drop-ins is old")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	disk := regexp.MustCompile(`--data-dir (/mnt/\S+)`).FindSubmatch(readme)
	if disk == nil {
		t.Fatal("the README has no disk of its own")
	}
	for _, file := range []string{"../docs/operate.md", "cached.service", "cached.yaml"} {
		text, err := os.ReadFile(file)
		if want := "ReadWritePaths=" + string(disk[1]); err != nil || !strings.Contains(string(text), "[Service]") || !strings.Contains(string(text), want) {
			t.Errorf("%s (%v) does not say %s of [Service]", file, err, want)
		}
	}
}
