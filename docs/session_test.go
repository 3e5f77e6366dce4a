package docs_test

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

//go:embed session_test.sh
var prelude string

// A session is a shell in which the commands of a page are run, one block after the other.
type session struct {
	dir    string   // it begins in
	env    []string // beside PATH and HOME
	notRun map[string]instead
}

// sessionPath leaves out what a developer's PATH has in front of the system's programs.
const sessionPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// run runs the steps, and fails the test with the first that fails, or that prints
// something else than the page shows.
func (s session) run(t *testing.T, file string, steps []step) {
	t.Helper()
	out := t.TempDir()
	used := map[string]bool{}
	var script strings.Builder
	for i, st := range steps {
		fmt.Fprintf(&script, "step %d\n{ :\n%s} >\"$OUT\"/%d 2>&1\n", i, s.arrange(st.script, used), i)
	}
	cmd := exec.Command("bash", "-c", prelude+script.String())
	cmd.Dir = s.dir
	home := filepath.Join(out, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(environ(t), "OUT="+out, "HOME="+home) // and no settings of ours
	cmd.Env = append(cmd.Env, s.env...)
	said, err := cmd.CombinedOutput()
	printed := func(i int) string {
		text, err := os.ReadFile(filepath.Join(out, fmt.Sprint(i)))
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return string(text)
	}
	if err != nil {
		at := 0
		if last, err := os.ReadFile(filepath.Join(out, "step")); err == nil {
			fmt.Sscan(string(last), &at)
		}
		t.Fatalf("%s:%d: %v: %s\n%s\nprinted\n%s", file, steps[at].line, err, said, steps[at].script, printed(at))
	}
	for i, st := range steps {
		if st.console {
			t.Logf("%s:%d: $ %s%s", file, st.line, st.script, printed(i))
		}
		if got := printed(i); st.console && !matches(st.shows, got) {
			t.Errorf("%s:%d: %sprints\n%snot\n%s", file, st.line, st.script, got, st.shows)
		}
	}
	for command := range s.notRun {
		if !used[command] {
			t.Errorf("%s has no command `%s`: drop it from the table of those that are not run", file, command)
		}
	}
}

// environ is that of a user who has Go, and no settings of ours.
func environ(t *testing.T) []string {
	t.Helper()
	names := []string{"GOROOT", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	var env []string
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return append(env, "PATH="+sessionPath+":"+strings.TrimPrefix(env[0], "GOROOT=")+"/bin", "LC_ALL=C.UTF-8", "USER=root")
}

var (
	serve = regexp.MustCompile(`^cached serve\b`)
	// Not where a list goes on in the next line, nor in the background.
	conjunction = regexp.MustCompile(`&& .*[^&\s]\s*$`)
	admin       = regexp.MustCompile(`--admin[ =](\S+)`)
)

// arrange puts what is run instead in the place of what cannot be run, and has a daemon
// in the foreground run on in the background, where a reader would take another terminal.
// A daemon takes the place of the one before it that had the same address.
func (s session) arrange(script string, used map[string]bool) string {
	var b strings.Builder
	for _, line := range lines(script) {
		if other, ok := s.notRun[plain(line)]; ok {
			used[plain(line)] = true
			b.WriteString(":\n" + other.script)
			continue
		}
		b.WriteString(line)
		if conjunction.MatchString(line) { // the shell takes its failure for a decision
			b.WriteString("[ $? = 0 ]\n")
		}
	}
	arranged := lines(b.String())
	for i, line := range arranged {
		command := plain(line)
		if !serve.MatchString(command) {
			continue
		}
		address := "127.0.0.1:7071"
		if m := admin.FindStringSubmatch(command); m != nil {
			address = m[1]
		}
		arranged[i] = fmt.Sprintf("before %s\n%s &\nafter %s\n", address, strings.TrimSpace(strings.TrimSuffix(command, "&")), address)
	}
	return strings.Join(arranged, "")
}
