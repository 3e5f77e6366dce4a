package zone

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/testtool"
)

// The credentials of the zone's S3 server, which checks signatures.
const (
	accessKey = "AKIAZONETESTONLY0000"
	secretKey = "zone-test-only/secret+key/of/no/account"
)

// ImageName is what the published image is called.
const ImageName = "image"

// A Store is the zone's origin: an S3 server on a host of its own.
type Store struct {
	Host    *netlab.Host
	URL     string // as the daemons are given it
	process *testtool.Process
	dir     string
	log     string // of accesses
	tool    string
}

const storePort = 9000

func startStore(tb testing.TB, host *netlab.Host) *Store {
	tb.Helper()
	s := &Store{Host: host, dir: tb.TempDir(), tool: testtool.Go(tb, "versitygw")}
	s.log = filepath.Join(tb.TempDir(), "access.log")
	if err := os.Mkdir(filepath.Join(s.dir, "images"), 0o755); err != nil {
		tb.Fatal(err)
	}
	s.URL = fmt.Sprintf("s3://images?endpoint=http://%s&region=us-east-1", host.Address(storePort))
	s.Start(tb)
	return s
}

// Start starts the server again after Stop or Kill.
func (s *Store) Start(tb testing.TB) {
	tb.Helper()
	address := s.Host.Address(storePort)
	cmd := exec.Command(s.tool, "--port", address, "--quiet", "--access-log", s.log, "posix", s.dir)
	cmd.Env = append(environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	s.process = s.Host.Start(tb, cmd, testtool.Listening(address))
}

// Stop stops the server.
func (s *Store) Stop() { s.process.Stop() }

// environ is what programs of the zone are started with: nothing of the user's
// own settings.
func environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir(),
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
	}
}

// Content says what an image consists of: bytes that no compression makes
// smaller and that are the same wherever Seed is.
type Content struct {
	Name string
	Size int64
	Seed uint64
}

// An Image is what was published.
type Image struct {
	Manifest string `json:"manifest_id"`
	Blocks   int64  `json:"new_blocks"` // distinct
	Bytes    int64  `json:"new_bytes"`  // of the distinct blocks, as stored
}

// Publish publishes an image from the store's own host, so that its link carries
// nothing.
func (s *Store) Publish(tb testing.TB, programs Programs, c Content) Image {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "bytes")
	if err := c.write(file); err != nil {
		tb.Fatal(err)
	}
	defer os.Remove(file)
	return s.PublishSource(tb, programs, "file:"+file, c.Name)
}

// PublishSource is Publish for what `cached publish` takes, with further flags.
func (s *Store) PublishSource(tb testing.TB, programs Programs, source, name string, flags ...string) Image {
	tb.Helper()
	cmd := programs.Command(append([]string{"publish", source, "--name", name, "--origin", s.URL, "--json"}, flags...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var err error
	s.Host.Do(tb, func() { err = cmd.Run() })
	if err != nil {
		tb.Fatalf("publish: %v\n%s", err, &complaints)
	}
	var img Image
	if err := json.Unmarshal(out.Bytes(), &img); err != nil {
		tb.Fatalf("publish: %v in %s", err, &out)
	}
	return img
}

func (c Content) write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.Seed)
	if _, err := io.CopyN(f, rand.NewChaCha8(seed), c.Size); err != nil {
		return err
	}
	return f.Close()
}
