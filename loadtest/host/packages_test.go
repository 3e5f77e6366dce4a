package host

import (
	"archive/tar"
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
)

// TestProvePrefetchPackage unpacks a code package of 10 MB on a host that has nothing
// of it, in a zone whose other hosts have it.
func TestProvePrefetchPackage(t *testing.T) {
	full(t)
	measurePackage(t)
}

func measurePackage(t *testing.T) {
	tree, dirs := packageTree(t)
	l := newArtefactLab(t, 3)
	for _, form := range []string{"zip", "tar.zst"} {
		t.Run(form, func(t *testing.T) { l.coldPackage(t, form, tree, dirs) })
	}
}

func (l *lab) coldPackage(t *testing.T, form, tree string, dirs []string) {
	name, image := "prefetch.package."+strings.ReplaceAll(form, ".", "_"), "package-"+form
	file := filepath.Join(l.dir, image)
	if err := pack(file, form, tree, dirs, pick[int64](10<<20, 256<<10)); err != nil {
		t.Fatal(err)
	}
	l.zone.Store.PublishSource(t, l.programs, "file:"+file, image)
	for _, n := range l.zone.Nodes[1:] {
		on(t, n, l.programs.Command("read", image, "--output", "/dev/null"))
	}
	onDisk, inMemory := packageTimes{}, packageTimes{}
	memory := memoryDir(t)
	for range pick(100, 3) {
		onDisk.add(l.unpackCold(t, image, l.room(t, "package")))
		inMemory.add(l.unpackCold(t, image, memory))
		onDisk.tool = append(onDisk.tool, unpackByTool(t, file, form, l.room(t, "tool")))
		inMemory.tool = append(inMemory.tool, unpackByTool(t, file, form, memory))
	}
	last := onDisk.last
	figure.Report(t, name+".packed_mb", float64(last.Packed)/1e6, "MB")
	figure.Report(t, name+".unpacked_mb", float64(last.Bytes)/1e6, "MB")
	figure.Report(t, name+".entries", float64(last.Entries), "entries")
	onDisk.report(t, name)
	inMemory.report(t, name+".memory")
}

