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

{{/* Flags by which a client on the daemon's loopback reaches it, where the usual do not. .socket, .ca and .token are files of the client's. */}}
{{- define "cached.client" -}}
{{- $config := include "cached.config" (dict "root" .root "zone" (first .root.Values.zones)) | fromYaml -}}
{{- $tls := dig "tls" "dir" "" $config -}}
{{- $port := splitList ":" $config.listen | last -}}
{{- if not $config.listen }} --server unix://{{ .socket }}
{{- else if $tls }} --server https://localhost:{{ $port }} --ca {{ .ca }}
{{- else if ne $port "7070" }} --server http://127.0.0.1:{{ $port }}
{{- end -}}
{{- with dig "auth" "tenants" "" $config }} --token-file {{ $.token }}{{ end -}}
{{- end -}}

{{/* The name whose addresses are those of the zone's nodes. */}}
{{- define "cached.seeds" -}}
{{- printf "%s-peers-%s.%s.svc" (include "cached.fullname" .root) .zone .root.Release.Namespace -}}
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
