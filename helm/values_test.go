package helm_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/values"
)

// What the schema says of config is what the binary says.
func TestTheSchemaIsCurrent(t *testing.T) {
	config, err := built(t).Command("config", "reference", "--schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile("cached/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if made, err := values.Make(was, config); err != nil || string(made) != string(was) {
		t.Errorf("helm/cached/values.schema.json is stale (%v): run `go generate ./helm/values`", err)
	}
	flags, err := os.ReadFile(filepath.Join("cached", values.FlagsFile))
	if err != nil {
		t.Fatal(err)
	}
	if made, err := values.Flags(config); err != nil || string(made) != string(flags) {
		t.Errorf("helm/cached/%s is stale (%v): run `go generate ./helm/values`", values.FlagsFile, err)
	}
}

// Every setting of the daemon can be one of the chart, and arrives as it was given, but
// those that the pod's flags and its zones have.
func TestEverySettingIsTaken(t *testing.T) {
	programs := built(t)
	printed, err := programs.Command("config", "print", "--l1-size", "4294967296", "--metrics-tenants", "shop", "--data-dir", "/var/lib/cached", "--insecure-admin").Output()
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(printed, &config); err != nil {
		t.Fatal(err)
	}
	config["l1"] = map[string]any{"size": 4294967296}
	delete(config, "admin")
	if zone, ok := config["zone"].(map[string]any); ok {
		delete(zone, "node")
	}
	given, err := yaml.Marshal(map[string]any{"config": config})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, given, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := templateWith(t, "cached", append(set(nil), "--values", file)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rendered, _ := find(t, decode(t, out), configMap).at("data", "cached.yaml").(string)
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := programs.Command("config", "print", "--config", file).Output(); err != nil || string(again) != string(printed) {
		t.Errorf("%v: want\n%s\nprinted again as\n%s", err, printed, again)
	}
}
