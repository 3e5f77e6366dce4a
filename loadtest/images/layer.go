package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
)

// The layers of every image, lowest first.
const (
	baseLayer    = "base"
	runtimeLayer = "runtime"
	appLayer     = "app"
)

// form is part of every key. It changes when the same recipe comes to give
// other bytes.
const form = 1

const suite = "bookworm"

// A layer says how a layer is made. All fields but Doing count for its key.
// What is set happens in the order of the fields.
type layer struct {
	Name string
	On   *layer // what it stands on; nil: nothing

	Changes *layer // begin with a copy of this one, which stands on the same

	Variant  string   // unpack Packages as mmdebstrap calls it
	Packages []string // for Variant
	Exclude  []string // paths that packages do not bring, here and above

	Files map[string]string // put these there

	Shell  string // of Script
	Script string // run this in the root of all layers

	Doing string `json:"-"` // what Script does, for people
}

// key names the layer: the same key, the same bytes.
func (l layer) key() (string, error) {
	text, err := json.Marshal(struct {
		Form        int
		Suite, Arch string
		Epoch       int64
		Scripts     string
		Layer       layer
	}{form, suite, runtime.GOARCH, epoch.Unix(), unpackPackages + inRoot, l})
	if err != nil {
		return "", fmt.Errorf("images: key of the %s layer: %w", l.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:10]), nil
}

// below returns the layers that l stands on, nearest first.
func (l layer) below() []layer {
	if l.On == nil {
		return nil
	}
	return append([]layer{*l.On}, l.On.below()...)
}

// stacked reports whether other layers may need the unpacked files.
func (l layer) stacked() bool { return l.Files == nil && l.Changes == nil }

// A Layer is a layer that was built.
type Layer struct {
	Name     string `json:"name"` // "base", "runtime" or "app"
	Key      string `json:"key"`
	Digest   string `json:"digest"`   // of the compressed archive, as manifests have it
	DiffID   string `json:"diff_id"`  // of the archive itself, as configs have it
	Size     int64  `json:"size"`     // bytes of the compressed archive
	Unpacked int64  `json:"unpacked"` // bytes of the regular files
	Files    int    `json:"files"`    // entries of the archive
}
