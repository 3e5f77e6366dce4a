package gossip

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestNewKeyIsAKey(t *testing.T) {
	keys, err := parseKeys([]byte(NewKey() + "\n" + NewKey()))
	if err != nil || len(keys) != 2 || len(keys[0]) != 32 {
		t.Errorf("got %d keys, %v", len(keys), err)
	}
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("fifteen bytes.."))
	for name, test := range map[string]struct{ file, want string }{
		"empty":       {"", "no key"},
		"comments":    {"# none yet\n\n", "no key"},
		"not base64":  {testKey + "\nhunter2!\n", "line 2 is not base64"},
		"wrong size":  {secret, "line 1 has 15 bytes"},
		"far too big": {strings.Join(manyKeys(maxKeys+1), "\n"), "9 keys"},
	} {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openKeys(path)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret)) {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
	if _, err := openKeys(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file was opened")
	}
}

func manyKeys(n int) (keys []string) {
	for range n {
		keys = append(keys, NewKey())
	}
	return keys
}

func TestBadKeyFileIsReportedOnceAndChangesNothing(t *testing.T) {
	path := keyFileOf(t, testKey)
	k, err := openKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := k.reload(); changed || err != nil {
		t.Errorf("the same file: %v, %v", changed, err)
	}
	writeKeys(t, path, "nonsense!")
	if _, err := k.reload(); err == nil {
		t.Error("a bad file was taken")
	}
	if _, err := k.reload(); err != nil {
		t.Errorf("reported again: %v", err)
	}
	if got := k.ring.GetKeys(); len(got) != 1 || base64.StdEncoding.EncodeToString(got[0]) != testKey {
		t.Error("the key in use is gone")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := k.reload(); err == nil {
		t.Error("a missing file went unnoticed")
	}
}

// Readers hold on to the array of keys while keys are replaced: the race detector
// sees whether it changes under them.
func TestKeysAreReplacedUnderReaders(t *testing.T) {
	decode := func(texts []string) (keys [][]byte) {
		for _, text := range texts {
			key, _ := base64.StdEncoding.DecodeString(text)
			keys = append(keys, key)
		}
		return keys
	}
	pool := decode(manyKeys(5))
	ring, err := memberlist.NewKeyring(pool[:2], pool[0])
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, key := range ring.GetKeys() {
					if len(key) != 32 {
						t.Error("half a key")
					}
				}
			}
		})
	}
	for _, want := range [][]int{{0, 1, 2}, {2, 0, 1}, {2}, {3, 2}, {1, 3, 4, 0}, {4, 1}, {0}, {0, 1, 2, 3, 4}, {2, 4}} {
		var keys [][]byte
		for _, i := range want {
			keys = append(keys, pool[i])
		}
		if err := replaceKeys(ring, keys); err != nil {
			t.Fatal(err)
		}
		got := ring.GetKeys()
		if len(got) != len(keys) || !bytes.Equal(got[0], keys[0]) {
			t.Errorf("%v: %d keys, the first right: %v", want, len(got), bytes.Equal(got[0], keys[0]))
		}
		for _, key := range keys {
			found := false
			for _, g := range got {
				found = found || bytes.Equal(g, key)
			}
			if !found {
				t.Errorf("%v: a key is missing", want)
			}
		}
	}
	close(stop)
	readers.Wait()
}
