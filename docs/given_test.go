package docs_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// What readers of the pages have. All of it is on a machine of the test's own.

func put(t *testing.T, name string, content []byte, mode os.FileMode) {
	t.Helper()
	givenDir(t, filepath.Dir(name))
	if err := os.WriteFile(name, content, mode); err != nil {
		t.Fatal(err)
	}
}

func givenDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// givenApp is a program in a directory: a shell with its tools, and some data.
func givenApp(t *testing.T) {
	t.Helper()
	givenDir(t, "/srv/work")
	givenTree(t, "/srv/app")
}

func givenTree(t *testing.T, dir string) {
	t.Helper()
	put(t, dir+"/bin/busybox", imagetest.Busybox(t), 0o755)
	for _, name := range []string{"sh", "ls", "echo", "cat", "cp", "sha256sum"} {
		if err := os.Symlink("busybox", dir+"/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir+"/data/bytes", blocktest.Bytes(1, 2<<20), 0o644)
	put(t, dir+"/data/text", bytes.Repeat([]byte("compresses well\n"), 100_000), 0o644)
	givenDir(t, dir+"/proc")
}

// givenFlask is a container image in OCI layout, where the reader is.
func givenFlask(t *testing.T) {
	t.Helper()
	givenTree(t, "/srv/flask-v1")
	givenDir(t, "/srv/app") // of the next version
	put(t, "/srv/app/app", blocktest.Bytes(2, 1<<20), 0o755)
	givenLayout(t, "/srv/work/flask-layout", "/srv/flask-v1")
}

// givenStore is an S3 server with a certificate of the machine's CAs, at
// https://minio.example:9000 and with the bucket images.
func givenStore(t *testing.T) {
	t.Helper()
	givenDir(t, "/srv/work")
	givenDir(t, "/srv/s3/images")
	givenCertificate(t, "minio.example")
	cmd := exec.Command("/usr/local/bin/versitygw", "--port", "127.0.0.1:9000", "--region", "eu-1", "--quiet",
		"--cert", "/srv/minio.example.crt", "--key", "/srv/minio.example.key", "posix", "/srv/s3")
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=...", "ROOT_SECRET_KEY=...")
	testtool.Start(t, cmd, testtool.Listening("127.0.0.1:9000"))
}

// storeKeys are what README.md stands for keys with.
var storeKeys = []string{"AWS_ACCESS_KEY_ID=...", "AWS_SECRET_ACCESS_KEY=..."}

// givenRegistry is a registry at https://registry.example with the image team/app:v1.
func givenRegistry(t *testing.T) {
	t.Helper()
	givenCertificate(t, "registry.example")
	put(t, "/srv/registry.yml", []byte("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /srv/registry\nhttp:\n  addr: 127.0.0.1:443\n"+
		"  tls:\n    certificate: /srv/registry.example.crt\n    key: /srv/registry.example.key\n"), 0o644)
	testtool.Start(t, exec.Command("docker-registry", "serve", "/srv/registry.yml"), testtool.Listening("127.0.0.1:443"))
	givenLayout(t, "/srv/app-layout", "/srv/app")
	must(t, "skopeo", "copy", "--insecure-policy", "oci:/srv/app-layout:v1", "docker://registry.example/team/app:v1")
}

// givenCertificate makes a host of a name on this machine, whose certificate the machine trusts.
func givenCertificate(t *testing.T, host string) {
	t.Helper()
	must(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN="+host,
		"-addext", "subjectAltName=DNS:"+host, "-keyout", "/srv/"+host+".key", "-out", "/srv/"+host+".crt")
	certificate, err := os.ReadFile("/srv/" + host + ".crt")
	if err != nil {
		t.Fatal(err)
	}
	for file, line := range map[string]string{
		"/etc/ssl/certs/ca-certificates.crt": "\n" + string(certificate), "/etc/hosts": fmt.Sprintf("\n127.0.0.1 %s\n", host),
	} {
		givenDir(t, filepath.Dir(file))
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// givenFewDocuments leaves little to publish of this machine's documentation.
func givenFewDocuments(t *testing.T) {
	t.Helper()
	givenTree(t, "/srv/documents")
	givenDir(t, "/usr/share/doc")
	must(t, "mount", "--bind", "/srv/documents", "/usr/share/doc")
}

// givenPackage is a code package, where the reader is.
func givenPackage(t *testing.T) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range map[string]string{"handler.py": "print('resized')\n", "lib/data": strings.Repeat("data\n", 100_000)} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, "/srv/work/resize.zip", b.Bytes(), 0o644)
}

// givenMemory is the memory of a virtual machine.
func givenMemory(t *testing.T) {
	t.Helper()
	givenDir(t, "/srv/work")
	put(t, "/srv/vm.memory", blocktest.Bytes(3, 4<<20), 0o644)
}

func givenPython(t *testing.T) {
	t.Helper()
	givenApp(t)
	for file, pkg := range map[string]string{
		"/usr/lib/python3/dist-packages/grpc/__init__.py":      "python3-grpcio",
		"/usr/lib/python3/dist-packages/zstandard/__init__.py": "python3-zstandard",
		"/usr/include/google/protobuf/timestamp.proto":         "libprotobuf-dev",
	} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("needs the Debian package %s, which the test beside the page installs", pkg)
		}
	}
}

// givenBuilt is a repository in which `make build` was run.
func givenBuilt(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile("/usr/local/bin/cached")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(root, "bin", "cached"), program, 0o755)
}
