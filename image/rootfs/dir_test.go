package rootfs

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

// goRoot returns the folder of the Go distribution, the real tree that is always there.
func goRoot(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestRealTreeIsTheSameInTheImage(t *testing.T) {
	dir := goRoot(t)
	if !figure.Full() {
		dir = filepath.Join(dir, "src", "crypto")
	}
	img := fromDir(t, dir, Options{})
	report, err := Compare(t.Context(), dir, open(t, toFile(t, img)), KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	st := img.Stats()
	if !report.Same() || report.Files != st.Files || report.Bytes != st.Bytes {
		t.Fatalf("compared %+v, image has %+v", report, st)
	}
	figure.Report(t, "rootfs.tree.metadata_share", 100*float64(st.Metadata)/float64(img.Size()), "%")
}
