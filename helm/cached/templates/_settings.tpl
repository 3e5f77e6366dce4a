{{/* A setting as the daemon will have it: .is, or what the environment or an argument of the pod says instead. .root, .flag, .is */}}
{{- define "cached.setting" -}}
{{- $is := .is -}}
{{- $name := printf "CACHED_%s" (.flag | replace "-" "_" | upper) -}}
{{- $flag := printf "--%s=" .flag -}}
{{- range .root.Values.extraEnv }}{{ if and (eq .name $name) .value }}{{ $is = .value }}{{ end }}{{ end -}}
{{- range .root.Values.extraArgs }}{{ if hasPrefix $flag . }}{{ $is = trimPrefix $flag . }}{{ end }}{{ end -}}
{{- $is -}}
{{- end -}}

{{/* Why a flag does not take a value; empty: it does. .flag of flags.json, .name as the message has it, .value */}}
{{- define "cached.refusal" -}}
{{- $f := .flag -}}
{{- $value := .value -}}
{{- $bad := "" -}}
{{- if contains "$(" $value -}}
{{- /* the kubelet fills it in */ -}}
{{- else if and $f.enum (not (has $value $f.enum)) -}}
{{- $bad = printf "it is one of %s" (join ", " $f.enum) -}}
{{- else if and $f.pattern (not (regexMatch $f.pattern $value)) -}}
{{- $bad = contains "GiB" $f.pattern | ternary "it is a size such as 4GiB" (contains "|ms|" $f.pattern | ternary "it is a duration such as 5s" (printf "it is %s" $f.what)) -}}
{{- else if and (eq $f.type "boolean") (not (has $value (list "true" "false"))) -}}
{{- $bad = "it is true or false" -}}
{{- else if and (eq $f.type "integer") (not (regexMatch "^-?[0-9]{1,15}$" $value)) -}}
{{- $bad = "it is a whole number" -}}
{{- else if and (eq $f.type "number") (not (regexMatch "^-?[0-9]+([.][0-9]+)?$" $value)) -}}
{{- $bad = "it is a number" -}}
{{- else if and (hasKey $f "minimum") (lt (float64 $value) (float64 $f.minimum)) -}}
{{- $bad = printf "it is at least %v" $f.minimum -}}
{{- else if and (hasKey $f "maximum") (gt (float64 $value) (float64 $f.maximum)) -}}
{{- $bad = printf "it is at most %v" $f.maximum -}}
{{- end -}}
{{- with $bad }}{{ printf "%s does not take %q: %s" $.name $value . }}{{ end -}}
{{- end -}}