// memoryDir returns an empty directory on a file system in memory, as functions often
// have for their code.
func memoryDir(t *testing.T) string {
	t.Helper()
	const shm = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(shm, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		t.Skipf("%s is no file system in memory", shm)
	}
	dir, err := os.MkdirTemp(shm, "cached-package-") //nolint:usetesting // in memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// packageTimes are those of unpacking one package again and again, in seconds.
type packageTimes struct {
	took, whole, cpu []float64
	tool             []float64 // a common program, from a local file
	last             unpacked
}

func (p *packageTimes) add(u unpacked, whole, cpu float64) {
	p.took, p.whole, p.cpu, p.last = append(p.took, u.Seconds), append(p.whole, whole), append(p.cpu, cpu), u
}

func (p *packageTimes) report(t *testing.T, name string) {
	t.Helper()
	figure.Report(t, name+".p50_ms", 1e3*quantile(p.took, 0.5), "ms")
	figure.Report(t, name+".p99_ms", 1e3*quantile(p.took, 0.99), "ms")
	figure.Report(t, name+".command_p50_ms", 1e3*quantile(p.whole, 0.5), "ms")
	figure.Report(t, name+".cpu_p50_ms", 1e3*quantile(p.cpu, 0.5), "ms")
	figure.Report(t, name+".tool_p50_ms", 1e3*quantile(p.tool, 0.5), "ms")
	figure.Report(t, name+".by_tool", quantile(p.took, 0.5)/quantile(p.tool, 0.5), "x")
}

// unpackCold unpacks a package below dir on the first host, which has nothing of it;
// the others have.
func (l *lab) unpackCold(t *testing.T, image, dir string) (u unpacked, whole, cpu float64) {
	t.Helper()
	l.first.Wipe(t)
	l.zone.Await(t, l.zone.Nodes[1:])
	l.first.Start(t)
	l.zone.Await(t, l.zone.Nodes)
	dir = filepath.Join(dir, "out")
	before := l.zone.Store.Host.Traffic(t)
	began := time.Now()
	cmd := l.programs.Command("read", image, "--extract", dir, "--json")
	out := on(t, l.first, cmd)
	whole = time.Since(began).Seconds()
	cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if err := json.Unmarshal([]byte(out), &u); err != nil {
		t.Fatal(err)
	}
	if sent := l.zone.Store.Host.Traffic(t).Since(before).Sent; sent > u.Packed/10 {
		t.Errorf("the store sent %d bytes of a package that other hosts have", sent)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return u, whole, cpu
}

// unpackByTool has a common program unpack a local file below dir, and returns how
// long that took.
func unpackByTool(t *testing.T, file, form, dir string) float64 {
	t.Helper()
	dir = filepath.Join(dir, "out")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtool.Debian(t, "unzip"), "-q", file, "-d", dir)
	if form == "tar.zst" {
		cmd = exec.Command("tar", "-I", testtool.Debian(t, "zstd"), "-xf", file, "-C", dir)
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began).Seconds()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return took
}

// An unpacked is what `cached read --extract --json` prints.
type unpacked struct {
	Packed  int64   `json:"packed_bytes"`
	Bytes   int64   `json:"bytes"`
	Entries int     `json:"entries"`
	Seconds float64 `json:"seconds"`
}

// quantile returns the value that so large a share of all is not above.
func quantile(v []float64, share float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[min(int(share*float64(len(v))), len(v)-1)]
}

// packageTree returns a tree and which of its directories a code package is made of:
// a web service in Python that computes, as Debian packs it, or, at small size,
// sources of Go.
func packageTree(t *testing.T) (tree string, dirs []string) {
	t.Helper()
	if !figure.Full() {
		return filepath.Join(runtime.GOROOT(), "src"), []string{"encoding", "net"} //nolint:staticcheck // go test sets it
	}
	tree = "/usr/lib/python3/dist-packages"
	for module, pkg := range map[string]string{"numpy": "python3-numpy", "flask": "python3-flask", "requests": "python3-requests", "yaml": "python3-yaml", "pygments": "python3-pygments"} {
		testtool.DebianFile(t, filepath.Join(tree, module, "__init__.py"), pkg)
	}
	return tree, []string{"flask", "werkzeug", "jinja2", "markupsafe", "click", "itsdangerous", "requests", "urllib3", "certifi", "idna", "yaml", "numpy", "pygments"}
}

// pack packs directories of a tree, up to about so many bytes.
func pack(file, form, tree string, dirs []string, size int64) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	p, err := newPacker(form, out)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(tree, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if at, err := out.Seek(0, io.SeekCurrent); err != nil || at >= size {
				return fs.SkipAll
			}
			return p.add(tree, name)
		})
		if err != nil {
			return err
		}
	}
	return p.close()
}

type packer struct {
	entry func(fs.FileInfo, string) (io.Writer, error)
	close func() error
}

func newPacker(form string, w io.Writer) (*packer, error) {
	switch form {
	case "zip":
		z := zip.NewWriter(w)
		return &packer{func(fi fs.FileInfo, name string) (io.Writer, error) {
			h, err := zip.FileInfoHeader(fi)
			if err != nil {
				return nil, err
			}
			h.Name, h.Method = name, zip.Deflate
			return z.CreateHeader(h)
		}, z.Close}, nil
	case "tar.zst":
		c, err := zstd.NewWriter(w)
		if err != nil {
			return nil, err
		}
		a := tar.NewWriter(c)
		return &packer{func(fi fs.FileInfo, name string) (io.Writer, error) {
			h, err := tar.FileInfoHeader(fi, "")
			if err != nil {
				return nil, err
			}
			h.Name = name
			return a, a.WriteHeader(h)
		}, func() error {
			if err := a.Close(); err != nil {
				return err
			}
			return c.Close()
		}}, nil
	}
	return nil, fmt.Errorf("no packer of %s", form)
}

func (p *packer) add(tree, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(tree, name)
	if err != nil {
		return err
	}
	w, err := p.entry(fi, rel)
	if err == nil {
		_, err = io.Copy(w, f)
	}
	return err
}

// newArtefactLab starts hosts on links that are not shaped.
func newArtefactLab(t *testing.T, nodes int) *lab {
	t.Helper()
	needHost(t)
	l := &lab{tools: tools{programs: built.Programs(t)}, dir: t.TempDir(), mounts: map[string]mounted{}}
	l.zone = zone.Start(t, zone.Options{Programs: l.programs, Nodes: nodes, Spread: zone.Redirect, L1: "1GiB", L2: "2GiB"})
	l.first = l.zone.Nodes[0]
	t.Cleanup(func() {
		for _, m := range l.mounts {
			l.abandon(t, m)
		}
	})
	return l
}
