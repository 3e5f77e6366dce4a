package zone

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/identity"
)

// ZoneName is what the zone is called.
const ZoneName = "lab"

// keys are what the nodes of a zone recognise each other by.
type keys struct {
	ca     *identity.CA
	dir    string // a directory for each node's certificate
	gossip string // file
}

func newKeys(tb testing.TB) *keys {
	tb.Helper()
	k := &keys{dir: tb.TempDir()}
	var err error
	if k.ca, err = identity.NewCA(identity.CAOptions{Zone: ZoneName}); err != nil {
		tb.Fatal(err)
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	k.gossip = filepath.Join(k.dir, "gossip-keys")
	if err := os.WriteFile(k.gossip, []byte(base64.StdEncoding.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return k
}

// issue makes a certificate for a node and returns its directory.
func (k *keys) issue(tb testing.TB, node string) string {
	tb.Helper()
	bundle, err := k.ca.Issue(identity.Request{Node: node})
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(k.dir, node)
	if err := bundle.Write(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}
