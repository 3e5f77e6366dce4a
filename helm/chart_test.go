package helm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/readme"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
)

// An object is one of the API's, decoded.
type object map[string]any

func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// list is a list of objects at a path; nil: there is none.
func (o object) list(path ...string) []object {
	items, _ := o.at(path...).([]any)
	all := make([]object, 0, len(items))
	for _, item := range items {
		all = append(all, item.(map[string]any)) //nolint:forcetypeassert // a panic says enough
	}
	return all
}

func (o object) name() string { return fmt.Sprint(o.at("kind"), " ", o.at("metadata", "name")) }

// least are the values that an installation must give.
var least = []string{"zones={eu-1a}", "origin.urls={s3://images?endpoint=https://minio.example:9000&region=eu-1}"}

// helm renders the chart with values, "key=value" each; what it was asked for before, it
// remembers.
func helm(t *testing.T, values ...string) ([]byte, error) {
	t.Helper()
	key := strings.Join(values, "\n")
	if out, ok := renderings.Load(key); ok {
		return out.([]byte), nil //nolint:forcetypeassert // nothing else is stored
	}
	out, err := template(t, "cached", values...)
	if err == nil {
		renderings.Store(key, out)
	}
	return out, err
}

var renderings sync.Map // of []byte, by their values

// template renders a chart with values, "key=value" each.
func template(t *testing.T, chart string, values ...string) ([]byte, error) {
	t.Helper()
	var args []string
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return templateWith(t, chart, args...)
}

// templateWith runs `helm template`, where the test's own race detector has nothing to see.
func templateWith(t *testing.T, chart string, args ...string) ([]byte, error) {
	t.Helper()
	if figure.Instrumented {
		t.Skip("runs other programs: tested without the race detector")
	}
	args = append([]string{"template", "rel", chart, "--kube-version", "1.34.0", "--namespace", "caches"}, args...)
	return exec.Command(testtool.Go(t, "helm"), args...).CombinedOutput()
}

