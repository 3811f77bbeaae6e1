{{- define "llm-twin.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/part-of: llm-twin
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Labels that select the pods of serving: of KubeRay's making, so they come from our template. */}}
{{- define "llm-twin.servingSelector" -}}
app.kubernetes.io/name: twin-serving
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Where settings and credentials go: the jobs' namespace and the release's, once if they are one. */}}
{{- define "llm-twin.namespaces" -}}
{{ list .Values.jobs.namespace .Release.Namespace | uniq | join "," }}
{{- end }}

{{- define "llm-twin.serveImage" -}}
{{- $tag := .Values.images.tag | default .Chart.AppVersion -}}
{{ .Values.images.repository }}/serve{{ if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end }}

{{/* Settings that follow from names; what .Values.settings says wins. */}}
{{- define "llm-twin.settings" -}}
{{- $derived := dict -}}
{{- if .Values.serving.enabled -}}
{{- $host := printf "%s.svc.cluster.local" .Release.Namespace -}}
{{- $_ := set $derived "TWIN_RAY_SERVICE" (printf "%s/%s" .Release.Namespace .Values.serving.name) -}}
{{- $_ := set $derived "TWIN_ROUTER_REPLICAS" .Values.serving.router.replicas -}}
{{- $_ := set $derived "TWIN_SERVE_API_URL" (printf "http://%s-head-svc.%s:8265" .Values.serving.name $host) -}}
{{- $_ := set $derived "TWIN_ENDPOINT_URL" (printf "http://%s-serve-svc.%s:8000" .Values.serving.name $host) -}}
{{- end -}}
{{- range $name, $value := merge (dict) .Values.settings $derived }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "llm-twin.dnsEgress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