{{/* What is wrong with extraArgs and extraEnv, a line each. */}}
{{- define "cached.badArgs" -}}
{{- $flags := .Files.Get "flags.json" | fromJson -}}
{{- range .Values.extraArgs -}}
{{- $parts := splitn "=" 2 . -}}
{{- $name := trimPrefix "--" $parts._0 -}}
{{- $flag := get $flags $name -}}
{{- if not (hasPrefix "--" .) }}
extraArgs: {{ . }} is no flag of `cached serve`: write each as one word, as in --log-level=debug
{{- else if eq $name "config" }}
extraArgs: --config is the chart's: what a file would say goes into config
{{- else if not $flag }}
extraArgs: `cached serve` has no flag --{{ $name }}
{{- else if and (not (contains "=" .)) (ne $flag.type "boolean") }}
extraArgs: --{{ $name }} wants a value in the same word, as in --{{ $name }}=...
{{- else if contains "=" . }}
{{- with include "cached.refusal" (dict "flag" $flag "name" (printf "extraArgs: --%s" $name) "value" (default "" $parts._1)) }}
{{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv -}}
{{- $flag := get $flags (.name | trimPrefix "CACHED_" | lower | replace "_" "-") -}}
{{- if and (hasPrefix "CACHED_" .name) $flag .value }}
{{- $name := .name }}
{{- range (eq $flag.key "origins" "zone.seeds" "metrics.tenants" | ternary (splitList " " .value) (list .value)) }}
{{- with include "cached.refusal" (dict "flag" $flag "name" (printf "extraEnv: %s" $name) "value" .) }}
{{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What is wrong with the daemon's settings among each other and with the pod around them, a line each. */}}
{{- define "cached.badSettings" -}}
{{- $own := .Values.config | default dict -}}
{{- $c := include "cached.config" (dict "root" . "zone" (first .Values.zones)) | fromYaml -}}
{{- range $flag, $port := dict "peer-listen" "peers" "gossip" "gossip" "peer-advertise" "peers" "gossip-advertise" "gossip" "admin" "admin" "listen" "blocks" -}}
{{- $is := get $c.zone $flag | default "" -}}
{{- if eq $flag "listen" }}{{ $is = $c.listen | default "" }}{{ end -}}
{{- if has $flag (list "admin" "peer-advertise" "gossip-advertise") }}{{ $is = "" }}{{ end -}}
{{- $at := include "cached.setting" (dict "root" $ "flag" $flag "is" $is) -}}
{{- if and $at (ne (splitList ":" $at | last) (get $.Values.ports $port | int64 | toString)) }}
ports.{{ $port }} is {{ get $.Values.ports $port | int64 }}, and the daemon is told {{ $at }} (config or extraArgs): the pod's ports, its Services and its probes are those of ports, so set ports.{{ $port }}
{{- end }}
{{- end }}
{{- range $key := list "admin" "zone.node" "zone.peer-advertise" "zone.gossip-advertise" }}
{{- $path := splitList "." $key }}
{{- $in := gt (len $path) 1 | ternary (get $own "zone" | default dict) $own }}
{{- if get $in (last $path) }}
config.{{ $key }} has no effect: it is a flag of the pod, --{{ last $path }}, which wins. Use extraArgs
{{- end }}
{{- end }}
{{- with dig "zone" "name" "" $own }}{{ if or (ne . (first $.Values.zones)) (gt (len $.Values.zones) 1) }}
config.zone.name is {{ . }}: zones says which there are
{{- end }}{{ end }}
{{- if not (get $c "insecure-admin") }}
config.insecure-admin is false: the pod's admin port is that of its address, for probes and Prometheus
{{- end }}
{{- if and $c.zone.insecure (or $c.zone.tls (get $c.zone "gossip-keys")) }}
config.zone.insecure contradicts tls.mode {{ .Values.tls.mode }}: set tls.mode=insecure
{{- end }}
{{- $listen := include "cached.setting" (dict "root" . "flag" "listen" "is" ($c.listen | default "")) }}
{{- $host := regexReplaceAll ":[0-9]*$" $listen "" }}
{{- $loopback := or (hasPrefix "127." $host) (has $host (list "localhost" "[::1]")) }}
{{- $tls := dig "tls" "dir" "" $c }}
{{- if and (not $listen) .Values.agents.service.enabled }}
config.listen is empty: agents.service.enabled sends pods to that port
{{- else if and (not $listen) (not (dig "socket" "path" "" $c)) }}
config.listen is empty: nobody could read; set agents.socket.enabled
{{- else if and $listen $loopback (or .Values.agents.service.enabled (not .Values.hostNetwork)) }}
config.listen is {{ $listen }}, which no other pod reaches: agents.service.enabled and hostNetwork=false want it to be more than loopback
{{- else if and $listen (not $loopback) (not $tls) (not $c.insecure) }}
config.listen is {{ $listen }}: agents would read in plain text beyond the host's loopback: set tls.agents.issuer or tls.agents.existingSecret, or agents.insecure=true on a network that you trust
{{- end }}
{{- if and $tls $c.insecure }}
config.insecure contradicts the certificate of the agents' port, {{ $tls }}: drop one
{{- end }}
{{- range $tier, $least := dict "l1" 16 "l2" 64 }}
{{- $size := include "cached.setting" (dict "root" $ "flag" (printf "%s-size" $tier) "is" (dig $tier "size" "" $c | toString)) }}
{{- $bytes := include "cached.size" $size | float64 }}
{{- if and (gt $bytes 0.0) (lt $bytes (mulf $least 1048576)) }}
{{ $tier }}.size is {{ $size }}, too small: at least {{ $least }}MiB, or 0B for none
{{- end }}
{{- end }}
{{- $budget := include "cached.setting" (dict "root" . "flag" "peer-budget" "is" (get $c.zone "peer-budget" | default "5s")) }}
{{- $silence := include "cached.setting" (dict "root" . "flag" "peer-silence" "is" (get $c.zone "peer-silence" | default "1s")) }}
{{- if lt (include "cached.seconds" $budget | float64) 0.01 }}
config.zone.peer-budget is {{ $budget }}: at least 10ms
{{- end }}
{{- if or (lt (include "cached.seconds" $silence | float64) 0.01) (gt (include "cached.seconds" $silence | float64) (include "cached.seconds" $budget | float64)) }}
config.zone.peer-silence is {{ $silence }}: at least 10ms, and no more than peer-budget, {{ $budget }}
{{- end }}
{{- $sends := include "cached.setting" (dict "root" . "flag" "sends" "is" (get $c.zone "sends" | default 8)) | int64 }}
{{- $each := include "cached.setting" (dict "root" . "flag" "sends-per-block" "is" (get $c.zone "sends-per-block" | default 2)) | int64 }}
{{- if gt $each $sends }}
config.zone.sends-per-block is {{ $each }}, more than sends, {{ $sends }}
{{- end }}
{{- $mounted := list "/var/lib/cached" "/tmp" }}
{{- range .Values.extraVolumeMounts }}{{ $mounted = append $mounted (trimSuffix "/" .mountPath) }}{{ end }}
{{- range $flag, $dir := dict "data-dir" (get $c "data-dir") "l2-dir" (dig "l2" "dir" "" $c) }}
{{- $dir = include "cached.setting" (dict "root" $ "flag" $flag "is" $dir) }}
{{- $in := eq $dir "" }}
{{- range $mounted }}{{ if hasPrefix (printf "%s/" .) (printf "%s/" $dir) }}{{ $in = true }}{{ end }}{{ end }}
{{- if not $in }}
{{ $flag }} is {{ $dir }}, which is in no volume of the pod, whose root file system is read-only: leave it, or mount a volume by extraVolumes and extraVolumeMounts
{{- end }}
{{- end }}
{{- end -}}

{{/* Requests of the pod's resources above their limits, a line each. */}}
{{- define "cached.badResources" -}}
{{- $r := .Values.resources | default dict -}}
{{- $limits := $r.limits | default dict -}}
{{- range $name, $request := $r.requests | default dict }}
{{- $limit := get $limits $name | default "" | toString }}
{{- $most := $limit | empty | ternary "" (include "cached.quantity" $limit) }}
{{- $asked := include "cached.quantity" $request }}
{{- if not $asked }}
resources.requests.{{ $name }} is {{ toString $request | quote }}, which is no quantity of Kubernetes: write it as 500m, 2, 5376Mi or 6G
{{- else if and $most (gt (float64 $asked) (float64 $most)) }}
resources.requests.{{ $name }} is {{ $request }}, more than its limit, {{ $limit }}: no API server takes that. Lower the request with the limit, --set resources.requests.{{ $name }}={{ $limit }}
{{- end }}
{{- end }}
{{- end -}}
