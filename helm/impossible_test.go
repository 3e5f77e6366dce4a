package helm_test

import (
	"slices"
	"strings"
	"testing"
)

// What cannot be is said at once, in words.
func TestValuesThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		says   string
	}{
		"nothing":               {nil, "zones: name at least one"},
		"no origin":             {[]string{"zones={a}"}, "origin.urls"},
		"zones, no label":       {append(slices.Clone(least), "zones={a,b}", "zoneLabel="), "zoneLabel is empty"},
		"csi":                   {append(slices.Clone(least), "tls.mode=csi"), "tls.csi.issuer"},
		"claim":                 {append(slices.Clone(least), "l2.type=claim"), "l2.claim"},
		"plain text":            {append(slices.Clone(least), "hostNetwork=false"), "agents.insecure=true"},
		"no time":               {append(slices.Clone(least), "terminationGracePeriodSeconds=10"), "terminationGracePeriodSeconds"},
		"a typo":                {append(slices.Clone(least), "l2.sise=1GiB"), "sise"},
		"a wrong type":          {append(slices.Clone(least), "hostNetwork=yes"), "hostNetwork"},
		"two Secrets":           {append(slices.Clone(least), "tls.agents.issuer=a", "tls.agents.existingSecret=b"), "contradict each other"},
		"plain and TLS":         {append(slices.Clone(least), "tls.agents.issuer=a", "agents.insecure=true"), "agents.insecure contradicts"},
		"a long name":           {append(slices.Clone(least), "zones={a-zone-whose-name-is-far-too-long-for-that-of-a-service}"), "more than 63 characters"},
		"a zone's name":         {append(slices.Clone(least), "zones={eu.1a}"), "/zones/0"},
		"a socket's mode":       {append(slices.Clone(least), "agents.socket.mode=0888"), "/agents/socket/mode"},
		"a field of Kubernetes": {append(slices.Clone(least), "securityContext.runAsUsr=1"), "runAsUsr"},
		"one of the pod":        {append(slices.Clone(least), "podSecurityContext.fsGrop=1"), "fsGrop"},
		"one deeper":            {append(slices.Clone(least), "securityContext.capabilities.dorp={ALL}"), "dorp"},
		"of updates":            {append(slices.Clone(least), "updateStrategy.rollingUpdate.maxUnavailble=2"), "maxUnavailble"},
		"of resources":          {append(slices.Clone(least), "resources.limit.memory=8Gi"), "limit"},
		"a user's name":         {append(slices.Clone(least), "securityContext.runAsUser=cached"), "/securityContext/runAsUser"},
		"a setting":             {append(slices.Clone(least), "config.l1.sise=1GiB"), "sise"},
		"a stanza":              {append(slices.Clone(least), "config.zones.name=a"), "zones"},
		"a setting's type":      {append(slices.Clone(least), "config.limits.origin-reads=many"), "/config/limits/origin-reads"},
		"a size":                {append(slices.Clone(least), "config.l2.size=1 gigabyte"), "/config/l2/size"},
		"a duration":            {append(slices.Clone(least), "config.zone.peer-budget=5"), "/config/zone/peer-budget"},
		"a port twice":          {append(slices.Clone(least), "ports.blocks=7071"), "two are the same"},
		"nobody to own":         {append(slices.Clone(least), "securityContext.runAsUser=null"), "l2Owner.enabled=false"},
		"a stranger's group":    {append(slices.Clone(least), "agents.socket.enabled=true", "agents.socket.group=990"), "in no group 990"},
		"two monitors":          {append(slices.Clone(least), "monitoring.podMonitor.enabled=true", "monitoring.serviceMonitor.enabled=true"), "scrape every node twice"},
		"a zone twice":          {append(slices.Clone(least), "zones={a,a}"), "/zones"},
		"no name of an object":  {append(slices.Clone(least), "fullnameOverride=Blocks_1"), "/fullnameOverride"},
		"no path":               {append(slices.Clone(least), "l2.hostPath=var/lib"), "/l2/hostPath"},
		"a year":                {append(slices.Clone(least), "tls.selfMade.valid=1y"), "/tls/selfMade/valid"},
		"an interval":           {append(slices.Clone(least), "monitoring.podMonitor.interval=often"), "/monitoring/podMonitor/interval"},
		"an idle issuer":        {append(slices.Clone(least), "tls.csi.issuer=zones"), "tls.csi.issuer is for tls.mode csi"},
		"a small volume":        {append(slices.Clone(least), "l2.type=ephemeral", "l2.size=500GiB"), "510Gi in all"},
		"a free part":           {append(slices.Clone(least), "l2.type=ephemeral", "config.l2.min-free=30GiB"), "230Gi in all"},
		"a volume of lots":      {append(slices.Clone(least), "l2.type=ephemeral", "l2.ephemeral.size=lots"), "no quantity of Kubernetes"},
		"a long drain":          {append(slices.Clone(least), "config.shutdown.drain-timeout=40s"), "terminationGracePeriodSeconds, 40, must be more"},
		"a longer one":          {append(slices.Clone(least), "config.shutdown.drain-timeout=1h0m0.5s"), "terminationGracePeriodSeconds"},
		"a selector's label":    {append(slices.Clone(least), `podLabels.app\.kubernetes\.io/name=a`), "which is the chart's"},
		"the checksum":          {append(slices.Clone(least), "podAnnotations.checksum/config=a"), "which is the chart's"},
		"no security":           {append(slices.Clone(least), "securityContext=null"), "securityContext"},
		"no socket":             {append(slices.Clone(least), "agents.socket=null"), "socket"},
		"more than the limit":   {append(slices.Clone(least), "resources.requests.memory=6Gi"), "resources.requests.memory is 6Gi, more than its limit, 5376Mi"},
		"a lowered limit":       {append(slices.Clone(least), "resources.requests.memory=5376Mi", "l1.size=1GiB", "resources.limits.memory=2G"), "resources.requests.memory is 5376Mi, more than its limit, 2G"},
		"half a processor":      {append(slices.Clone(least), "resources.limits.cpu=999m"), "resources.requests.cpu is 1, more than its limit, 999m"},
		"no quantity":           {append(slices.Clone(least), "resources.requests.cpu=two"), "no quantity of Kubernetes"},
		"a port of its own":     {append(slices.Clone(least), "config.listen=127.0.0.1:8080"), "ports.blocks is 7070, and the daemon is told 127.0.0.1:8080"},
		"one of peers":          {append(slices.Clone(least), "config.zone.peer-listen=:8080"), "set ports.peers"},
		"one of gossip":         {append(slices.Clone(least), "extraArgs={--gossip=:8080}"), "set ports.gossip"},
		"one of the probes":     {append(slices.Clone(least), "extraArgs={--admin=$(POD_IP):8080}"), "set ports.admin"},
		"one by a variable":     {append(slices.Clone(least), "extraEnv[0].name=CACHED_LISTEN", "extraEnv[0].value=127.0.0.1:8080"), "set ports.blocks"},
		"a flag of the pod":     {append(slices.Clone(least), "config.zone.node=a"), "config.zone.node has no effect"},
		"the admin port":        {append(slices.Clone(least), "config.admin=:7071"), "config.admin has no effect"},
		"a closed admin port":   {append(slices.Clone(least), "config.insecure-admin=false"), "config.insecure-admin is false"},
		"another zone":          {append(slices.Clone(least), "config.zone.name=eu-1b"), "zones says which there are"},
		"one for two":           {append(slices.Clone(least), "zones={a,b}", "config.zone.name=a"), "zones says which there are"},
		"an open zone":          {append(slices.Clone(least), "config.zone.insecure=true"), "set tls.mode=insecure"},
		"plain beyond loopback": {append(slices.Clone(least), "config.listen=:7070"), "agents.insecure=true"},
		"plain and a key":       {append(slices.Clone(least), "tls.agents.existingSecret=a", "config.insecure=true"), "config.insecure contradicts"},
		"a Service to nowhere":  {append(slices.Clone(least), "agents.service.enabled=true", "agents.insecure=true", "config.listen=127.0.0.1:7070"), "which no other pod reaches"},
		"a Service to nothing":  {append(slices.Clone(least), "agents.service.enabled=true", "agents.insecure=true", "config.listen="), "agents.service.enabled sends pods to that port"},
		"no way in":             {append(slices.Clone(least), "config.listen="), "nobody could read"},
		"a loud log":            {append(slices.Clone(least), "config.log.level=loud"), "'debug', 'info', 'warn', 'error'"},
		"another store":         {append(slices.Clone(least), "config.origins={gs://x}"), "/config/origins/0"},
		"a small L1":            {append(slices.Clone(least), "l1.size=1MiB"), "at least 16MiB"},
		"a small L2":            {append(slices.Clone(least), "extraArgs={--l2-size=1MiB}"), "at least 64MiB"},
		"a short budget":        {append(slices.Clone(least), "config.zone.peer-budget=5ms"), "config.zone.peer-budget is 5ms"},
		"a long silence":        {append(slices.Clone(least), "extraArgs={--peer-silence=6s}"), "no more than peer-budget, 5s"},
		"many of one":           {append(slices.Clone(least), "config.zone.sends=1"), "more than sends, 1"},
		"a directory elsewhere": {append(slices.Clone(least), "config.data-dir=/data"), "in no volume of the pod"},
		"a flag":                {append(slices.Clone(least), "extraArgs={--distribtion=tree}"), "`cached serve` has no flag --distribtion"},
		"a flag's word":         {append(slices.Clone(least), "extraArgs={--log-level=loud}"), "it is one of debug, info, warn, error"},
		"a flag's size":         {append(slices.Clone(least), "extraArgs={--l1-size=lots}"), "it is a size such as 4GiB"},
		"a flag's duration":     {append(slices.Clone(least), "extraArgs={--drain-timeout=5}"), "it is a duration such as 5s"},
		"a flag's store":        {append(slices.Clone(least), "extraArgs={--origin=gs://x}"), "does not take \"gs://x\""},
		"a flag's number":       {append(slices.Clone(least), "extraArgs={--weight=-1}"), "it is at least 0"},
		"a flag's share":        {append(slices.Clone(least), "extraArgs={--tracing-sample=1.5}"), "it is at most 1"},
		"a flag's switch":       {append(slices.Clone(least), "extraArgs={--prefetch=no}"), "it is true or false"},
		"a flag without value":  {append(slices.Clone(least), "extraArgs={--listen,:7070}"), "--listen wants a value in the same word"},
		"a command":             {append(slices.Clone(least), "extraArgs={status}"), "is no flag of `cached serve`"},
		"another file":          {append(slices.Clone(least), "extraArgs={--config=/etc/mine}"), "--config is the chart's"},
		"a variable":            {append(slices.Clone(least), "extraEnv[0].name=CACHED_LOG_LEVEL", "extraEnv[0].value=loud"), "extraEnv: CACHED_LOG_LEVEL does not take"},
		"a list in one":         {append(slices.Clone(least), "extraEnv[0].name=CACHED_ORIGIN", "extraEnv[0].value=s3://a gs://b"), "does not take \"gs://b\""},
		"a wrong choice":        {append(slices.Clone(least), "l2.type=emptyDir"), "/l2/type"},
	} {
		if out, err := helm(t, c.values...); err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v\n%.400s", name, err, out)
		}
	}
}

