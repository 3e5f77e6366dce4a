package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// system is a copy of this one, which keeps its files in memory and has a network of
// its own: a shell's script in it may install packages and listen on any port.
const system = `set -eu
T=$(mktemp -d) && trap 'umount -R "$T" && rmdir "$T"' EXIT
ip link set lo up
mount -t tmpfs none "$T" && mkdir "$T/upper" "$T/work" "$T/root"
mount -t overlay none -o "lowerdir=/,upperdir=$T/upper,workdir=$T/work" "$T/root"
mount -t proc none "$T/root/proc" && mount --rbind /dev "$T/root/dev"
rm -rf "$T/root/run" "$T/root/var/lib/cached" "$T/root/etc/cached" && mkdir "$T/root/run" "$T/root/packages"
cp "$PACKAGES"/*.deb "$PACKAGES"/*.rpm "$T/root/packages/"
chroot "$T/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C START="$START" START_PRE="$START_PRE" /bin/bash -euc "$SCRIPT"
`

// inSystem runs a script there and returns what it printed.
func inSystem(t *testing.T, packages, script string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("packages are installed as root")
	}
	for _, program := range []string{"ip", "unshare"} {
		testtool.Debian(t, program)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", system)
	cmd.Env = append(os.Environ(), "PACKAGES="+packages, "SCRIPT="+script, "START="+unit(t, "ExecStart"), "START_PRE="+unit(t, "ExecStartPre"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// unit returns what a key of the unit says.
func unit(t *testing.T, key string) string {
	t.Helper()
	text, err := os.ReadFile("cached.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("the unit has no %s", key)
	}
	return string(m[1])
}

// asSystemd does what the unit has systemd do: the directories, the user, the command
// lines as they are. It ends the daemon with SIGTERM, which must be its end in order.
const asSystemd = `
id -nG cached
install -d -o cached -g cached /var/lib/cached /run/cached
setpriv --reuid cached --regid cached --clear-groups $START_PRE
setpriv --reuid cached --regid cached --clear-groups $START 2>/tmp/log & daemon=$!
for i in $(seq 300); do
	cached status --server unix:///run/cached/cached.sock >/tmp/status 2>&1 && grep -q "^state *ready" /tmp/status && break
	kill -0 $daemon || { cat /tmp/log; exit 1; }
	sleep 0.1
done
cat /tmp/status
stat -c "socket %a %U:%G" /run/cached/cached.sock
cached status --server http://127.0.0.1:7070 >/dev/null
kill -TERM $daemon && wait $daemon && echo "ended in order"
`

func checkRun(t *testing.T, out string) {
	t.Helper()
	for _, want := range []string{"\ncached\n", "state  ", "version  ", "socket 660 cached:cached\n", "ended in order\n"} {
		if !strings.Contains("\n"+out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// The deb is installed by dpkg with its scripts, its daemon run by the command lines of
// the unit, upgraded over a configuration that was edited, removed, and purged.
func TestTheDebInstalls(t *testing.T) {
	once(t)
	testtool.Debian(t, "dpkg-deb")
	testtool.Debian(t, "setpriv")
	newer, err := makeIn("newer", "PACKAGE_VERSION=1.2.4")
	if err != nil {
		t.Fatal(err)
	}
	both := t.TempDir()
	for _, file := range []string{filepath.Join(built(t), debName), filepath.Join(newer, strings.Replace(debName, "1.2.3", "1.2.4", 1)), filepath.Join(built(t), rpmName)} {
		if err := os.Link(file, filepath.Join(both, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	out := inSystem(t, both, `
dpkg -i /packages/`+debName+`
`+asSystemd+`
echo "# edited" >>/etc/cached/cached.yaml
dpkg -i /packages/`+strings.Replace(debName, "1.2.3", "1.2.4", 1)+`
dpkg-query -W -f 'now ${Version}\n' cached
tail -1 /etc/cached/cached.yaml
dpkg -r cached
test ! -e /usr/bin/cached && test -e /etc/cached/cached.yaml && id cached >/dev/null && echo removed
dpkg -P cached
test ! -e /etc/cached/cached.yaml && test -d /var/lib/cached && echo purged
`)
	checkRun(t, out)
	for _, want := range []string{"now 1.2.4\n", "# edited\n", "removed\n", "purged\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// The rpm is installed by rpm with its scripts, its daemon run, and removed.
func TestTheRPMInstalls(t *testing.T) {
	testtool.Debian(t, "rpm")
	testtool.Debian(t, "setpriv")
	out := inSystem(t, built(t), `
rpm -i --force-debian --nodeps /packages/`+rpmName+`
`+asSystemd+`
echo "# edited" >>/etc/cached/cached.yaml
rpm -e --force-debian cached
test ! -e /usr/bin/cached && test -e /etc/cached/cached.yaml.rpmsave && id cached >/dev/null && echo removed
`)
	checkRun(t, out)
	if !strings.Contains(out, "removed\n") {
		t.Errorf("%s", out)
	}
}

// Where systemd is, it makes the user from the package's description.
func TestTheUserOfSysusers(t *testing.T) {
	program := testtool.Debian(t, "systemd-sysusers")
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf, err := filepath.Abs("cached.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("cp", conf, root+"/etc/cached.conf").Run(); err != nil {
		t.Fatal(err)
	}
	output(t, program, "--root="+root, root+"/etc/cached.conf")
	users, err := os.ReadFile(filepath.Join(root, "etc", "passwd"))
	if err != nil || !regexp.MustCompile(`(?m)^cached:x:\d+:\d+:zone block cache:/var/lib/cached:`).Match(users) {
		t.Errorf("%v\n%s", err, users)
	}
}
