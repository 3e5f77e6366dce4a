package helm_test

import (
	"slices"
	"strings"
	"testing"
)

// GOMEMLIMIT is nine tenths of the limit, however Kubernetes lets one write that.
func TestTheMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"5376Mi": "4838MiB", "5.5Gi": "5068MiB", "0.5Gi": "460MiB", ".5Gi": "460MiB", "6.Gi": "5529MiB", "+6Gi": "5529MiB",
		"1048576Ki": "921MiB", "1Ti": "943718MiB", "1Pi": "966367641MiB", "1Ei": "989560464998MiB",
		"8G": "6866MiB", "1.5G": "1287MiB", "1000M": "858MiB", "1000000k": "858MiB", "1T": "858306MiB", "1P": "858306884MiB", "1E": "858306884765MiB",
		"6442450944": "5529MiB", "6442450944000m": "5529MiB", "6442450944000000u": "5529MiB", "6442450944000000000n": "5529MiB",
		"6.442450944e+09": "5529MiB", "8e9": "6866MiB", "8E9": "6866MiB", "80000000000e-1": "6866MiB",
	} {
		ds := find(t, render(t, "l1.size=16MiB", "resources.limits.memory="+limit), daemonSet).text(t)
		if !strings.Contains(ds, `{"name":"GOMEMLIMIT","value":"`+want+`"}`) {
			t.Errorf("%s: want a GOMEMLIMIT of %s: %s", limit, want, ds)
		}
	}
	for _, wrong := range []string{"5 GiB", "5GiB", "-5Gi", "5gi", "5K", "5kb", "5e", "5e1Gi", "1.2.3Gi", ".", "Gi", "all"} {
		out, err := helm(t, append(slices.Clone(least), "resources.limits.memory="+wrong)...)
		if want := `resources.limits.memory is "` + wrong + `", which is no quantity of Kubernetes`; err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%.400s", wrong, err, out)
		}
	}
}

// The limit has room for L1, a quarter of it, and 128 MiB.
func TestTheLeastMemoryLimit(t *testing.T) {
	for _, tt := range []struct {
		values []string
		says   string // "": it is taken
	}{
		{[]string{"resources.limits.memory=5248Mi"}, ""},
		{[]string{"resources.limits.memory=5247Mi"}, "5247Mi, too little for l1.size, 4GiB: a quarter more than that and 128 MiB are 5248Mi"},
		{[]string{"resources.limits.memory=5502926847"}, "5248Mi"},
		{[]string{"resources.limits.memory=5502926848"}, ""},
		{[]string{"resources.limits.memory=0"}, "5248Mi"},
		{[]string{"l1.size=8GiB"}, "10368Mi"},
		{[]string{"l1.size=5GB"}, "6089Mi"},
		{[]string{"l1.size=4.3 GB"}, ""},
		{[]string{"config.l1.size=8GiB"}, "8GiB"},
		{[]string{"l1.size=8GiB", "config.l1.size=1GiB"}, ""},
		{[]string{"extraArgs={--l1-size=8GiB}"}, "8GiB"},
		{[]string{"extraEnv[0].name=CACHED_L1_SIZE", "extraEnv[0].value=8GiB"}, "8GiB"},
		{[]string{"extraEnv[0].name=CACHED_L1_SIZE", "extraEnv[0].value=8GiB", "extraArgs={--l1-size=1GiB}"}, ""},
		{[]string{"l1.size=0B", "resources.limits.memory=127Mi"}, "128Mi"},
		{[]string{"l1.size=0B", "resources.limits.memory=128Mi"}, ""},
		{[]string{"l1.size=8GiB", "resources=null"}, ""},
		{[]string{"l1.size=8GiB", "resources.limits=null"}, ""},
		{[]string{"l1.size=8GiB", "resources.limits.memory=null"}, ""},
	} {
		out, err := helm(t, append(slices.Clone(least), tt.values...)...)
		if (err == nil) != (tt.says == "") || !strings.Contains(string(out), tt.says) {
			t.Errorf("%v: %v\n%.400s", tt.values, err, out)
		}
	}
}