// A Kubernetes that does not know of a preference would leave it out, and not say so.
func TestAPreferenceThatIsNotKnown(t *testing.T) {
	for version, refused := range map[string]bool{"1.29.6": true, "1.33.9": true, "1.34.0": false, "1.34.0-rc.1+k3s1": false} {
		out, err := templateWith(t, "cached", append(set(cases["same node"]), "--kube-version", version)...)
		if (err != nil) != refused || strings.Contains(string(out), "agents.service.traffic: Kubernetes v"+version) != refused {
			t.Errorf("%s: %v\n%.400s", version, err, out)
		}
	}
}

// What looks like it and can be, is.
func TestValuesThatCanBe(t *testing.T) {
	for name, values := range map[string][]string{
		"IPv6":            {`extraArgs={--admin=[$(POD_IP)]:7071,--peer-advertise=[$(POD_IP)]:7072,--gossip-advertise=[$(POD_IP)]:7946}`},
		"a port of all":   {"ports.blocks=8080", "config.listen=127.0.0.1:8080", "config.zone.peer-listen=10.0.0.1:7072", "config.zone.gossip=:7946"},
		"a socket alone":  {"config.listen=", "agents.socket.enabled=true"},
		"flags":           {"extraArgs={--log-level=debug,--prefetch,--prefetch=false,--origin=file:///x,--weight=0,--tracing-sample=0.5,--peer-silence=10ms}"},
		"a larger budget": {"config.zone.peer-silence=6s", "extraArgs={--peer-budget=10s}"},
		"variables":       {"extraEnv[0].name=CACHED_ORIGIN", "extraEnv[0].value=s3://a file:///b", "extraEnv[1].name=CACHED_NEWS", "extraEnv[1].value=x", "extraEnv[2].name=LOG_LEVEL", "extraEnv[2].value=loud"},
		"a small request": {"resources.requests.memory=1Gi", "resources.requests.cpu=500m", "resources.limits.cpu=1"},
		"a smaller limit": {"l1.size=1GiB", "resources.limits.memory=2Gi"},
		"a mounted disk":  {"config.l2.dir=/nvme/l2", "extraVolumeMounts[0].name=nvme", "extraVolumeMounts[0].mountPath=/nvme", "extraVolumes[0].name=nvme", "extraVolumes[0].hostPath.path=/nvme"},
	} {
		if out, err := helm(t, append(slices.Clone(least), values...)...); err != nil {
			t.Errorf("%s: %v\n%.400s", name, err, out)
		}
	}
}
