package gossip

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxKeys bounds how often a stranger's packet is tried.
const maxKeys = 8

// NewKey makes a line of a key file: 32 random bytes in base64.
func NewKey() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return base64.StdEncoding.EncodeToString(key[:])
}

// parseKeys reads a key file: one key a line, empty lines and lines that begin
// with # are skipped. Its errors never quote a key.
func parseKeys(file []byte) ([][]byte, error) {
	var keys [][]byte
	line := 0
	for text := range strings.Lines(string(file)) {
		line++
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64", line)
		}
		if err := memberlist.ValidateKey(key); err != nil {
			return nil, fmt.Errorf("line %d has %d bytes: want 16, 24 or 32", line, len(key))
		}
		if slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			continue
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key in it")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("%d keys: want at most %d", len(keys), maxKeys)
	}
	return keys, nil
}

// CheckKeys reads a key file as a node would, and returns how many keys are in it.
func CheckKeys(path string) (int, error) {
	k, err := openKeys(path)
	if err != nil {
		return 0, err
	}
	return len(k.ring.GetKeys()), nil
}

// A keyFile is a key file and the keys in use.
type keyFile struct {
	path string
	ring *memberlist.Keyring
	last []byte // what the file held when it was last looked at, good or bad
}

func openKeys(path string) (*keyFile, error) {
	k := &keyFile{path: path}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	keys, err := parseKeys(file)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	k.last = file
	if k.ring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// reload takes the file's keys if it changed, and says so. After an error the keys
// in use stay; the same bad file is not reported again.
func (k *keyFile) reload() (bool, error) {
	file, err := os.ReadFile(k.path)
	if err != nil {
		file = []byte(err.Error())
	}
	if bytes.Equal(file, k.last) {
		return false, nil
	}
	k.last = file
	if err != nil {
		return false, fmt.Errorf("key file: %w", err)
	}
	keys, err := parseKeys(file)
	if err != nil {
		return false, fmt.Errorf("key file %s: %w", k.path, err)
	}
	return true, replaceKeys(k.ring, keys)
}

// replaceKeys makes a ring in use hold these keys, the first one encrypting.
//
// [memberlist.Keyring.RemoveKey] moves the keys behind the removed one within the
// array that readers still hold, unless there are none behind it. So a key is
// only ever removed from the end, after those behind it were moved to the front.
func replaceKeys(ring *memberlist.Keyring, keys [][]byte) error {
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return err
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	wanted := func(key []byte) bool {
		return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	for {
		held := ring.GetKeys()
		end := held[len(held)-1]
		switch {
		case len(held) == len(keys):
			return ring.UseKey(keys[0])
		case wanted(end):
			if err := ring.UseKey(end); err != nil {
				return err
			}
		default:
			if err := ring.RemoveKey(end); err != nil {
				return err
			}
		}
	}
}

// watchKeys reads the key file again when it changed, until the membership closes.
func (m *Membership) watchKeys(k *keyFile) {
	tick := time.NewTicker(m.opt.Timing.Reload)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := k.reload()
		switch {
		case err != nil:
			m.counts.keyErrors.Add(1)
			m.opt.Logger.Error("gossip: the keys in use stay", "error", err)
		case changed:
			m.counts.keyReloads.Add(1)
			m.opt.Logger.Info("gossip: keys read again", "file", k.path, "keys", len(k.ring.GetKeys()))
		}
	}
}
