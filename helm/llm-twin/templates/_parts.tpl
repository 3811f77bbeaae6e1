{{/*
The parts of the platform that hold credentials of their own, as {part: {namespace, variables, stores}}
in JSON. `variables` is what of the shared credentials a part is given, as a regular expression;
`stores` is what it may reach. A crawl reads strangers' pages, so it gets the warehouse and the file
store and nothing else: who breaks out of its browser finds no key of the model registry.
*/}}
{{- define "llm-twin.parts" -}}
{{- $jobs := .Values.jobs.namespace -}}
{{- $files := "AWS_[A-Z0-9_]+" -}}
{{- $parts := dict
  "crawl" (dict "namespace" $jobs "stores" (list "warehouse" "files")
    "variables" (printf "^(TWIN_MONGO_URI|TWIN_GITHUB_TOKEN|%s)$" $files))
  "fetch" (dict "namespace" $jobs "stores" (list "files")
    "variables" (printf "^(TWIN_HUB_TOKEN|%s)$" $files))
  "job" (dict "namespace" $jobs "stores" (list "warehouse" "index" "mlflow" "files")
    "variables" (printf "^(TWIN_MONGO_URI|TWIN_INDEX_API_KEY|TWIN_(MLFLOW|REMOTE|JUDGE|TEACHER|LABEL_STUDIO)_[A-Z_]+|MLFLOW_[A-Z0-9_]+|%s)$" $files)) -}}
{{- if .Values.serving.enabled -}}
{{- $_ := set $parts "rollout" (dict "namespace" $jobs "stores" (list "warehouse" "index" "mlflow" "files")
    "variables" (printf "^(TWIN_MONGO_URI|TWIN_API_KEYS|TWIN_INDEX_API_KEY|TWIN_MLFLOW_[A-Z_]+|%s)$" $files)) -}}
{{- $_ := set $parts "serving" (dict "namespace" .Release.Namespace "stores" (list "warehouse" "index" "mlflow" "files")
    "variables" (printf "^(TWIN_MONGO_URI|TWIN_API_KEYS|TWIN_INDEX_API_KEY|TWIN_(MLFLOW|REMOTE|JUDGE)_[A-Z_]+|%s)$" $files)) -}}
{{- end -}}
{{ $parts | toJson }}
{{- end }}

{{/* Labels of a job's pod of a part, as an expression: the profiles that are of it. */}}
{{- define "llm-twin.jobsOf" -}}
matchLabels:
  app.kubernetes.io/name: twin-job
matchExpressions:
  {{- if eq . "job" }}
  - {key: llm-twin/profile, operator: NotIn, values: [crawl, crawl-browser, fetch, rollout]}
  {{- else if eq . "crawl" }}
  - {key: llm-twin/profile, operator: In, values: [crawl, crawl-browser]}
  {{- else }}
  - {key: llm-twin/profile, operator: In, values: [{{ . }}]}
  {{- end }}
{{- end }}
