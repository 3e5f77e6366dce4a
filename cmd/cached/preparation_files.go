package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// preparationFiles keeps preparations across restarts, each in a file. Where that is
// not possible they end with the daemon.
type preparationFiles struct {
	dir string // "": nothing is kept
	log *slog.Logger
}

const preparationSuffix = ".json"

func (f preparationFiles) file(image string) string {
	return filepath.Join(f.dir, image+preparationSuffix)
}

// load returns what is kept. A file that cannot be read is left out.
func (f preparationFiles) load() (all []*cachedv1.Preparation) {
	if f.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	f.note(err)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), preparationSuffix)
		if !ok || block.CheckName(name) != nil || len(all) == maxPreparations {
			continue
		}
		text, err := os.ReadFile(f.file(name))
		p := &cachedv1.Preparation{}
		if err == nil {
			err = protojson.Unmarshal(text, p)
		}
		if f.note(err); err == nil && p.GetImage() == name {
			all = append(all, p)
		}
	}
	return all
}

// save writes a preparation, as a whole or not at all.
func (f preparationFiles) save(p *cachedv1.Preparation) {
	if f.dir == "" {
		return
	}
	text, err := protojson.Marshal(p)
	if err == nil {
		err = replaceFile(f.file(p.GetImage()), text)
	}
	f.note(err)
}

func (f preparationFiles) remove(image string) {
	if f.dir != "" {
		f.note(os.Remove(f.file(image)))
	}
}

func (f preparationFiles) note(err error) {
	if err != nil {
		f.log.Warn("a preparation is not kept as it is", "error", err)
	}
}
