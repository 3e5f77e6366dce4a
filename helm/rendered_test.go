package helm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// text is an object as JSON, its keys in order and "<", ">", "&" as they are.
func (o object) text(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	daemonSet = "DaemonSet rel-cached-eu-1a"
	configMap = "ConfigMap rel-cached-eu-1a"
)

// Each way of installing the chart changes what it is to change.
func TestWhatIsRendered(t *testing.T) {
	for _, tt := range []struct {
		of     string   // a case
		values []string // beside those of the case
		name   string
		has    []string
		lacks  []string
	}{
		{of: "least", name: daemonSet, has: []string{
			`"hostNetwork":true`, `"dnsPolicy":"ClusterFirstWithHostNet"`, `"topology.kubernetes.io/zone":"eu-1a"`, `"priorityClassName":"system-node-critical"`,
			`"tolerations":[{"operator":"Exists"}]`, `"maxUnavailable":1`, `"terminationGracePeriodSeconds":40`, `"seccompProfile":{"type":"RuntimeDefault"}`, `"fsGroup":65532`,
			`{"name":"GOMEMLIMIT","value":"4838MiB"}`, `"livenessProbe":{"failureThreshold":6,"httpGet":{"path":"/healthz","port":"admin"}`, `"readinessProbe":{"httpGet":{"path":"/readyz","port":"admin"}`,
			`"hostPath":{"path":"/var/lib/cached","type":"DirectoryOrCreate"}`, `"args":["own","/var/lib/cached","--user","65532:65532"]`, `"automountServiceAccountToken":false`,
			`"--node=$(NODE_NAME)"`, `"secretName":"cached-ca-eu-1a"`, `"secretName":"rel-cached-gossip"`, `"image":"ghcr.io/zonecache/cached:0.1.0"`,
			`"args":["certs","issue","--ca","/run/cached/ca","--node","$(NODE_NAME)","--out","/run/cached/zone-tls","--valid","8760h"]`,
		}, lacks: []string{"envFrom", "csi.cert-manager.io", "own-agents", "/run/cached/tls\"", "imagePullSecrets"}},
		{of: "least", name: configMap, has: []string{`drain-timeout: 35s`, `listen: 127.0.0.1:7070`, `rel-cached-peers-eu-1a.caches.svc:7946`, `tls: /run/cached/zone-tls`}, lacks: []string{"insecure: true", "socket:"}},
		{of: "least", name: "Service rel-cached-peers-eu-1a", has: []string{`"clusterIP":"None"`, `"publishNotReadyAddresses":true`, `"cached.dev/zone":"eu-1a"`, `"port":7946`}},
		{of: "least", name: "Secret rel-cached-gossip", has: []string{`"helm.sh/resource-policy":"keep"`, `"gossip.keys":"`}},
		{of: "two zones", name: "DaemonSet rel-cached-eu-1b", has: []string{`"topology.kubernetes.io/zone":"eu-1b"`, `"secretName":"cached-ca-eu-1b"`}, lacks: []string{"eu-1a"}},
		{of: "one zone", name: daemonSet, has: []string{`"nodeSelector":{"kubernetes.io/os":"linux"}`}},
		{of: "csi", name: daemonSet, has: []string{
			`"driver":"csi.cert-manager.io"`, `"csi.cert-manager.io/issuer-name":"zones"`, `"csi.cert-manager.io/issuer-kind":"Issuer"`,
			`"csi.cert-manager.io/dns-names":"${POD_NAME}.eu-1a.zone.cached.internal"`, `"--node=$(POD_NAME)"`,
			`"csi.cert-manager.io/fs-group":"65532"`,
		}, lacks: []string{"cached-ca-", `"certs"`}},
		{of: "csi", values: []string{"securityContext.runAsGroup=990"}, name: daemonSet, has: []string{`"csi.cert-manager.io/fs-group":"990"`}},
		{of: "insecure", name: daemonSet, lacks: []string{"cached-ca-", `"certs"`, "gossip.keys", "zone-tls"}},
		{of: "insecure", name: configMap, has: []string{"insecure: true"}, lacks: []string{"gossip-keys"}},
		{of: "least", values: []string{"tls.selfMade.secretPrefix=zone-", "tls.selfMade.valid=24h"}, name: daemonSet, has: []string{`"secretName":"zone-eu-1a"`, `"--valid","24h"`}},
		{of: "pod network", name: daemonSet, has: []string{`"hostNetwork":false`, `"dnsPolicy":"ClusterFirst"`}},
		{of: "pod network", name: configMap, has: []string{`listen: :7070`}},
		{of: "pod network", name: "Service rel-cached", has: []string{`"internalTrafficPolicy":"Local"`, `"targetPort":"blocks"`}, lacks: []string{"trafficDistribution"}},
		{of: "same node", name: "Service rel-cached", has: []string{`"trafficDistribution":"PreferSameNode"`}, lacks: []string{"internalTrafficPolicy"}},
		{of: "pod network", name: "NetworkPolicy rel-cached-eu-1a", has: []string{`"policyTypes":["Ingress"]`, `{"port":7072,"protocol":"TCP"}`, `{"port":7946,"protocol":"UDP"}`, `"kubernetes.io/metadata.name":"monitoring"`, `{"port":7070,"protocol":"TCP"}`}},
		{of: "agents' TLS", name: daemonSet, has: []string{`"secretName":"agents"`, `"mountPath":"/run/cached/tls"`, `"secretName":"tenants"`}},
		{of: "agents' TLS", name: configMap, has: []string{`dir: /run/cached/tls`, `tenants: /run/cached/tenants/tenants.yaml`}, lacks: []string{"insecure: true"}},
		{of: "issuer", name: "Certificate rel-cached-agents", has: []string{`"secretName":"rel-cached-agents"`, `"kind":"ClusterIssuer","name":"agents"`, `"rel-cached.caches.svc"`, `"127.0.0.1"`, `"server auth"`}},
		{of: "issuer", name: daemonSet, has: []string{`"secretName":"rel-cached-agents"`}},
		{of: "socket", name: daemonSet, has: []string{`"hostPath":{"path":"/run/cached","type":"DirectoryOrCreate"}`, `"args":["own","/run/cached/agents","--user","65532:65532"]`, `{"mountPath":"/run/cached/agents","name":"agents"}`}},
		{of: "socket", name: configMap, has: []string{`path: /run/cached/agents/cached.sock`, `mode: \"0660\"`, `group: \"990\"`, `listen: 127.0.0.1:7070`}},
		{of: "ephemeral", name: daemonSet, has: []string{`"accessModes":["ReadWriteOnce"]`, `"storageClassName":"local"`, `"storage":"220Gi"`}, lacks: []string{"own-data"}},
		{of: "claim", name: daemonSet, has: []string{`"persistentVolumeClaim":{"claimName":"mine"}`}},
		{of: "secrets", name: daemonSet, has: []string{`"envFrom":[{"secretRef":{"name":"s3"}}]`, `"secretName":"keys"`, `"image":"mirror.example:5000/zonecache/cached:0.1.0"`, `"imagePullSecrets":[{"name":"a"},{"name":"b"}]`}},
		{of: "monitoring", name: "PodMonitor rel-cached", has: []string{`"port":"admin"`, `"interval":"15s"`, `"targetLabel":"node"`, `"targetLabel":"zone"`}},
		{of: "by Service", name: "ServiceMonitor rel-cached", has: []string{`"app.kubernetes.io/component":"metrics"`, `"port":"admin"`}},
		{of: "by Service", name: "Service rel-cached-metrics", has: []string{`"app.kubernetes.io/component":"metrics"`, `"targetPort":"admin"`}},
		{of: "monitoring", name: "PrometheusRule rel-cached", has: []string{`"alert":"`, `"record":"`, `docs/runbooks/`}, lacks: []string{"RUNBOOKS/"}},
		{of: "monitoring", values: []string{"monitoring.podMonitor.labels.release=prometheus", "monitoring.podMonitor.interval=30s"}, name: "PodMonitor rel-cached", has: []string{`"release":"prometheus"`, `"interval":"30s"`}},
		{of: "monitoring", name: "PodDisruptionBudget rel-cached", has: []string{`"maxUnavailable":1`}},
		{of: "monitoring", name: "ConfigMap rel-cached-overview", has: []string{`"grafana_dashboard":"1"`, `"grafana_folder":"cached"`}},
		{of: "monitoring", values: []string{"monitoring.dashboards.label=shown", "monitoring.dashboards.labelValue=yes", "monitoring.dashboards.folder=storage"}, name: "ConfigMap rel-cached-zone", has: []string{`"shown":"yes"`, `"grafana_folder":"storage"`}},
		{of: "operator", name: "GrafanaDashboard rel-cached-burst", has: []string{`"instanceSelector":{"matchLabels":{"dashboards":"grafana"}}`, `"folder":"cached"`}},
		{of: "extra", name: daemonSet, has: []string{`"--distribution=tree"`, `{"name":"A","value":"b"}`, `{"emptyDir":{"medium":"Memory"},"name":"more"}`, `{"mountPath":"/more","name":"more"}`}},
		{of: "extra", name: configMap, has: []string{"origin-reads: 8", "level: debug", "format: json"}},
		{of: "extra", name: "ConfigMap more-rel"},
		{of: "nothing", name: configMap, has: []string{"min-free: 0", "prefetch: false", "weight: 0"}},
		{of: "nothing", name: daemonSet, has: []string{`"serviceAccountName":"default"`}, lacks: []string{"GOMEMLIMIT", "own-", "tolerations"}},
		{of: "pods", name: daemonSet, has: []string{`"a":"b"`, `"c":"d"`, `"e":"f"`, `"priorityClassName":"mine"`, `"terminationGracePeriodSeconds":60`, `"maxUnavailable":2`, `"key":"bare-metal","operator":"Exists"`}},
		{of: "pods", name: configMap, has: []string{"drain-timeout: 55s"}},
		{of: "pods", name: "ServiceAccount rel-cached", has: []string{`"g":"h"`}},
		{of: "pods", name: "Service rel-cached", has: []string{`"i":"j"`}},
	} {
		if _, ok := cases[tt.of]; !ok {
			t.Fatalf("there is no case %q", tt.of)
		}
		got := find(t, render(t, append(slices.Clone(cases[tt.of]), tt.values...)...), tt.name).text(t)
		for _, want := range tt.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s lacks %s", tt.of, tt.name, want)
			}
		}
		for _, bad := range tt.lacks {
			if strings.Contains(got, bad) {
				t.Errorf("%s: %s has %s", tt.of, tt.name, bad)
			}
		}
	}
}