// render returns the objects of the chart with these values beside the least.
func render(t *testing.T, values ...string) []object {
	t.Helper()
	out, err := helm(t, append(slices.Clone(least), values...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return decode(t, out)
}

func decode(t *testing.T, manifests []byte) []object {
	t.Helper()
	var all []object
	dec := yaml.NewDecoder(bytes.NewReader(manifests))
	for {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, manifests)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

func find(t *testing.T, all []object, name string) object {
	t.Helper()
	for _, o := range all {
		if o.name() == name {
			return o
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// cases are ways to install the chart.
var cases = map[string][]string{
	"least":       nil,
	"two zones":   {"zones={eu-1a,eu-1b}"},
	"one zone":    {"zoneLabel="},
	"csi":         {"tls.mode=csi", "tls.csi.issuer=zones"},
	"insecure":    {"tls.mode=insecure"},
	"pod network": {"hostNetwork=false", "agents.insecure=true", "agents.service.enabled=true", "networkPolicy.enabled=true"},
	"agents' TLS": {"agents.service.enabled=true", "tls.agents.existingSecret=agents", "tenants.existingSecret=tenants"},
	"ephemeral":   {"l2.type=ephemeral", "l2.ephemeral.storageClassName=local"},
	"claim":       {"l2.type=claim", "l2.claim=mine"},
	"secrets":     {"origin.existingSecret=s3", "gossip.existingSecret=keys", "global.imageRegistry=mirror.example:5000", "imagePullSecrets={a}", "global.imagePullSecrets={b}"},
	"monitoring":  {"monitoring.podMonitor.enabled=true", "monitoring.rules.enabled=true", "monitoring.dashboards.enabled=true", "podDisruptionBudget.enabled=true"},
	"by Service":  {"monitoring.serviceMonitor.enabled=true", "monitoring.rules.enabled=true"},
	"operator":    {"monitoring.dashboards.enabled=true", "monitoring.dashboards.operator=true"},
	"extra": {
		"extraArgs={--distribution=tree}", "extraEnv[0].name=A", "extraEnv[0].value=b", "config.limits.origin-reads=8", "config.log.level=debug",
		"extraVolumes[0].name=more", "extraVolumes[0].emptyDir.medium=Memory", "extraVolumeMounts[0].name=more", "extraVolumeMounts[0].mountPath=/more",
		"extraObjects[0].apiVersion=v1", "extraObjects[0].kind=ConfigMap", "extraObjects[0].metadata.name=more-{{ .Release.Name }}",
	},
	"socket":    {"agents.socket.enabled=true", "agents.socket.group=990", "podSecurityContext.supplementalGroups={990}"},
	"issuer":    {"agents.service.enabled=true", "tls.agents.issuer=agents", "tls.agents.issuerKind=ClusterIssuer"},
	"same node": {"agents.service.enabled=true", "agents.service.traffic=PreferSameNode", "agents.insecure=true"},
	"ports":     {"ports.blocks=17070", "ports.admin=17071", "ports.peers=17072", "ports.gossip=17946", "agents.service.enabled=true", "agents.insecure=true", "networkPolicy.enabled=true", "monitoring.serviceMonitor.enabled=true"},
	"nothing":   {"config.prefetch=false", "config.l2.min-free=0", "config.zone.weight=0", "resources=null", "serviceAccount.create=false", "l2Owner.enabled=false", "tolerations=null"},
	"pods": {
		"podAnnotations.a=b", "podLabels.c=d", "nodeSelector.e=f", "priorityClassName=mine", "terminationGracePeriodSeconds=60", "updateStrategy.rollingUpdate.maxUnavailable=2",
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=bare-metal",
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
		"serviceAccount.annotations.g=h", "agents.service.annotations.i=j", "agents.service.enabled=true", "agents.insecure=true",
	},
}

func TestLint(t *testing.T) {
	program := testtool.Go(t, "helm")
	args := []string{"lint", "cached", "--strict", "--kube-version", "1.34.0"}
	for _, v := range least {
		args = append(args, "--set", v)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The daemon understands what every way of installing it renders: its configuration
// file, the flags of its containers, the ports, the paths.
func TestTheBinaryUnderstandsTheChart(t *testing.T) {
	programs := built(t)
	helpOf := func(args ...string) string {
		out, err := programs.Command(append(slices.Clone(args), "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for name, values := range cases {
		t.Run(name, func(t *testing.T) {
			all := render(t, values...)
			for _, o := range all {
				switch o.at("kind") {
				case "ConfigMap":
					if text, ok := o.at("data", "cached.yaml").(string); ok {
						checkConfig(t, programs, text)
						daemon := find(t, all, fmt.Sprint("DaemonSet ", o.at("metadata", "name"))).list("spec", "template", "spec", "containers")[0]
						checkPaths(t, daemon, text)
					}
				case "DaemonSet":
					spec := object(o.at("spec", "template", "spec").(map[string]any)) //nolint:forcetypeassert // a panic says enough
					for _, c := range append(spec.list("initContainers"), spec.list("containers")...) {
						checkContainer(t, helpOf, spec, c)
					}
				}
			}
		})
	}
}

// checkConfig has the binary read a configuration file as it stands.
func checkConfig(t *testing.T, programs zone.Programs, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cached.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command("config", "validate", "--elsewhere", "--config", file, "--node", "n1", "--peer-advertise", "10.0.0.1:7072", "--gossip-advertise", "10.0.0.1:7946", "--admin", "10.0.0.1:7071")
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, text)
	}
}

// checkPaths wants every file that a configuration names in a volume of the daemon.
func checkPaths(t *testing.T, daemon object, text string) {
	t.Helper()
	paths := regexp.MustCompile(`(?m): (/.*)$`).FindAllStringSubmatch(text, -1)
	if len(paths) == 0 {
		t.Errorf("there are no paths in\n%s", text)
	}
	for _, path := range paths {
		if !slices.ContainsFunc(daemon.list("volumeMounts"), func(m object) bool {
			return strings.HasPrefix(path[1]+"/", fmt.Sprint(m.at("mountPath"), "/"))
		}) {
			t.Errorf("%s is in no volume", path[1])
		}
	}
}

// checkContainer wants flags that the command has, volumes that the pod has, and the
// least privileges.
func checkContainer(t *testing.T, helpOf func(...string) string, pod, c object) {
	t.Helper()
	name := fmt.Sprint(c.at("name"))
	var words []string
	args, _ := c.at("args").([]any)
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	verbs := 1
	if len(words) > 1 && words[0] == "certs" {
		verbs = 2
	}
	help := helpOf(words[:verbs]...)
	for _, w := range words[verbs:] {
		if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(flag, "--") && !regexp.MustCompile(`(?m)^\s+`+regexp.QuoteMeta(flag)+`\b`).MatchString(help) {
			t.Errorf("%s: `cached %s` has no flag %s", name, strings.Join(words[:verbs], " "), flag)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.list("volumes") {
		volumes[fmt.Sprint(v.at("name"))] = true
	}
	for _, m := range c.list("volumeMounts") {
		if v := fmt.Sprint(m.at("name")); !volumes[v] {
			t.Errorf("%s mounts %s, which the pod has not", name, v)
		}
	}
	if c.at("securityContext", "readOnlyRootFilesystem") != true || c.at("securityContext", "allowPrivilegeEscalation") != false {
		t.Errorf("%s: %v", name, c.at("securityContext"))
	}
	if drop := fmt.Sprint(c.at("securityContext", "capabilities", "drop")); drop != "[ALL]" {
		t.Errorf("%s drops %s", name, drop)
	}
	if name == "cached" && c.at("securityContext", "runAsNonRoot") != true {
		t.Error("the daemon runs as root")
	}
}

// The README says what values.yaml does.
func TestTheReadmeIsCurrent(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("cached", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	want, err := readme.Make(string(read("README.head.md")), read("values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(read("README.md")) != want {
		t.Error("helm/cached/README.md is stale: run `go generate ./helm/readme`")
	}
}
