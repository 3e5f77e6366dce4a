package helm_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
)

// A pod is what the chart makes of a node, in a directory instead of a container: paths
// are below it, the node's address is loopback, and what Secrets would bring is there.
type pod struct {
	t        *testing.T
	dir      string
	programs zone.Programs
	spec     object
	notes    string
	ports    map[string]int
}

func newPod(t *testing.T, values ...string) *pod {
	t.Helper()
	p := &pod{t: t, dir: t.TempDir(), programs: built(t), ports: map[string]int{}}
	values = append([]string{"l1.size=16MiB", "l2.size=64MiB", "l2.minFree=0B"}, values...)
	for _, name := range []string{"blocks", "admin", "peers", "gossip"} {
		p.ports[name] = testtool.FreePort(t)
		values = append(values, fmt.Sprintf("ports.%s=%d", name, p.ports[name]))
	}
	all := render(t, values...)
	spec, ok := find(t, all, daemonSet).at("spec", "template", "spec").(map[string]any)
	if !ok {
		t.Fatal("the DaemonSet has no pod")
	}
	p.spec, p.notes = spec, notesOf(t, values...)
	for _, dir := range []string{"/var/lib/cached", "/etc/cached", "/run/cached/gossip", "/run/cached/zone-tls", "/run/cached/agents"} {
		if err := os.MkdirAll(p.dir+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprint(find(t, all, configMap).at("data", "cached.yaml"))
	config = strings.ReplaceAll(config, "rel-cached-peers-eu-1a.caches.svc", "127.0.0.1") // the cluster's DNS
	keys, err := base64.StdEncoding.DecodeString(fmt.Sprint(find(t, all, "Secret rel-cached-gossip").at("data", "gossip.keys")))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"/etc/cached/cached.yaml": p.inside(config), "/run/cached/gossip/gossip.keys": string(keys)} {
		if err := os.WriteFile(p.dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.run("certs", "init", "--dir", p.dir+"/run/cached/ca", "--zone", "eu-1a")
	return p
}

// run returns what a command says that has to go well.
func (p *pod) run(args ...string) string {
	p.t.Helper()
	out, err := p.programs.Command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("cached %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// inside moves the paths of the container and fills in what the kubelet would.
func (p *pod) inside(text string) string {
	return strings.NewReplacer(
		"/var/lib/cached", p.dir+"/var/lib/cached", "/etc/cached", p.dir+"/etc/cached", "/run/cached", p.dir+"/run/cached",
		"$(POD_IP)", "127.0.0.1", "$(NODE_NAME)", "node-1", "$(POD_NAME)", "pod-1",
		"65532:65532", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
	).Replace(text)
}

// noted returns the arguments of commands of the notes, each what the first group of
// line finds.
func (p *pod) noted(line string) [][]string {
	p.t.Helper()
	var all [][]string
	for _, m := range regexp.MustCompile(`(?m)`+line).FindAllStringSubmatch(p.notes, -1) {
		all = append(all, strings.Fields(p.inside(m[1])))
	}
	if len(all) == 0 {
		p.t.Fatalf("no %s in\n%s", line, p.notes)
	}
	return all
}

// reached has the commands of the notes be answered by the daemon: in the pod, whose
// token comes by standard input, and on its host, with what the notes have fetched there.
func (p *pod) reached(host, token string) {
	p.t.Helper()
	inPod := p.noted(`-- cached (status.*?)( <.*)?$`)
	onHost := p.noted(`^ +cached mount app:v1 /mnt/app(.*) # on a node`)
	for _, args := range append(inPod, append([]string{"status"}, onHost[0]...)) {
		cmd := p.programs.Command(args...)
		cmd.Dir, cmd.Stdin = host, strings.NewReader(token)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "node-1") {
			p.t.Errorf("cached %v: %v\n%s", args, err, out)
		}
	}
}

// args are the arguments of a container.
func (p *pod) args(c object) []string {
	var words []string
	list, _ := c.at("args").([]any)
	for _, a := range list {
		words = append(words, p.inside(fmt.Sprint(a)))
	}
	return words
}

// start runs the init containers to their ends, and then the daemon until ready says
// that it is as wanted.
func (p *pod) start(ready func(daemon object) bool) object {
	p.t.Helper()
	for _, c := range p.spec.list("initContainers") {
		p.run(p.args(c)...)
	}
	daemon := p.spec.list("containers")[0]
	testtool.Start(p.t, p.programs.Command(p.args(daemon)...), func(context.Context) bool { return ready(daemon) })
	return daemon
}

// get returns the status of a page of the admin port, and the page; 0: nobody answers.
func (p *pod) get(path any) (int, string) {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", p.ports["admin"], path))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// The daemon does, with what the chart gives it, what the chart says of it: it listens
// on every port, on the socket, and answers the probes and Prometheus.
func TestThePodRuns(t *testing.T) {
	store := t.TempDir()
	p := newPod(t, "origin.urls={file://"+store+"}", "agents.socket.enabled=true")
	daemon := p.start(func(daemon object) bool {
		status, _ := p.get(daemon.at("readinessProbe", "httpGet", "path"))
		return status == http.StatusOK
	})
	for _, probe := range []string{"startupProbe", "livenessProbe"} {
		if status, body := p.get(daemon.at(probe, "httpGet", "path")); status != http.StatusOK || daemon.at(probe, "httpGet", "port") != "admin" {
			t.Errorf("%s: %d %s", probe, status, body)
		}
	}
	if status, body := p.get("/metrics"); status != http.StatusOK || !strings.Contains(body, "cached_block_reads_total") {
		t.Errorf("metrics: %d", status)
	}
	ports := daemon.list("ports")
	if len(ports) != 5 {
		t.Errorf("the daemon has the ports %v", ports)
	}
	for _, o := range ports {
		address := fmt.Sprintf("127.0.0.1:%v", o.at("containerPort"))
		if o.at("protocol") == "UDP" {
			if l, err := net.ListenPacket("udp", address); err == nil {
				l.Close()
				t.Errorf("nobody has the port %s, %s", o.at("name"), address)
			}
			continue
		}
		if !testtool.Listening(address)(t.Context()) {
			t.Errorf("nobody listens on %s, %s", o.at("name"), address)
		}
	}
	p.reached(t.TempDir(), "")
	for _, args := range p.noted(`^ +cached (status --server unix://.*)$`) {
		args[2] = strings.Replace(args[2], "/run/cached/", "/run/cached/agents/", 1) // where the pod has the host's directory
		if said := p.run(args...); !strings.Contains(said, "node-1") {
			t.Errorf("%v: %s", args, said)
		}
	}
}

// The daemon finds the agents' certificate and the tenants where their Secrets are.
func TestAPodWithAgentsTLSRuns(t *testing.T) {
	p := newPod(t, append([]string{"origin.urls={file://" + t.TempDir() + "}"}, cases["agents' TLS"]...)...)
	token := filepath.Join(p.dir, "token")
	digest := strings.Fields(p.run("certs", "token", "--out", token))
	p.run("certs", "issue", "--ca", p.dir+"/run/cached/ca", "--node", "node-1", "--out", p.dir+"/run/cached/tls")
	if err := os.MkdirAll(p.dir+"/run/cached/tenants", 0o755); err != nil {
		t.Fatal(err)
	}
	tenants := fmt.Sprintf("tenants: [{name: ops, operator: true, tokens: [%q]}]\n", digest[len(digest)-1])
	if err := os.WriteFile(p.dir+"/run/cached/tenants/tenants.yaml", []byte(tenants), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start(func(daemon object) bool {
		status, _ := p.get(daemon.at("readinessProbe", "httpGet", "path"))
		return status == http.StatusOK
	})
	host := t.TempDir()
	secret, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(p.dir + "/run/cached/tls/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca.crt": ca, "agent.token": secret} {
		if err := os.WriteFile(filepath.Join(host, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.reached(host, string(secret))
	ask := []string{"status", "--server", fmt.Sprintf("https://localhost:%d", p.ports["blocks"]), "--ca", p.dir + "/run/cached/ca/ca.crt"}
	if out, err := p.programs.Command(ask...).CombinedOutput(); err == nil {
		t.Errorf("whoever has no token is told\n%s", out)
	}
}

// A cold cache whose object store is away is not ready, and nothing restarts it.
func TestAPodWithoutItsObjectStoreLives(t *testing.T) {
	p := newPod(t, "origin.urls={file://"+filepath.Join(t.TempDir(), "nothing", "here")+"}")
	daemon := p.start(func(object) bool { _, body := p.get("/readyz"); return strings.Contains(body, "only cached blocks") })
	if status, _ := p.get(daemon.at("readinessProbe", "httpGet", "path")); status != http.StatusServiceUnavailable {
		t.Errorf("readiness: %d", status)
	}
	for _, probe := range []string{"startupProbe", "livenessProbe"} {
		if status, body := p.get(daemon.at(probe, "httpGet", "path")); status != http.StatusOK {
			t.Errorf("%s: %d %s", probe, status, body)
		}
	}
}

// Ports agree: those of containers, Services, monitors and policies by name or number.
func TestPortsAgree(t *testing.T) {
	for name, values := range cases {
		all := render(t, values...)
		names, numbers, metrics := map[any]bool{}, map[string]bool{}, map[any]bool{}
		for _, o := range all {
			switch o.at("kind") {
			case "DaemonSet":
				for _, c := range o.list("spec", "template", "spec", "containers") {
					for _, port := range c.list("ports") {
						names[port.at("name")], numbers[fmt.Sprint(port.at("containerPort"), port.at("protocol"))] = true, true
					}
				}
			case "Service":
				for _, port := range o.list("spec", "ports") {
					if o.at("metadata", "labels", "app.kubernetes.io/component") == "metrics" {
						metrics[port.at("name")] = true
					}
				}
			}
		}
		for _, o := range all {
			switch o.at("kind") {
			case "Service":
				for _, port := range o.list("spec", "ports") {
					if !names[port.at("targetPort")] || !numbers[fmt.Sprint(port.at("port"), port.at("protocol"))] {
						t.Errorf("%s: %s has the port %v", name, o.name(), port)
					}
				}
			case "NetworkPolicy":
				for _, rule := range o.list("spec", "ingress") {
					for _, port := range rule.list("ports") {
						if !numbers[fmt.Sprint(port.at("port"), port.at("protocol"))] {
							t.Errorf("%s: %s allows the port %v", name, o.name(), port)
						}
					}
				}
			}
		}
		for monitor, endpoint := range monitors(t, all) {
			known := names
			if strings.HasPrefix(monitor, "ServiceMonitor") {
				known = metrics
			}
			if !known[endpoint.at("port")] {
				t.Errorf("%s: %s scrapes the port %v", name, monitor, endpoint.at("port"))
			}
		}
	}
}
