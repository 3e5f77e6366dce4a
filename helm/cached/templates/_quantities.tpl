{{/* The bytes that a quantity of Kubernetes means, such as 5.5Gi, 6G, 6e9 or 6442450944; empty: it is none. */}}
{{- define "cached.bytes" -}}
{{- with include "cached.quantity" . }}{{ printf "%.0f" (float64 .) }}{{ end -}}
{{- end -}}

{{/* The number that a quantity of Kubernetes means, such as 500m; empty: it is none. */}}
{{- define "cached.quantity" -}}
{{- $text := toString . -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0
  "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- if regexMatch "^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$" $text -}}
{{- $number := regexFind "^[+]?[0-9.]+([eE][+-]?[0-9]+)?" $text -}}
{{- printf "%.9f" (mulf (float64 $number) (get $units (trimPrefix $number $text))) -}}
{{- end -}}
{{- end -}}

{{/* The bytes that a size of the daemon means, such as 4GiB. */}}
{{- define "cached.size" -}}
{{- include "cached.bytes" (toString . | nospace | trimSuffix "B") -}}
{{- end -}}

{{/* The seconds of a duration such as 1m30s. */}}
{{- define "cached.seconds" -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $seconds = addf $seconds (mulf $number (get (dict "ns" 1e-9 "us" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0) (trimPrefix $number .))) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}
