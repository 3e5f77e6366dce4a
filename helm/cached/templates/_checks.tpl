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
{{- if and (ne .Values.tls.mode "csi") .Values.tls.csi.issuer -}}
{{- $bad = append $bad (printf "tls.csi.issuer is for tls.mode csi, which is %s" .Values.tls.mode) -}}
{{- end -}}
{{- if eq .Values.l2.type "ephemeral" -}}
{{- $config := .Values.config | default dict -}}
{{- $l2 := addf (include "cached.size" (dig "l2" "size" .Values.l2.size $config)) (include "cached.size" (dig "l2" "min-free" .Values.l2.minFree $config)) -}}
{{- $volume := include "cached.bytes" .Values.l2.ephemeral.size -}}
{{- if not $volume -}}
{{- $bad = append $bad (printf "l2.ephemeral.size is %q, which is no quantity of Kubernetes: write it as 220Gi" .Values.l2.ephemeral.size) -}}
{{- else if lt (float64 $volume) $l2 -}}
{{- $bad = append $bad (printf "l2.ephemeral.size is %s, too little for l2.size and l2.minFree, %.0fGi in all" .Values.l2.ephemeral.size (ceil (divf $l2 1073741824))) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.l2.type "claim") (not .Values.l2.claim) -}}
{{- $bad = append $bad "l2.type is claim: l2.claim must name a PersistentVolumeClaim" -}}
{{- end -}}
{{- if and (or .Values.agents.service.enabled (not .Values.hostNetwork)) (not (include "cached.agentsSecret" .)) (not .Values.agents.insecure) -}}
{{- $bad = append $bad "agents reach the daemon from beyond the host's loopback: set tls.agents.issuer or tls.agents.existingSecret, or agents.insecure=true on a network that you trust" -}}
{{- end -}}
{{- if and .Values.agents.service.enabled (ne .Values.agents.service.traffic "Local") (semverCompare "<1.34-0" .Capabilities.KubeVersion.Version) -}}
{{- $bad = append $bad (printf "agents.service.traffic: Kubernetes %s does not know %s and would send pods to any node of the cluster: use Local, or 1.34 or newer" .Capabilities.KubeVersion.Version .Values.agents.service.traffic) -}}
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
{{- $l1 := include "cached.setting" (dict "root" $ "flag" "l1-size" "is" (dig "l1" "size" $.Values.l1.size ($.Values.config | default dict) | toString)) -}}
{{- $least := addf (divf (mulf (include "cached.size" $l1) 1.25) 1048576) 128 | ceil -}}
{{- if not $limit -}}
{{- $bad = append $bad (printf "resources.limits.memory is %q, which is no quantity of Kubernetes: write it as 5376Mi, 5.5Gi or 6G" .) -}}
{{- else if lt (float64 $limit) (mulf $least 1048576) -}}
{{- $bad = append $bad (printf "resources.limits.memory is %s, too little for l1.size, %s: a quarter more than that and 128 MiB are %.0fMi. Raise the limit, or lower l1.size" . $l1 $least) -}}
{{- end -}}
{{- end -}}
{{- $drain := dig "shutdown" "drain-timeout" "0s" (.Values.config | default dict) -}}
{{- if ge (include "cached.seconds" $drain | float64) (float64 .Values.terminationGracePeriodSeconds) -}}
{{- $bad = append $bad (printf "config.shutdown.drain-timeout is %s: terminationGracePeriodSeconds, %d, must be more" $drain (int64 .Values.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- range $key, $_ := .Values.podLabels -}}
{{- if or (eq $key "cached.dev/zone") (hasKey (include "cached.labels" $ | fromYaml) $key) -}}
{{- $bad = append $bad (printf "podLabels has %s, which is the chart's" $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (.Values.podAnnotations | default dict) "checksum/config" -}}
{{- $bad = append $bad "podAnnotations has checksum/config, which is the chart's" -}}
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
{{- range list "cached.badArgs" "cached.badResources" -}}
{{- range splitList "\n" (include . $) }}{{ with trim . }}{{ $bad = append $bad . }}{{ end }}{{ end -}}
{{- end -}}
{{- if and .Values.zones .Values.origin.urls (not $bad) -}}
{{- range splitList "\n" (include "cached.badSettings" .) }}{{ with trim . }}{{ $bad = append $bad . }}{{ end }}{{ end -}}
{{- end -}}
{{- if $bad -}}
{{- fail (printf "\n\n%s\n" (join "\n" $bad)) -}}
{{- end -}}
{{- end -}}
