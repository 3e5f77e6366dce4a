package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// check fails the test unless the doctor came to one verdict in these words, and said
// what to do about it.
func (d *doctor) check(t *testing.T, check string, v verdict, is, do string) {
	t.Helper()
	if !slices.ContainsFunc(d.found, func(f finding) bool {
		return f.Check == check && f.Verdict == v && strings.Contains(f.Is, is) && strings.Contains(f.Do, do)
	}) {
		t.Errorf("no finding that %s is %s: %q -> %q; but %+v", check, v, is, do, d.found)
	}
}

// aStore is an S3 server that answers as it is told, with the bucket images.
func aStore(t *testing.T, answer http.HandlerFunc) Config {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIADOCTORTESTONLY00")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-only/of/no/account/at/all")
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c := Default()
	c.Origins = []string{"s3://images?endpoint=" + server.URL}
	return c
}

func answerError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<Error><Code>" + code + "</Code><Message>" + code + "</Message></Error>"))
}

// A certificate of a day is new for most of it.
func TestDoctorOfCertificates(t *testing.T) {
	ca, _ := provenZone(t, "z1")
	for lifetime, v := range map[time.Duration]verdict{365 * 24 * time.Hour: sound, 6 * 24 * time.Hour: sound, 24 * time.Hour: sound, 5 * time.Hour: doubted} {
		var d doctor
		d.cfg.TLS.Dir, _ = issueNode(t, ca, "a", lifetime)
		d.agents(t.Context())
		d.check(t, "certificate", v, "agents: ends ", "")
	}
}

func TestDoctorOfOrigins(t *testing.T) {
	for _, c := range []struct {
		what   string
		answer http.HandlerFunc
		v      verdict
		is, do string
	}{
		{"well", func(w http.ResponseWriter, _ *http.Request) { answerError(w, 404, "NoSuchKey") }, sound, "answers in", ""},
		{"another secret", func(w http.ResponseWriter, _ *http.Request) { answerError(w, 403, "SignatureDoesNotMatch") }, broken, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"},
		{"no rights", func(w http.ResponseWriter, _ *http.Request) { answerError(w, 403, "AccessDenied") }, broken, "AccessDenied", "credentials"},
		{"no bucket", func(w http.ResponseWriter, _ *http.Request) { answerError(w, 404, "NoSuchBucket") }, broken, "images", "bucket"},
		{"far", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(farOrigin + 50*time.Millisecond):
			case <-r.Context().Done():
			}
			answerError(w, 404, "NoSuchKey")
		}, doubted, "answers in", "same region"},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := &doctor{cfg: aStore(t, c.answer)}
			d.origins(t.Context())
			d.check(t, "origin", c.v, c.is, c.do)
		})
	}
	t.Run("unknown CA", func(t *testing.T) {
		d := &doctor{cfg: aStore(t, nil)}
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		d.cfg.Origins = []string{"s3://images?endpoint=" + server.URL}
		d.origins(t.Context())
		d.check(t, "origin", broken, "certificate", "the CA (ca=)")
	})
	t.Run("gone", func(t *testing.T) {
		d := &doctor{cfg: aStore(t, nil)}
		d.cfg.Origins = []string{"s3://images?endpoint=http://127.0.0.1:1"}
		d.origins(t.Context())
		d.check(t, "origin", broken, "refused", "the way to it")
		d.clock(t.Context())
		d.check(t, "clock", doubted, "does not tell its own", "15 minutes")
	})
}

func TestDoctorOfTheClock(t *testing.T) {
	for _, c := range []struct {
		off time.Duration
		v   verdict
		do  string
	}{{0, sound, ""}, {-time.Minute, doubted, "NTP"}, {20 * time.Minute, broken, "NTP"}} {
		d := &doctor{cfg: aStore(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(c.off).UTC().Format(http.TimeFormat))
		})}
		d.clock(t.Context())
		d.check(t, "clock", c.v, "off that of http://", c.do)
	}
}

func TestDoctorSaysThatAFolderHasNoClock(t *testing.T) {
	d := &doctor{cfg: Default()}
	d.cfg.Origins = []string{"file:///srv/origin"}
	d.clock(t.Context())
	d.check(t, "clock", sound, "compared with none", "")
}

func TestDoctorOfTheDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root: run this test as root")
	}
	dir := filepath.Join(t.TempDir(), "l2")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=80m"); err != nil {
		t.Skipf("mount tmpfs: %v: run as root where mounting is allowed", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	look := func() *doctor {
		d := &doctor{cfg: Default()}
		d.cfg.DataDir, d.cfg.L2.Dir, d.cfg.L2.Size = filepath.Dir(dir), dir, 64<<20
		d.disk()
		return d
	}
	d := look()
	d.check(t, "disk", doubted, "is in memory", "NVMe")
	d.check(t, "disk speed", sound, "/s written and synced, 4.0 KiB of it on the medium in ", "")
	if left, err := filepath.Glob(filepath.Join(dir, "doctor-*")); len(left) > 0 || err != nil {
		t.Errorf("it left %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, "of-others"), make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	look().check(t, "disk speed", doubted, "no space left", "make room")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	look().check(t, "disk speed", broken, "read-only", "write there")
}

func TestDoctorOfMemoryAndDescriptors(t *testing.T) {
	d := &doctor{cfg: Default()}
	d.cfg.L1.Size = 1 << 50
	d.memory()
	d.check(t, "memory", broken, "1.0 PiB", "lower --l1-size")
	d.descriptors()
	if len(d.found) != 2 {
		t.Errorf("%+v", d.found)
	}
}

func TestDoctorOfPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &doctor{cfg: Default()}
	d.cfg.Listen, d.cfg.Admin, d.cfg.Zone.Name = "127.0.0.1:0", l.Addr().String(), "z1"
	d.cfg.Zone.PeerListen, d.cfg.Zone.Gossip = "192.0.2.1:7072", "127.0.0.1:0"
	d.ports()
	d.check(t, "ports", broken, l.Addr().String()+" is in use", "--admin")
	d.check(t, "ports", broken, "192.0.2.1:7072 is not this host's", "--peer-listen")
	d = &doctor{cfg: d.cfg}
	d.cfg.Admin, d.cfg.Zone.PeerListen = "127.0.0.1:0", "127.0.0.1:0"
	d.ports()
	d.check(t, "ports", sound, "all 4 are free", "")
}

// A disk that reads slowly is found, and one that is read by memory is not praised.
func TestDoctorOfDiskReads(t *testing.T) {
	dir := t.TempDir()
	wrote, read, err := tryDisk(dir)
	if err != nil || wrote.rate <= 0 || wrote.median <= 0 || read.rate <= 0 || read.median <= 0 {
		t.Errorf("%+v, %+v, %v", wrote, read, err)
	}
	for _, c := range []struct {
		read pace
		v    verdict
		is   string
	}{
		{pace{slowDisk - 1, time.Millisecond, true}, doubted, "512 KiB in 1ms, past the page cache"},
		{pace{slowDisk, time.Millisecond, true}, sound, "past the page cache"},
		{pace{slowDisk - 1, time.Millisecond, false}, sound, "by the page cache"},
	} {
		d := &doctor{}
		d.noteReads(c.read, nil)
		d.check(t, "disk reads", c.v, c.is, "")
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("it left %v, %v", left, err)
	}
}

// An unreadFile is read with an error, and says when it is closed.
type unreadFile struct {
	writtenFile
	err    error // nil: it is read
	closed func()
}

func (f unreadFile) ReadAt(buf []byte, at int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.writtenFile.ReadAt(buf, at)
}

func (f unreadFile) Close() error {
	f.closed()
	return f.writtenFile.Close()
}

// Some file systems open for direct I/O and refuse to read so.
func TestDoctorReadsByThePageCacheWhereDirectReadsAreRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, trialBlock), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		direct error // of opening for direct I/O
		read   error // of reading so
		want   error
	}{
		{"at the open", syscall.EINVAL, nil, nil},
		{"at the first read", nil, &os.PathError{Op: "read", Path: name, Err: syscall.EINVAL}, nil},
		{"a disk that is broken", nil, &os.PathError{Op: "read", Path: name, Err: syscall.EIO}, syscall.EIO},
	} {
		left := 0
		p, err := tryReads(func(flag int) (writtenFile, error) {
			refused := c.read
			switch {
			case flag&syscall.O_DIRECT == 0:
				refused = nil
			case c.direct != nil:
				return nil, c.direct
			}
			f, err := os.Open(name)
			left++
			return unreadFile{f, refused, func() { left-- }}, err
		}, make([]byte, trialBlock), trialBlock)
		if !errors.Is(err, c.want) || err == nil && (p.direct || p.rate <= 0 || p.median <= 0) || left != 0 {
			t.Errorf("%s: %+v, %v; %d files are left open", c.name, p, err, left)
		}
	}
}

func TestDoctorOfADiskThatCannotBeRead(t *testing.T) {
	d := &doctor{}
	d.noteReads(pace{}, fmt.Errorf("%w: %w", errReads, syscall.EIO))
	d.check(t, "disk reads", broken, "cannot be read: input/output error", "dmesg")
}