// What was not asked for is not there.
func TestWhatIsOffByDefault(t *testing.T) {
	kinds := func(values ...string) string {
		var all []string
		for _, o := range render(t, values...) {
			all = append(all, o.name())
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	if got, want := kinds(), "ConfigMap rel-cached-eu-1a, DaemonSet rel-cached-eu-1a, Secret rel-cached-gossip, Service rel-cached-peers-eu-1a, ServiceAccount rel-cached"; got != want {
		t.Errorf("there is %s", got)
	}
	if got := kinds(cases["secrets"]...); strings.Contains(got, "Secret ") {
		t.Errorf("beside the Secrets that are there: %s", got)
	}
	if got := kinds(cases["operator"]...); strings.Contains(got, "ConfigMap rel-cached-overview") {
		t.Errorf("beside the operator's objects: %s", got)
	}
	if got := kinds(cases["agents' TLS"]...); strings.Contains(got, "Certificate") {
		t.Errorf("beside a Secret that is there: %s", got)
	}
}

// A mirror takes the place of a registry, whatever a repository looks like, and a
// digest wins over tags.
func TestImages(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, "ghcr.io/zonecache/cached:0.1.0"},
		{[]string{"image.tag=v2"}, "ghcr.io/zonecache/cached:v2"},
		{[]string{"image.tag=v2", "image.digest=sha256:00"}, "ghcr.io/zonecache/cached@sha256:00"},
		{[]string{"global.imageRegistry=mirror.example:5000/hub/"}, "mirror.example:5000/hub/zonecache/cached:0.1.0"},
		{[]string{"global.imageRegistry=mirror.example", "image.digest=sha256:00"}, "mirror.example/zonecache/cached@sha256:00"},
		{[]string{"global.imageRegistry=mirror.example", "image.repository=localhost/cached"}, "mirror.example/cached:0.1.0"},
		{[]string{"global.imageRegistry=mirror.example", "image.repository=host:5000/a/b"}, "mirror.example/a/b:0.1.0"},
		{[]string{"global.imageRegistry=mirror.example", "image.repository=cached"}, "mirror.example/cached:0.1.0"},
		{[]string{"global.imageRegistry=mirror.example", "image.repository=zonecache/cached"}, "mirror.example/zonecache/cached:0.1.0"},
	} {
		ds := find(t, render(t, append([]string{"agents.socket.enabled=true"}, tt.values...)...), daemonSet).text(t)
		if got := strings.Count(ds, `"image":"`+tt.want+`"`); got != 4 || strings.Count(ds, `"image":`) != 4 {
			t.Errorf("%v: want 4 containers of %s, and no others", tt.values, tt.want)
		}
	}
}

// Another configuration restarts the pods, another label does not.
func TestTheChecksum(t *testing.T) {
	sum := func(values ...string) any {
		return find(t, render(t, values...), daemonSet).at("spec", "template", "metadata", "annotations", "checksum/config")
	}
	if sum() == sum("l1.size=1GiB") || sum() == sum("config.log.level=debug") || sum() != sum("monitoring.podMonitor.enabled=true") {
		t.Error("the checksum is not that of the configuration")
	}
}

// Every dashboard is there, as it is in the chart.
func TestTheDashboardsAreRendered(t *testing.T) {
	files, err := filepath.Glob("cached/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	sidecar, operator := render(t, cases["monitoring"]...), render(t, cases["operator"]...)
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		for _, got := range []any{
			find(t, sidecar, "ConfigMap rel-cached-"+name).at("data", name+".json"),
			find(t, operator, "GrafanaDashboard rel-cached-"+name).at("spec", "json"),
		} {
			if text, _ := got.(string); strings.TrimSpace(text) != strings.TrimSpace(string(want)) || !json.Valid([]byte(text)) {
				t.Errorf("%s is rendered as %.100q", file, text)
			}
		}
	}
}
