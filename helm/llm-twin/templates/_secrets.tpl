{{/* The Secrets of the platform, as a list of [name, namespace, values, external entry] in JSON. */}}
{{- define "llm-twin.secrets" -}}
{{- $secrets := list }}
{{- range $part, $it := include "llm-twin.parts" . | fromJson }}
{{- $values := dict }}
{{- range $name, $value := $.Values.credentials.values }}
{{- if regexMatch $it.variables $name }}{{ $_ := set $values $name $value }}{{ end }}
{{- end }}
{{- $values = merge (deepCopy (index $.Values.credentials.parts $part | default dict)) $values }}
{{- $secrets = append $secrets (list (printf "twin-credentials-%s" $part) $it.namespace $values (index $.Values.credentials.external.keys $part)) }}
{{- end }}
{{- /* Beside those of the profile, where they are given: of backups and of the stage training alone. */}}
{{- range list "backup" "training" }}
{{- $values := index $.Values.credentials.parts . | default dict }}
{{- $entry := index $.Values.credentials.external.keys . | default "" }}
{{- if or $values (and $entry (eq $.Values.credentials.source "external")) }}
{{- $secrets = append $secrets (list (printf "twin-credentials-%s" .) $.Values.jobs.namespace $values $entry) }}
{{- end }}
{{- end }}
{{- if .Values.install.airflow }}
{{- $secrets = append $secrets (list "twin-airflow" .Release.Namespace .Values.credentials.airflowValues .Values.credentials.external.airflowKey) }}
{{- end }}
{{- if or .Values.install.mongodb .Values.install.mlflow .Values.install.s3 }}
{{- $secrets = append $secrets (list "twin-stores" .Release.Namespace .Values.credentials.storesValues .Values.credentials.external.storesKey) }}
{{- end }}
{{ $secrets | toJson }}
{{- end }}

{{/*
What changes when a Secret of the release's namespace does, as an annotation of the pods that read it;
call with (list . "twin-stores"). Nothing where its contents are not to be seen: without a cluster, as in
`helm template`, and when it is not there yet.
*/}}
{{- define "llm-twin.secretAnnotation" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $content := "" -}}
{{- if eq $root.Values.credentials.source "values" -}}
{{- range include "llm-twin.secrets" $root | fromJsonArray -}}
{{- if eq (index . 0) $name }}{{ $content = index . 2 | toJson }}{{ end -}}
{{- end -}}
{{- else -}}
{{- with lookup "v1" "Secret" $root.Release.Namespace $name }}{{ $content = .data | toJson }}{{ end -}}
{{- end -}}
{{- with printf "%s%s" $root.Values.credentials.rotation $content -}}
llm-twin/credentials: {{ sha256sum . }}
{{- end -}}
{{- end }}
