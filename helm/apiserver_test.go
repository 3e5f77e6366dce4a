package helm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/schemas"
	"github.com/zonecache/cached/internal/testtool"
)

const clusterToken = "operator-of-the-test"

// A cluster is a Kubernetes API server on an etcd of its own: all that an object goes
// through when it is stored, and nobody who acts on it.
type cluster struct {
	t          *testing.T
	url        string
	kubeconfig string
	client     *http.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	etcd, apiserver := testtool.Debian(t, "etcd"), testtool.Go(t, "kube-apiserver")
	dir := t.TempDir()
	store, peer := fmt.Sprintf("http://127.0.0.1:%d", testtool.FreePort(t)), fmt.Sprintf("http://127.0.0.1:%d", testtool.FreePort(t))
	testtool.Start(t, exec.Command(etcd, "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", store, "--advertise-client-urls", store,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--unsafe-no-fsync"), testtool.Answering(store+"/health"))

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	port := testtool.FreePort(t)
	c := &cluster{t: t, url: fmt.Sprintf("https://127.0.0.1:%d", port), kubeconfig: filepath.Join(dir, "kubeconfig")}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // it makes its own certificate
	t.Cleanup(c.client.CloseIdleConnections)
	for name, text := range map[string]string{
		"accounts.key": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"tokens.csv":   clusterToken + ",operator,1,system:masters\n",
		"kubeconfig": fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
"clusters":[{"name":"c","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],"users":[{"name":"u","user":{"token":%q}}]}`, c.url, clusterToken),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testtool.Start(t, exec.Command(apiserver, "--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--cert-dir", filepath.Join(dir, "certs"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", filepath.Join(dir, "accounts.key"), "--service-account-signing-key-file", filepath.Join(dir, "accounts.key"),
		"--token-auth-file", filepath.Join(dir, "tokens.csv"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16", "--allow-privileged=true",
		"--endpoint-reconciler-type", "none"),
		func(context.Context) bool {
			status, _ := c.do(http.MethodGet, "/readyz", nil)
			return status == http.StatusOK
		})
	return c
}

// do returns the status and the body of an answer; 0: there was none.
func (c *cluster) do(method, path string, object any) (int, []byte) {
	body, err := json.Marshal(object)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+clusterToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return resp.StatusCode, answer
}

// resources are the paths of the kinds that the chart renders.
var resources = map[string]string{
	"DaemonSet": "daemonsets", "Service": "services", "ConfigMap": "configmaps", "Secret": "secrets", "ServiceAccount": "serviceaccounts", "Pod": "pods",
	"NetworkPolicy": "networkpolicies", "PodDisruptionBudget": "poddisruptionbudgets", "PodMonitor": "podmonitors", "ServiceMonitor": "servicemonitors",
	"PrometheusRule": "prometheusrules", "Certificate": "certificates", "GrafanaDashboard": "grafanadashboards",
}

// path is where objects of o's kind are.
func (o object) path() string {
	version := fmt.Sprint(o.at("apiVersion"))
	prefix := "/apis/"
	if !strings.Contains(version, "/") {
		prefix = "/api/"
	}
	return prefix + version + "/namespaces/caches/" + resources[fmt.Sprint(o.at("kind"))]
}

// refused returns why the API server would not take o, with fields it does not know
// being errors; "": it would.
func (c *cluster) refused(o object) string {
	status, answer := c.do(http.MethodPost, o.path()+"?dryRun=All&fieldValidation=Strict", o)
	if status == http.StatusCreated {
		return ""
	}
	return fmt.Sprintf("%s: %d %.500s", o.name(), status, answer)
}

// must does what has to go well.
func (c *cluster) must(path string, object any) {
	c.t.Helper()
	if status, answer := c.do(http.MethodPost, path, object); status != http.StatusCreated {
		c.t.Fatalf("%s: %d %s", path, status, answer)
	}
}

// learn has the API server know the operators' kinds.
func (c *cluster) learn() {
	c.t.Helper()
	for _, source := range schemas.Sources() {
		if filepath.Ext(source.Files[0]) != ".yaml" {
			continue
		}
		cmd := exec.Command("go", "mod", "download", "-json", source.Module+"@"+source.Version)
		cmd.Dir = c.t.TempDir()
		out, err := cmd.Output()
		var said struct{ Dir string }
		if err != nil || json.Unmarshal(out, &said) != nil {
			c.t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		for _, file := range source.Files {
			text, err := os.ReadFile(filepath.Join(said.Dir, file))
			if err != nil {
				c.t.Fatal(err)
			}
			var crd map[string]any
			if err := yaml.Unmarshal(text, &crd); err != nil {
				c.t.Fatal(err)
			}
			c.must("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
		}
	}
}

// operator runs a command that finds Helm and the cluster.
func (c *cluster) operator(cmd *exec.Cmd) {
	c.t.Helper()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(testtool.Go(c.t, "helm"))+":"+os.Getenv("PATH"), "KUBECONFIG="+c.kubeconfig,
		"HELM_CACHE_HOME="+c.t.TempDir(), "HELM_CONFIG_HOME="+c.t.TempDir(), "HELM_DATA_HOME="+c.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// helm runs a command of Helm in the cluster.
func (c *cluster) helm(args ...string) {
	c.t.Helper()
	c.operator(exec.Command(testtool.Go(c.t, "helm"), append(args, "--namespace", "caches")...))
}

// get returns an object that is stored; nil: there is none.
func (c *cluster) get(o object) object {
	c.t.Helper()
	status, answer := c.do(http.MethodGet, o.path()+"/"+fmt.Sprint(o.at("metadata", "name")), nil)
	var got object
	switch {
	case status == http.StatusNotFound:
		return nil
	case status != http.StatusOK, json.Unmarshal(answer, &got) != nil:
		c.t.Fatalf("%s: %d %s", o.name(), status, answer)
	}
	return got
}
