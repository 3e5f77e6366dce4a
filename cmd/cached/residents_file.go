package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/zonecache/cached/block"
)

// A residentsFile keeps which images a host has to do with across restarts: their
// blocks are on its disk still.
type residentsFile struct {
	name string
	log  *slog.Logger
}

// A residentRow is an image in the file.
type residentRow struct {
	Manifest  string   `json:"manifest_id"`
	Name      string   `json:"name,omitempty"`
	Workloads []string `json:"workloads,omitempty"`
	// Packed are the packs that were read, by workload.
	Packed map[string]string `json:"packed,omitempty"`
}

// load returns the images, the oldest first. A file that cannot be read is none.
func (f residentsFile) load() (all []resident) {
	var rows []residentRow
	text, err := os.ReadFile(f.name)
	if err == nil {
		err = json.Unmarshal(text, &rows)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		f.note(err)
	}
	for _, row := range rows[max(0, len(rows)-maxResidents):] {
		id, err := block.ParseID(row.Manifest)
		if err != nil || row.Name != "" && block.CheckName(row.Name) != nil {
			continue
		}
		all = append(all, resident{manifest: id, name: row.Name, workloads: row.Workloads[:min(len(row.Workloads), maxNeeds)]})
		for w, pack := range row.Packed {
			if id, err := block.ParseID(pack); err == nil {
				all[len(all)-1].opened(w, id)
			}
		}
	}
	return all
}

// save writes the images, all or nothing.
func (f residentsFile) save(all []resident) {
	rows := make([]residentRow, len(all))
	for i, is := range all {
		rows[i] = residentRow{Manifest: is.manifest.String(), Name: is.name, Workloads: is.workloads}
		for w, pack := range is.packed {
			if rows[i].Packed == nil {
				rows[i].Packed = map[string]string{}
			}
			rows[i].Packed[w] = pack.String()
		}
	}
	text, err := json.Marshal(rows)
	if err == nil {
		err = replaceFile(f.name, text)
	}
	f.note(err)
}

func (f residentsFile) note(err error) {
	if err != nil {
		f.log.Warn("which images this host has to do with is not kept across restarts", "error", err)
	}
}
