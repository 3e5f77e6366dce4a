package helm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

func set(values []string) []string {
	var args []string
	for _, v := range append(slices.Clone(least), values...) {
		args = append(args, "--set", v)
	}
	return args
}

// undefined is the one kind that the API server does not judge: the module with its
// definition is not to be had. TestEveryObjectIsOfTheAPI has a schema of it that is
// written by hand.
const undefined = "GrafanaDashboard"

// TestProveAnAPIServerTakesTheChart has a real API server judge every object of every
// way to install the chart, the undefined ones aside, and Helm install, upgrade and
// uninstall it there. No controller runs: no pod is started.
func TestProveAnAPIServerTakesTheChart(t *testing.T) {
	if !figure.Full() {
		t.Skip("with CACHED_PROVE=1: it builds kube-apiserver, which takes minutes; TestEveryObjectIsOfTheAPI is its small version")
	}
	c := startCluster(t)
	c.must("/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "caches"}})
	c.learn()

	objects := 0
	for name, values := range cases {
		for _, o := range render(t, values...) {
			if fmt.Sprint(o.at("kind")) == undefined {
				continue
			}
			objects++
			if why := c.refused(o); why != "" {
				t.Errorf("%s: %s", name, why)
			}
		}
	}
	figure.Report(t, "helm.apiserver.objects", float64(objects), "objects")
	wrong := find(t, render(t), daemonSet)
	wrong.at("spec", "template", "spec").(map[string]any)["hostNetwrok"] = true //nolint:forcetypeassert // a panic says enough
	if c.refused(wrong) == "" {
		t.Error("a field that there is not was taken")
	}

	c.followReadme()

	values := cases["monitoring"]
	all := render(t, values...)
	c.helm(append([]string{"install", "rel", "cached"}, set(values)...)...)
	for _, o := range all {
		if c.get(o) == nil {
			t.Errorf("%s is not there after the installation", o.name())
		}
	}
	// The pod of the DaemonSet, as its controller would make it.
	ds, secret := find(t, all, daemonSet), find(t, all, "Secret rel-cached-gossip")
	pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "rel-cached-eu-1a-x"}, "spec": ds.at("spec", "template", "spec")}
	if why := c.refused(pod); why != "" {
		t.Error(why)
	}

	sum := func() any { return c.get(ds).at("spec", "template", "metadata", "annotations", "checksum/config") }
	keys := func() any { return c.get(secret).at("data", "gossip.keys") }
	sumBefore, keysBefore := sum(), keys()
	c.helm(append([]string{"upgrade", "rel", "cached", "--set", "l1.size=1GiB", "--set", "podDisruptionBudget.enabled=false"}, set(values[:len(values)-1])...)...)
	if sum() == sumBefore {
		t.Error("another configuration does not restart the pods")
	}
	if keys() != keysBefore || fmt.Sprint(keysBefore) == "" {
		t.Error("an upgrade replaced the key of the gossip")
	}
	if c.get(find(t, all, "PodDisruptionBudget rel-cached")) != nil {
		t.Error("what the upgrade leaves out is still there")
	}

	c.helm("uninstall", "rel")
	for _, o := range all {
		left := c.get(o) != nil
		if kept := o.name() == secret.name(); left != kept {
			t.Errorf("%s after the removal: there %v, want %v", o.name(), left, kept)
		}
	}
	c.helm(append([]string{"install", "rel", "cached"}, set(values)...)...)
	if keys() != keysBefore {
		t.Error("an installation replaced the key of the gossip of the one before")
	}
}

// followReadme makes the Secrets of the README as its lines for kubectl would, and has
// the shell run its line for Helm as it stands there.
func (c *cluster) followReadme() {
	c.t.Helper()
	page, err := os.ReadFile("cached/README.md")
	if err != nil {
		c.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "\\\n", "")
	dir := c.t.TempDir()
	if out, err := built(c.t).Command("certs", "init", "--dir", filepath.Join(dir, "ca-eu-1a"), "--zone", "eu-1a").CombinedOutput(); err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
	secrets := map[any]bool{}
	for _, m := range regexp.MustCompile(`(?m)^kubectl -n caches create secret generic (\S+) (.*)$`).FindAllStringSubmatch(text, -1) {
		data := map[string]any{}
		for _, from := range strings.Fields(m[2]) {
			if file, ok := strings.CutPrefix(from, "--from-file="); ok {
				content, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					c.t.Fatal(err)
				}
				data[filepath.Base(file)] = string(content)
			} else if key, value, ok := strings.Cut(strings.TrimPrefix(from, "--from-literal="), "="); ok {
				data[key] = value
			}
		}
		secrets[m[1]] = len(data) == 2
		c.must("/api/v1/namespaces/caches/secrets?fieldValidation=Strict", map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": m[1]}, "stringData": data,
		})
	}
	install := regexp.MustCompile(`(?m)^helm install cached .*$`).FindString(text)
	cmd := exec.Command("sh", "-c", install)
	cmd.Dir = ".."
	c.operator(cmd)

	ds := c.get(object{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": "cached-eu-1a"}})
	if ds == nil {
		c.t.Fatalf("no DaemonSet after\n%s", install)
	}
	spec := object{"spec": ds.at("spec", "template", "spec")}
	wants := []any{spec.list("spec", "containers")[0].list("envFrom")[0].at("secretRef", "name")}
	for _, v := range spec.list("spec", "volumes") {
		if name := v.at("secret", "secretName"); name != nil && name != "cached-gossip" {
			wants = append(wants, name)
		}
	}
	for _, name := range wants {
		if !secrets[name] {
			c.t.Errorf("the pods want the Secret %v, and the README makes %v", name, secrets)
		}
	}
	if len(wants) != len(secrets) {
		c.t.Errorf("the README makes the Secrets %v, the pods want %v", secrets, wants)
	}
	c.helm("uninstall", "cached")
}
