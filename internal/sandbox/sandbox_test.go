package sandbox

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever a test does inside stays there: files anywhere, ports, processes.
func TestEnter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("from outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	const left = "/etc/left-by-a-test-in-a-sandbox"
	if !Enter(t, Machine{Files: map[string]string{"/etc/given": file}, Addresses: []string{"10.0.0.1/32"}}) {
		if info, err := os.Stat("/dev/zero"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			t.Fatalf("/dev/zero: %v, %v", info, err)
		}
		for _, name := range []string{left, "left_by_a_test_in_a_sandbox"} {
			if _, err := os.Stat(name); err == nil {
				t.Errorf("%s is here", name)
			}
		}
		return
	}
	if text, err := os.ReadFile("/etc/given"); string(text) != "from outside" {
		t.Errorf("/etc/given: %q, %v", text, err)
	}
	for _, name := range []string{left, "left_by_a_test_in_a_sandbox", "/tmp/left", "/usr/bin/left"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, addr := range []string{"127.0.0.1:7070", "10.0.0.1:7070"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
	if err := os.Remove("/dev/zero"); err != nil {
		t.Error(err)
	}
	if n := os.Getppid(); n > 10 {
		t.Errorf("the parent is process %d: these are the machine's own processes", n)
	}
}

// What came of the test inside is what comes of it outside.
func TestJudge(t *testing.T) {
	exit := func(status string) error { return exec.Command("sh", "-c", "exit "+status).Run() }
	for _, c := range []struct {
		out        string
		err        error
		skip, fail bool
	}{
		{"--- PASS: TestX (0.01s)\n", nil, false, false},
		{"--- SKIP: TestX (0.01s)\n", nil, true, false},
		{"--- FAIL: TestX (0.01s)\n", exit("1"), false, true},
		{"testing: warning: no tests to run\nPASS\n", nil, false, true},
		{"    --- PASS: TestXY (0.01s)\n", nil, false, true},
		{"mount: permission denied\n", exit("97"), true, false},
	} {
		if skip, fail := judge("TestX", c.out, c.err); (skip != "") != c.skip || (fail != "") != c.fail {
			t.Errorf("%q, %v: skip %q, fail %q", c.out, c.err, skip, fail)
		}
	}
}

func TestPattern(t *testing.T) {
	if got := pattern("TestCommands/README.md"); got != `^TestCommands$/^README\.md$` {
		t.Error(got)
	}
}
