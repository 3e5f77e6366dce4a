{{- define "cached.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "cached.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "cached.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "cached.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cached.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cached.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cached.labels" -}}
{{ include "cached.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "cached.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cached.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "cached.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- $first := first $parts -}}
{{- if and (gt (len $parts) 1) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "cached.gossipSecret" -}}
{{- default (printf "%s-gossip" (include "cached.fullname" .)) .Values.gossip.existingSecret -}}
{{- end -}}

{{/* The Secret of the agents' port; empty: it is plain text. */}}
{{- define "cached.agentsSecret" -}}
{{- if .Values.tls.agents.issuer -}}
{{- printf "%s-agents" (include "cached.fullname" .) -}}
{{- else -}}
{{- .Values.tls.agents.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Sets what .over says in .base, to any depth. mergeOverwrite would lose false, 0 and "". */}}
{{- define "cached.over" -}}
{{- $base := .base -}}
{{- range $key, $value := .over -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $base $key)) -}}
{{- include "cached.over" (dict "base" (get $base $key) "over" $value) -}}
{{- else -}}
{{- $_ := set $base $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What is asked for and cannot be, said at once and in plain words. */}}
{{- define "cached.check" -}}
{{- $bad := list -}}
{{- if not .Values.zones -}}
{{- $bad = append $bad "zones: name at least one, e.g. --set 'zones={eu-1a}' (kubectl get nodes -L topology.kubernetes.io/zone shows them)" -}}
{{- end -}}
{{- if and (not .Values.zoneLabel) (gt (len .Values.zones) 1) -}}
{{- $bad = append $bad "zoneLabel is empty, so that all nodes are in one zone, but zones names several" -}}
{{- end -}}
{{- if not .Values.origin.urls -}}
{{- $bad = append $bad "origin.urls: name the object store, e.g. --set 'origin.urls={s3://images?endpoint=https://minio.example:9000&region=eu-1}'" -}}
{{- end -}}
{{- if and (eq .Values.tls.mode "csi") (not .Values.tls.csi.issuer) -}}
{{- $bad = append $bad "tls.mode is csi: tls.csi.issuer must name cert-manager's issuer" -}}
{{- end -}}
{{- if and (eq .Values.l2.type "claim") (not .Values.l2.claim) -}}
{{- $bad = append $bad "l2.type is claim: l2.claim must name a PersistentVolumeClaim" -}}
{{- end -}}
{{- if and (or .Values.agents.service.enabled (not .Values.hostNetwork)) (not (include "cached.agentsSecret" .)) (not .Values.agents.insecure) -}}
{{- $bad = append $bad "agents reach the daemon from beyond the host's loopback: set tls.agents.issuer or tls.agents.existingSecret, or agents.insecure=true on a network that you trust" -}}
{{- end -}}
{{- if and .Values.tls.agents.issuer .Values.tls.agents.existingSecret -}}
{{- $bad = append $bad "tls.agents.issuer and tls.agents.existingSecret contradict each other: set one" -}}
{{- end -}}
{{- if and .Values.agents.insecure (include "cached.agentsSecret" .) -}}
{{- $bad = append $bad "agents.insecure contradicts tls.agents: drop one" -}}
{{- end -}}
{{- range .Values.zones -}}
{{- $name := printf "%s-peers-%s" (include "cached.fullname" $) . -}}
{{- if gt (len $name) 63 -}}
{{- $bad = append $bad (printf "the Service %s has more than 63 characters: set fullnameOverride to a shorter name" $name) -}}
{{- end -}}
{{- end -}}
{{- if le (int .Values.terminationGracePeriodSeconds) 10 -}}
{{- $bad = append $bad "terminationGracePeriodSeconds must be more than 10: reads in progress are drained for five seconds less" -}}
{{- end -}}
{{- with include "cached.limit" . -}}
{{- $limit := include "cached.bytes" . -}}
{{- $l1 := dig "l1" "size" $.Values.l1.size ($.Values.config | default dict) | toString -}}
{{- $least := addf (divf (mulf (include "cached.bytes" ($l1 | nospace | trimSuffix "B") | float64) 1.25) 1048576) 128 | ceil -}}
{{- if not $limit -}}
{{- $bad = append $bad (printf "resources.limits.memory is %q, which is no quantity of Kubernetes: write it as 5376Mi, 5.5Gi or 6G" .) -}}
{{- else if lt (float64 $limit) (mulf $least 1048576) -}}
{{- $bad = append $bad (printf "resources.limits.memory is %s, too little for l1.size, %s: a quarter more than that and 128 MiB are %.0fMi. Raise the limit, or lower l1.size" . $l1 $least) -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range .Values.ports }}{{ $ports = append $ports (int64 .) }}{{ end -}}
{{- if ne (len (uniq $ports)) (len $ports) -}}
{{- $bad = append $bad "ports: two are the same, and one daemon has them all" -}}
{{- end -}}
{{- $user := .Values.securityContext | default dict -}}
{{- if and .Values.l2Owner.enabled (or (eq .Values.l2.type "hostPath") .Values.agents.socket.enabled) (not (and (hasKey $user "runAsUser") (hasKey $user "runAsGroup"))) -}}
{{- $bad = append $bad "securityContext.runAsUser and runAsGroup: init containers give the host's directories to them. Set both, or l2Owner.enabled=false where somebody else does it" -}}
{{- end -}}
{{- $pod := .Values.podSecurityContext | default dict -}}
{{- $groups := list -}}
{{- range concat (list $user.runAsGroup $pod.fsGroup) ($pod.supplementalGroups | default list) }}{{ $groups = append $groups (int64 .) }}{{ end -}}
{{- if and .Values.agents.socket.enabled .Values.agents.socket.group (not (has (int64 .Values.agents.socket.group) $groups)) -}}
{{- $bad = append $bad (printf "agents.socket.group: the daemon is in no group %d: add it to podSecurityContext.supplementalGroups" (int64 .Values.agents.socket.group)) -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- $bad = append $bad "monitoring.podMonitor and monitoring.serviceMonitor would scrape every node twice, and all counts be twice as high: enable one" -}}
{{- end -}}
{{- if $bad -}}
{{- fail (printf "\n\n%s\n" (join "\n" $bad)) -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the chart sets, and over it .Values.config as it stands. */}}
{{- define "cached.config" -}}
{{- $c := dict
  "data-dir" "/var/lib/cached"
  "origins" .root.Values.origin.urls
  "l1" (dict "size" .root.Values.l1.size)
  "l2" (dict "size" .root.Values.l2.size "min-free" .root.Values.l2.minFree)
  "log" (dict "format" "json")
  "shutdown" (dict "drain-timeout" (printf "%ds" (sub (int .root.Values.terminationGracePeriodSeconds) 5)))
-}}
{{- $zone := dict
  "name" .zone
  "peer-listen" (printf ":%d" (int .root.Values.ports.peers))
  "gossip" (printf ":%d" (int .root.Values.ports.gossip))
  "seeds" (list (printf "%s:%d" (include "cached.seeds" .) (int .root.Values.ports.gossip)))
-}}
{{- if eq .root.Values.tls.mode "insecure" -}}
{{- $_ := set $zone "insecure" true -}}
{{- else -}}
{{- $_ := set $zone "tls" "/run/cached/zone-tls" -}}
{{- $_ := set $zone "gossip-keys" "/run/cached/gossip/gossip.keys" -}}
{{- end -}}
{{- $_ := set $c "zone" $zone -}}
{{- $local := and .root.Values.hostNetwork (not .root.Values.agents.service.enabled) -}}
{{- $_ := set $c "listen" (printf "%s:%d" (ternary "127.0.0.1" "" $local) (int .root.Values.ports.blocks)) -}}
{{- $_ := set $c "insecure-admin" true -}}
{{- with .root.Values.agents.socket }}{{ if .enabled -}}
{{- $_ := set $c "socket" (dict "path" "/run/cached/agents/cached.sock" "mode" .mode) -}}
{{- with .group }}{{ $_ := set $c.socket "group" (printf "%d" (int64 .)) }}{{ end -}}
{{- end }}{{ end -}}
{{- if include "cached.agentsSecret" .root -}}
{{- $_ := set $c "tls" (dict "dir" "/run/cached/tls") -}}
{{- else if not $local -}}
{{- $_ := set $c "insecure" true -}}
{{- end -}}
{{- if .root.Values.tenants.existingSecret -}}
{{- $_ := set $c "auth" (dict "tenants" "/run/cached/tenants/tenants.yaml") -}}
{{- end -}}
{{- include "cached.over" (dict "base" $c "over" .root.Values.config) -}}
{{- toYaml $c -}}
{{- end -}}

{{/* The name whose addresses are those of the zone's nodes. */}}
{{- define "cached.seeds" -}}
{{- printf "%s-peers-%s.%s.svc" (include "cached.fullname" .root) .zone .root.Release.Namespace -}}
{{- end -}}

{{/* The bytes that a quantity of Kubernetes means, such as 5.5Gi, 6G, 6e9 or 6442450944; empty: it is none. */}}
{{- define "cached.bytes" -}}
{{- $text := toString . -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0
  "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- if regexMatch "^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$" $text -}}
{{- $number := regexFind "^[+]?[0-9.]+([eE][+-]?[0-9]+)?" $text -}}
{{- printf "%.0f" (mulf (float64 $number) (get $units (trimPrefix $number $text))) -}}
{{- end -}}
{{- end -}}

{{/* GOMEMLIMIT: nine tenths of the memory limit, in MiB. */}}
{{- define "cached.memoryLimit" -}}
{{- with include "cached.bytes" (include "cached.limit" .) -}}
{{- printf "%.0fMiB" (floor (divf (mulf (float64 .) 0.9) 1048576)) -}}
{{- end -}}
{{- end -}}

{{/* The memory limit as it was given; empty: there is none. */}}
{{- define "cached.limit" -}}
{{- dig "limits" "memory" "" (.Values.resources | default dict) -}}
{{- end -}}
