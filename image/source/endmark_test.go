package source

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// umoci writes layers without the zeros that end a tar archive. Their digests say
// that they are whole; a bare archive has nothing that would.
func TestLayersWithoutEndMarkAreWhole(t *testing.T) {
	dir := t.TempDir()
	layers, want := sampleLayers(t)
	for i, p := range layers {
		layers[i] = bytes.TrimRight(p, "\x00")
		layers[i] = p[:(len(layers[i])+511)/512*512]
	}
	bare := write(t, layers[0], dir, "layer.tar")
	l, err := layout.Write(filepath.Join(dir, "oci"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(containerImage(t, "riscv64", layers)); err != nil {
		t.Fatal(err)
	}
	s := newStore()
	checkTree(t, mustPublish(t, s, "oci:"+filepath.Join(dir, "oci"), Options{Platform: "linux/riscv64"}).tree(t), want)
	_, err = publish(s, "tar:"+bare, Options{})
	wantError(t, "an archive that may be cut off", err, "end mark")
}
