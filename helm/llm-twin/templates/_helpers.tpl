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

{{/* PriorityClass of "serving" or "stores", or nothing; call with (list . "serving"). */}}
{{- define "llm-twin.priorityClass" -}}
{{- $root := index . 0 -}}
{{- if and (eq (index . 1) "serving") $root.Values.serving.priorityClassName -}}
{{ $root.Values.serving.priorityClassName }}
{{- else if $root.Values.priorityClasses.create -}}
{{ $root.Release.Name }}-{{ index . 1 }}
{{- end -}}
{{- end }}

{{/* Whose pods may start jobs, as a list of {name, namespace} in JSON. */}}
{{- define "llm-twin.airflowAccounts" -}}
{{- if .Values.install.airflow -}}
{{- $accounts := list -}}
{{- range list "scheduler" "triggerer" -}}
{{- $accounts = append $accounts (dict "name" (index $.Values.airflowChart .).serviceAccount.name "namespace" $.Release.Namespace) -}}
{{- end -}}
{{ $accounts | toJson }}
{{- else -}}
{{ .Values.airflow.serviceAccounts | toJson }}
{{- end -}}
{{- end }}

{{/* Egress to the Kubernetes API server. */}}
{{- define "llm-twin.apiServerEgress" -}}
- to:
    {{- range .Values.networkPolicy.apiServer.cidrs }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{/* The KubeRay operator as peers of network policies. */}}
{{- define "llm-twin.rayOperatorPeers" -}}
{{- if .Values.install.kuberayOperator -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: kuberay-operator
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- else -}}
{{ toYaml .Values.networkPolicy.rayOperator }}
{{- end -}}
{{- end }}

{{/* GPUs of all workers when the autoscaler has started as many as it may. */}}
{{- define "llm-twin.mostGpus" -}}
{{- $most := 0 -}}
{{- $groups := list .workers -}}
{{- if .engines.enabled }}{{ $groups = append $groups .engines }}{{ end -}}
{{- range $groups -}}
{{- $most = add $most (mul .maxReplicas (index .resources.limits "nvidia.com/gpu" | default 0 | int)) -}}
{{- end -}}
{{- $most -}}
{{- end }}

{{/* Settings that follow from names, then those of .Values.settings, then stores of this release. */}}
{{- define "llm-twin.settings" -}}
{{- $derived := dict -}}
{{- if .Values.serving.enabled -}}
{{- $host := printf "%s.svc.cluster.local" .Release.Namespace -}}
{{- $_ := set $derived "TWIN_RAY_SERVICE" (printf "%s/%s" .Release.Namespace .Values.serving.name) -}}
{{- $_ := set $derived "TWIN_ROUTER_REPLICAS" .Values.serving.router.replicas -}}
{{- if .Values.serving.autoscaling.enabled -}}
{{- $_ := set $derived "TWIN_RAY_MOST_GPUS" (include "llm-twin.mostGpus" .Values.serving) -}}
{{- end -}}
{{- $_ := set $derived "TWIN_SERVE_API_URL" (printf "http://%s-head-svc.%s:8265" .Values.serving.name $host) -}}
{{- $_ := set $derived "TWIN_ENDPOINT_URL" (printf "http://%s-serve-svc.%s:8000" .Values.serving.name $host) -}}
{{- end -}}
{{- if .Values.recipes -}}
{{- $_ := set $derived "TWIN_RECIPES" "/recipes" -}}
{{- end -}}
{{- $installed := dict -}}
{{- $ports := include "llm-twin.storePorts" . | fromJson -}}
{{- range $store, $name := dict "qdrant" "TWIN_INDEX_URL" "mlflow" "TWIN_MLFLOW_TRACKING_URI" -}}
{{- with index $ports $store -}}
{{- $_ := set $installed $name (printf "http://%s.%s.svc.cluster.local:%v" $store $.Release.Namespace .) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := merge $installed .Values.settings $derived }}
{{- if not (hasPrefix "HF_" $name) }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Labels of the pods that show Airflow's web UI. */}}
{{- define "llm-twin.airflowApiServer" -}}
tier: airflow
component: api-server
release: {{ .Release.Name }}
{{- end }}

{{- define "llm-twin.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
