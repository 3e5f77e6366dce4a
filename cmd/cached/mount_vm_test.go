package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// A vmTest boots machines by the commands of docs/microvm.md.
type vmTest struct {
	*mountTest
	dir string // stands for the page's /tmp/vm
}

// vmWithin bounds the boot of a machine without KVM, on a host that is busy.
const vmWithin = 10 * time.Minute

// in returns the same for a subtest.
func (v *vmTest) in(t *testing.T) *vmTest {
	m := *v.mountTest
	m.t = t
	return &vmTest{mountTest: &m, dir: v.dir}
}

// block returns the commands of the page that are marked with name, in the test's
// directory.
func (v *vmTest) block(name string) string {
	v.t.Helper()
	text, err := os.ReadFile("../../docs/microvm.md")
	if err != nil {
		v.t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh " + name + "\n(.*?)```").FindSubmatch(text)
	if found == nil {
		v.t.Fatalf("docs/microvm.md has no commands %q", name)
	}
	return strings.ReplaceAll(string(found[1]), "/tmp/vm", v.dir)
}

// shell returns the command that runs a script.
func (v *vmTest) shell(script string, env ...string) *exec.Cmd {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(append(os.Environ(), "CACHED_SERVER="+v.daemon.client.URL()), env...)
	return cmd
}

func (v *vmTest) run(script string, env ...string) string {
	v.t.Helper()
	out, err := v.shell(script, env...).CombinedOutput()
	if err != nil {
		v.t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// boot starts a machine; what it reads from its console comes from stdin.
func (v *vmTest) boot(script string, stdin io.Reader) *testtool.Process {
	v.t.Helper()
	cmd := v.shell(script)
	cmd.Stdin = stdin
	return testtool.Start(v.t, cmd, func(context.Context) bool { return true })
}

// says waits until the console shows text.
func (v *vmTest) says(vm *testtool.Process, text string) {
	v.t.Helper()
	for deadline := time.Now().Add(vmWithin); !strings.Contains(vm.Output(), text); <-time.After(5 * time.Millisecond) {
		if vm.Ended() && !strings.Contains(vm.Output(), text) || time.Now().After(deadline) {
			v.t.Fatalf("the machine does not say %q", text)
		}
	}
}

// off waits until the machine has powered off, having said all of texts.
func (v *vmTest) off(vm *testtool.Process, texts ...string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), vmWithin)
	defer cancel()
	if err := vm.Wait(ctx); err != nil {
		v.t.Errorf("the machine: %v", err)
	}
	for _, text := range append(texts, "Power down") {
		if !strings.Contains(vm.Output(), text) {
			v.t.Errorf("the machine did not say %q", text)
		}
	}
}

// digest returns what sha256sum says of a file of the image.
func (v *vmTest) digest(name string) string {
	v.t.Helper()
	p, err := os.ReadFile(filepath.Join(v.dir, "files", name))
	if err != nil {
		v.t.Fatal(err)
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:]) + "  /" + name
}

// laterScript is a program of the image that reads when it is told to.
const laterScript = `#!/bin/sh
echo "ready to read"
read line
echo "reading"
busybox sha256sum /srv/other
exec busybox poweroff -f
`

// prepare publishes the image, mounts it, and makes what a machine boots from.
func (v *vmTest) prepare() {
	v.t.Helper()
	if err := os.MkdirAll(filepath.Join(v.dir, "files", "bin"), 0o755); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, "files", "bin", "later"), []byte(laterScript), 0o755); err != nil {
		v.t.Fatal(err)
	}
	v.run(v.block("image"), "CACHED_ORIGIN="+v.origin)
	if out, err := v.shell(v.block("kernel")).CombinedOutput(); err != nil {
		again, err := v.shell("apt-get update -q\n" + v.block("kernel")).CombinedOutput()
		if err != nil {
			v.t.Skipf("the Debian package linux-image-cloud-amd64 cannot be had: %v: %.500s %.500s", err, out, again)
		}
	}
	v.run(v.block("initrd"))
	dir := filepath.Join(v.dir, "mnt")
	v.run(strings.ReplaceAll(v.block("mount"), "--as file", "--as file --state-dir "+v.state))
	v.t.Cleanup(func() {
		if out, err := v.cached("umount", dir); err != nil {
			v.t.Errorf("umount: %v\n%s\n%s", err, out, v.log())
		}
	})
}

// imageBlocks returns how many blocks the image has.
func (v *vmTest) imageBlocks() int {
	v.t.Helper()
	var shown struct{ Blocks []json.RawMessage }
	if err := json.Unmarshal([]byte(v.run("cached images show vm:v1 --json")), &shown); err != nil || len(shown.Blocks) == 0 {
		v.t.Fatalf("images show: %d blocks, %v", len(shown.Blocks), err)
	}
	return len(shown.Blocks)
}

// A virtual machine has the file as its disk and starts a program from it.
func TestMountAsTheDiskOfAVirtualMachine(t *testing.T) {
	if !figure.Full() {
		t.Skipf("unpacks a kernel and boots virtual machines without KVM: set %s=1", figure.FullEnv)
	}
	needMounts(t)
	imagetest.Busybox(t)
	testtool.Debian(t, "qemu-system-x86_64")
	v := &vmTest{mountTest: startMountTest(t), dir: t.TempDir()}
	v.prepare()

	began := time.Now()
	vm := v.boot(v.block("boot"), nil)
	v.says(vm, "ready from the image")
	took := time.Since(began)
	v.off(vm, v.digest("srv/numbers"), "written in the guest")
	read, all := int(checkBooks(t, v.daemon.client).Total.Blocks), v.imageBlocks()
	figure.Report(t, "host.vm.boot_seconds", took.Seconds(), "s")
	figure.Report(t, "host.vm.blocks_read", float64(read), "blocks")
	figure.Report(t, "host.vm.image_blocks", float64(all), "blocks")
	if read >= all {
		t.Errorf("%d blocks were read, the image has %d", read, all)
	}

	for _, mode := range []string{"cache=none,aio=native", "cache=none,aio=io_uring"} {
		t.Run(mode, func(t *testing.T) {
			v := v.in(t)
			v.off(v.boot(strings.ReplaceAll(v.block("boot"), "readonly=on", "readonly=on,"+mode), nil), v.digest("srv/numbers"))
		})
	}
	t.Run("daemon restarts", func(t *testing.T) { v.in(t).restart() })
}

// restart has a machine read what nobody has read before while there is no daemon.
func (v *vmTest) restart() {
	v.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		v.t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	vm := v.boot(strings.ReplaceAll(v.block("boot"), "start=/bin/start", "start=/bin/later"), r)
	v.says(vm, "ready to read")
	if out, err := v.cached("umount", filepath.Join(v.dir, "mnt")); err == nil || !strings.Contains(out, "qemu-system") {
		v.t.Errorf("umount under a machine: %v\n%s", err, out)
	}
	addr := strings.TrimPrefix(v.daemon.client.URL(), "http://")
	if err := v.daemon.stop(); err != nil {
		v.t.Error(err)
	}
	if _, err := fmt.Fprintln(w, "go"); err != nil {
		v.t.Error(err)
	}
	v.says(vm, "reading")
	startDaemonAt(v.t, addr, v.args...)
	v.off(vm, v.digest("srv/other"))
}
