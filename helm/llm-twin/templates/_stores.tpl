{{/* Labels that select the pods of a store that this release brings; call with (list . "mongodb"). */}}
{{- define "llm-twin.storeSelector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{/* Ports of the stores that this release brings, as {name: port, …} in JSON. */}}
{{- define "llm-twin.storePorts" -}}
{{- $ports := dict -}}
{{- range $name, $port := dict "mongodb" 27017 "qdrant" 6333 "mlflow" 5000 "s3" 8333 -}}
{{- if index $.Values.install $name }}{{ $_ := set $ports $name $port }}{{ end -}}
{{- end -}}
{{ $ports | toJson }}
{{- end }}

{{/* What the stores of this release are to the parts of the platform. */}}
{{- define "llm-twin.storeKinds" -}}
{{ dict "mongodb" "warehouse" "qdrant" "index" "mlflow" "mlflow" "s3" "files" | toJson }}
{{- end }}

{{/* Egress rules to stores: those of this release, then those that the values name; call with
     (list . (list "warehouse" …)). */}}
{{- define "llm-twin.storesEgress" -}}
{{- $ := index . 0 -}}
{{- $wanted := index . 1 -}}
{{- $kinds := include "llm-twin.storeKinds" $ | fromJson -}}
{{- range $name, $port := include "llm-twin.storePorts" $ | fromJson }}
{{- if has (index $kinds $name) $wanted }}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ $.Release.Namespace }}
      podSelector:
        matchLabels:
          {{- include "llm-twin.storeSelector" (list $ $name) | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ $port }}}
{{- end }}
{{- end }}
{{- range $wanted }}
{{- with index $.Values.networkPolicy.stores . }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- if has "files" $wanted }}
{{- with $.Values.networkPolicy.identity }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Who may reach a store of this release: jobs and replicas by what they are for, and Airflow, which
     has no business with the index; call with (list . "mongodb"). */}}
{{- define "llm-twin.storeCallers" -}}
{{- $ := index . 0 -}}
{{- $kind := index (include "llm-twin.storeKinds" $ | fromJson) (index . 1) -}}
{{- range $part, $it := include "llm-twin.parts" $ | fromJson }}
{{- if has $kind $it.stores }}
{{- if eq $part "serving" }}
- podSelector:
    matchLabels:
      {{- include "llm-twin.servingSelector" $ | nindent 6 }}
{{- else }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ $.Values.jobs.namespace }}
  podSelector:
    {{- include "llm-twin.jobsOf" $part | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
{{- with $ }}
{{- if and .Values.install.airflow (ne $kind "index") }}
- podSelector:
    matchLabels:
      tier: airflow
      release: {{ .Release.Name }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every pod of a store begins with; call with (list . "mongodb" uid). */}}
{{- define "llm-twin.storePod" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "llm-twin.priorityClass" (list $root "stores") }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 2 }}
  runAsGroup: {{ index . 2 }}
  fsGroup: {{ index . 2 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The security context of every container of ours. */}}
{{- define "llm-twin.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* spec of a volume claim; call with the `storage` of the values. */}}
{{- define "llm-twin.volumeClaim" -}}
accessModes: [ReadWriteOnce]
{{- with .className }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}

{{/* Image of ours by name; call with (list . "mlflow" tag). Its digest, where given, goes before. */}}
{{- define "llm-twin.image" -}}
{{- $root := index . 0 -}}
{{- $tag := get $root.Values.images.digests (index . 1) | default (index . 2) | default $root.Chart.AppVersion -}}
{{ $root.Values.images.repository }}/{{ index . 1 }}{{ if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end }}

{{/* Tag that all images of a build bear. */}}
{{- define "llm-twin.buildTag" -}}
{{- if .Values.images.jobsTag -}}
{{ .Values.images.jobsTag }}
{{- else if hasPrefix "sha256:" .Values.images.tag -}}
{{ fail "images.jobsTag: images.tag is a digest, which names one image; give the tag of the same build for the others" }}
{{- else -}}
{{ .Values.images.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* MLflow's health, asked for under a name that it answers to; call with (list period failures). */}}
{{- define "llm-twin.mlflowProbe" -}}
httpGet:
  path: /health
  port: http
  httpHeaders:
    - {name: Host, value: localhost}
periodSeconds: {{ index . 0 }}
timeoutSeconds: 5
failureThreshold: {{ index . 1 }}
{{- end }}
