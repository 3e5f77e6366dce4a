package main

// The commands behind the goals of operation. Those of packages, documents and runbooks need
// root, for machines of their own; the others only to install Debian's Prometheus and
// Chromium, where they are not.
const (
	operateDashboards = goTest + "-skip 'TestAlerts|TestRulesKeep|TestPictures$' ./helm/dashboards/..."
	operateAlerts     = goTest + "-run 'TestAlerts|TestRulesKeep' ./helm/dashboards"
	operateChart      = goTest + "-skip TestProve ./helm"
	operateAPIServer  = goTest + "-run TestProveAnAPIServer ./helm"
	operateSeries     = goTest + "./account"
	operateTraces     = goTest + "-run 'ATraceGoes|EveryInterface|EveryNumber|EveryCount|EveryDecision|EveryRefusal|ThePageOf|StartsCount|TheMetricsReference|TestScripts/^auth$' ./cmd/cached"
	operateSpans      = goTest + "./tracing"
	operateCommands   = goTest + "-run 'TestScripts/^(doctor|explain|config)$|TestDoctor|ThisKernel|TheReference|TestOwn' ./cmd/cached"
	operatePage       = goTest + "-run StatusPage ./cmd/cached"
	operatePageParts  = goTest + "./cmd/cached/statuspage"
	operatePackaging  = goTest + "./packaging"
	operatePages      = goTest + "-run 'TestCommands|TestEvery|TestFences|Exist|TestLinks' ./docs"
	operateRunbooks   = goTest + "-run TestProveRunbooks ./docs"
)

// operateGoals are the goals of who runs hosts.
var operateGoals = []goal{
	{name: "every query of the dashboards, and every rule, is answered by a real Prometheus that scrapes three hosts of a zone; no rule names a metric that no host has; what draws its answers; the pictures of the documents have its panels", command: operateDashboards},
	{name: "alerts: each fires and is quiet when it is to be (promtool), and has a runbook; clusters and zones of the same name are kept apart", command: operateAlerts},
	{name: "chart: lint; rendered in every way of a table, whose objects are of the API of four versions of Kubernetes without a field it does not know; the pod run as a process: ports, socket, TLS, probes; values that cannot be are refused in words; README and schema of the values: ways", figure: "helm.ways", op: atLeast, bound: 20, unit: "ways", command: operateChart},
	{name: "chart: a real API server takes every object (strict, dry run; all but GrafanaDashboard, whose definition is not to be had), and helm install, upgrade and uninstall do what they are to: objects", figure: "helm.apiserver.objects", op: atLeast, bound: 100, unit: "objects", command: operateAPIServer},
	{name: "ledger: every number of the exposition after a known sequence", command: operateSeries},
	{name: "daemon: every number of its page after a read by every interface, of two daemons that read from each other (peers, ring, certificates), of what an overload refuses, of what it decides about agents and of starts; every count of peers, trees and gossip is under its own label; one read through two hosts is one trace, by every interface; the list of metrics is what it shows", command: operateTraces},
	{name: "traces: what tiers did is in spans, reads without a trace have none and allocate nothing, and nobody waits for a collector", command: operateSpans},
	{name: "commands: doctor, explain, config reference, own", command: operateCommands},
	{name: "deb and rpm: the same bytes each time; installed, run by the unit's command lines as their user, upgraded, removed; image: the same digest each time, not root; SBOM of both", command: operatePackaging},
	{name: "documents: every command runs as written, each page on a machine of its own, or is in a table of the test with the reason; every flag, setting, metric, panel and link that a page names is there", command: operatePages},
	{name: "runbooks: faults made on a zone of three, with real Prometheus and the chart's rules in time 100 times faster: alerts that fire, whose runbook's commands run and show what it says, and that are over after what it says to do, which is done under load or says why it is not", figure: "runbooks.alerts_tried", op: atLeast, bound: 16, unit: "alerts", command: operateRunbooks},
	{name: "status page: what it keeps of an hour, plots, names that are no HTML, what a browser may load", command: operatePageParts},
	{name: "status page in Chromium: no console error, no request elsewhere, updates itself, by keyboard, for a screen reader (axe-core), in light and dark from 320 px on, without JavaScript", command: operatePage},
}
