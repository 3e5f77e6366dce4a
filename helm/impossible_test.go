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
