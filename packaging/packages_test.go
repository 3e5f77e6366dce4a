package packaging_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/internal/testtool/pin"
)

// Packages are of the machine that builds them.
var (
	rpmArch = cmp.Or(map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH], runtime.GOARCH)
	debName = "cached_1.2.3_" + runtime.GOARCH + ".deb"
	rpmName = "cached-1.2.3-1." + rpmArch + ".rpm"
)

// installed are the files of both packages: mode, and path from the root.
var installed = map[string]string{
	"-rwxr-xr-x": "/usr/bin/cached",
	"-rw-------": "/etc/cached/environment",
	"-rw-r--r--": "/etc/cached/cached.yaml /usr/lib/systemd/system/cached.service /usr/lib/sysusers.d/cached.conf /usr/share/bash-completion/completions/cached " +
		"/usr/share/doc/cached/cached.cdx.json /usr/share/doc/cached/config.md /usr/share/fish/vendor_completions.d/cached.fish",
}

// Whoever builds the packages of a commit gets the same bytes.
func TestPackagesAreReproducible(t *testing.T) {
	one := built(t)
	two, err := makeIn("two")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cached", "cached.cdx.json", debName, rpmName} {
		a, errA := os.ReadFile(filepath.Join(one, name))
		b, errB := os.ReadFile(filepath.Join(two, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %v, %v; %d and %d bytes, the same: %v", name, errA, errB, len(a), len(b), bytes.Equal(a, b))
		}
	}
}

func TestTheDeb(t *testing.T) {
	dpkg := testtool.Debian(t, "dpkg-deb")
	deb := filepath.Join(built(t), debName)
	fields := output(t, dpkg, "--field", deb)
	for _, want := range []string{"Package: cached\n", "Version: 1.2.3\n", "Architecture: " + runtime.GOARCH + "\n", "Maintainer: "} {
		if !strings.Contains(fields, want) {
			t.Errorf("lacks %q:\n%s", want, fields)
		}
	}
	if got := output(t, dpkg, "--info", deb, "conffiles"); got != "/etc/cached/cached.yaml\n/etc/cached/environment\n" {
		t.Errorf("conffiles:\n%s", got)
	}
	unpacked := t.TempDir()
	output(t, dpkg, "--extract", deb, unpacked)
	checkSBOM(t, filepath.Join(unpacked, "usr/share/doc/cached/cached.cdx.json"), filepath.Join(unpacked, "usr/bin/cached"), nil)
	list := output(t, dpkg, "--contents", deb)
	for mode, paths := range installed {
		for path := range strings.FieldsSeq(paths) {
			if !regexp.MustCompile(`(?m)^` + mode + ` root/root .* \.` + regexp.QuoteMeta(path) + `$`).MatchString(list) {
				t.Errorf("lacks %s %s:\n%s", mode, path, list)
			}
		}
	}
}

func TestTheRPM(t *testing.T) {
	rpm := testtool.Debian(t, "rpm")
	file := filepath.Join(built(t), rpmName)
	if got, want := output(t, rpm, "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{BUILDTIME} %{BUILDHOST}", file), "cached 1.2.3 "+rpmArch+" Apache-2.0 1700000000 reproducible"; !strings.Contains(got, want) {
		t.Errorf("it is %s", got)
	}
	if got := output(t, rpm, "-qp", "--configfiles", file); !strings.Contains(got, "/etc/cached/cached.yaml\n/etc/cached/environment\n") {
		t.Errorf("configuration files:\n%s", got)
	}
	digests := output(t, rpm, "-qp", "--qf", "[%{FILENAMES} %{FILEDIGESTS}\n]", file)
	for path, from := range map[string]string{"/usr/bin/cached": "cached", "/usr/share/doc/cached/cached.cdx.json": "cached.cdx.json"} {
		content, err := os.ReadFile(filepath.Join(built(t), from))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s %x\n", path, sha256.Sum256(content)); !strings.Contains(digests, want) {
			t.Errorf("%s is not what was built:\n%s", path, digests)
		}
	}
	list := output(t, rpm, "-qp", "-l", "-v", file)
	for mode, paths := range installed {
		for path := range strings.FieldsSeq(paths) {
			if !regexp.MustCompile(`(?m)^` + mode + ` .*root +root .* ` + regexp.QuoteMeta(path) + `$`).MatchString(list) {
				t.Errorf("lacks %s %s:\n%s", mode, path, list)
			}
		}
	}
}

// Whoever has the commit has the bytes, wherever the tree is.
func TestTheBinaryIsTheSameElsewhere(t *testing.T) {
	once(t)
	root, err := pin.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("git", "-C", root, "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("there is no commit to clone: the tree has no repository of git")
	}
	digests := map[string]string{}
	for _, name := range []string{"here", "a/longer/path"} {
		dir := filepath.Join(t.TempDir(), name)
		output(t, "git", "clone", "--quiet", "--no-hardlinks", root, dir)
		cmd := exec.Command("make", "build", "VERSION="+version, "OUT="+filepath.Join(dir, "bin"))
		cmd.Dir, cmd.Env = dir, withoutMake(os.Environ())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		binary, err := os.ReadFile(filepath.Join(dir, "bin", "cached"))
		if err != nil {
			t.Fatal(err)
		}
		digests[fmt.Sprintf("%x", sha256.Sum256(binary))] = name
	}
	if len(digests) != 1 {
		t.Errorf("one commit gives %v", digests)
	}
}

// The list of what is in the binary is of its version, and names every module that the
// binary names (`go version -m`), and the standard library.
func TestTheSBOM(t *testing.T) {
	checkSBOM(t, filepath.Join(built(t), "cached.cdx.json"), filepath.Join(built(t), "cached"), nil)
}

// checkSBOM wants a list to name the modules of a binary, and these files by their digests.
func checkSBOM(t *testing.T, file, binary string, files map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Component struct{ Name, Version string }
		}
		Components []struct {
			Type, Name, Version, Purl string
			Hashes                    []struct{ Alg, Content string }
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.Format != "CycloneDX" {
		t.Fatalf("%q, %v", bom.Format, err)
	}
	if c := bom.Metadata.Component; c.Name != info.Main.Path || c.Version != version {
		t.Errorf("it is of %+v", c)
	}
	if said := output(t, binary, "version"); !strings.HasPrefix(said, "cached "+bom.Metadata.Component.Version+" ") {
		t.Errorf("it is of %s, the binary says %s", bom.Metadata.Component.Version, said)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
		if want, ok := files[c.Name]; ok {
			if c.Type != "file" || c.Version != "sha256:"+want || len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-256" || c.Hashes[0].Content != want {
				t.Errorf("%s of digest %s is listed as %+v", c.Name, want, c)
			}
			continue
		}
		if !strings.HasPrefix(c.Purl, "pkg:golang/") {
			t.Errorf("%s has the purl %s", c.Name, c.Purl)
		}
	}
	if len(info.Deps) < 50 {
		t.Errorf("the binary names %d modules", len(info.Deps))
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if listed[m.Path] != m.Version {
			t.Errorf("%s %s is listed as %q", m.Path, m.Version, listed[m.Path])
		}
	}
	if got := listed["std"]; got != info.GoVersion {
		t.Errorf("the standard library of %s is listed as %q", info.GoVersion, got)
	}
	if len(bom.Components) != len(info.Deps)+1+len(files) {
		t.Errorf("%d components are listed, the binary has %d modules, and there are %d files", len(bom.Components), len(info.Deps), len(files))
	}
}
