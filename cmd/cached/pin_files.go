package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// pinFiles keeps pins across restarts, each in a file, with the ids of its blocks: a
// daemon that starts without its origin must not evict them.
type pinFiles struct {
	dir string
	log *slog.Logger
}

// A pinRecord is a pin in its file.
type pinRecord struct {
	Image    string                    `json:"image"`
	Manifest string                    `json:"manifest_id"`
	Scope    cachedv1.PreparationScope `json:"scope"`
	Since    time.Time                 `json:"since"`
	Blocks   string                    `json:"blocks"` // base64 of 32 bytes of id and 4 of length, little endian, each
}

const (
	pinID    = len(block.ID{})
	pinEntry = pinID + 4
)

func (f pinFiles) file(image string) string { return filepath.Join(f.dir, image+preparationSuffix) }

// load returns what is kept. A file that cannot be read is left out.
func (f pinFiles) load() (all []*pin) {
	if f.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	f.note(err)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), preparationSuffix)
		if !ok || block.CheckName(name) != nil || len(all) == maxPins {
			continue
		}
		p, err := f.read(name)
		if f.note(err); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func (f pinFiles) read(name string) (*pin, error) {
	text, err := os.ReadFile(f.file(name))
	if err != nil {
		return nil, err
	}
	var r pinRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", f.file(name), err)
	}
	packed, err := base64.StdEncoding.DecodeString(r.Blocks)
	if err != nil || r.Image != name || len(packed)%pinEntry != 0 {
		return nil, fmt.Errorf("%s: it is damaged", f.file(name))
	}
	p := &pin{image: name, manifest: r.Manifest, scope: r.Scope, since: r.Since, state: cachedv1.PinState_PIN_STATE_PINNING}
	for ; len(packed) > 0; packed = packed[pinEntry:] {
		b := prefetch.Block{Length: int(binary.LittleEndian.Uint32(packed[pinID:]))}
		copy(b.ID[:], packed)
		p.blocks = append(p.blocks, b)
	}
	return p, nil
}

// save writes a pin, as a whole or not at all.
func (f pinFiles) save(p *pin) error {
	if f.dir == "" {
		return errors.New("the pin cannot be kept: the daemon's data-dir takes no files")
	}
	packed := make([]byte, 0, len(p.blocks)*pinEntry)
	for _, b := range p.blocks {
		packed = binary.LittleEndian.AppendUint32(append(packed, b.ID[:]...), uint32(b.Length))
	}
	text, err := json.Marshal(pinRecord{p.image, p.manifest, p.scope, p.since, base64.StdEncoding.EncodeToString(packed)})
	if err != nil {
		return err
	}
	return replaceFile(f.file(p.image), text)
}

func (f pinFiles) remove(image string) {
	if f.dir != "" {
		f.note(os.Remove(f.file(image)))
	}
}

func (f pinFiles) note(err error) {
	if err != nil {
		f.log.Warn("a pin is not kept as it is", "error", err)
	}
}
