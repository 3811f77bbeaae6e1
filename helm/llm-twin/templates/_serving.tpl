{{/*
Serve's configuration before the first rollout: a router that knows no model. The same as
twin.stores.serve_config.render makes of no models; a test compares them.
*/}}
{{- define "llm-twin.emptyRouter" -}}
proxy_location: EveryNode
http_options:
  host: 0.0.0.0
  port: 8000
applications:
  - name: router
    route_prefix: /
    import_path: twin.serving.router:build
    deployments:
      - name: Router
        num_replicas: {{ .Values.serving.router.replicas }}
        max_ongoing_requests: 200
        graceful_shutdown_timeout_s: 75
        ray_actor_options:
          num_cpus: 0
        user_config:
          models: {}
{{- end }}

{{/*
A pod of the Ray cluster: component head, worker or engine (which runs language models by vLLM).
KubeRay adds the command, /dev/shm, and an init container like it.
*/}}
{{- define "llm-twin.rayPod" -}}
{{- $root := .root -}}
{{- include "llm-twin.checkGpus" . -}}
metadata:
  labels:
    {{- include "llm-twin.servingSelector" $root | nindent 4 }}
    app.kubernetes.io/part-of: llm-twin
    app.kubernetes.io/component: {{ .component }}
  {{- $credentials := include "llm-twin.secretAnnotation" (list $root "twin-credentials-serving") }}
  {{- if or $credentials (eq .component "head") }}
  annotations:
    {{- with $credentials }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if eq .component "head" }}
    # There is one: no node is emptied of it to save the node.
    cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
    karpenter.sh/do-not-disrupt: "true"
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: twin-serving
  {{- if and (eq .component "head") $root.Values.serving.autoscaling.enabled }}
  # Ray's autoscaler runs beside the head and asks the Kubernetes API for pods. KubeRay gives this
  # account the rights for it.
  automountServiceAccountToken: true
  {{- else }}
  automountServiceAccountToken: false
  {{- end }}
  {{- with include "llm-twin.priorityClass" (list $root "serving") }}
  priorityClassName: {{ . }}
  {{- end }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with $root.Values.images.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  {{- with .group.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .group.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if ne .component "head" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "llm-twin.servingSelector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ .component }}
  {{- end }}
  containers:
    - name: {{ .container }}
      image: {{ include "llm-twin.rayImage" . }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      envFrom:
        - configMapRef:
            name: twin-settings
        - secretRef:
            name: twin-credentials-serving
      env:
        - name: RAY_USAGE_STATS_ENABLED
          value: "0"
        {{- if ne .component "head" }}
        - name: TWIN_MODEL_CACHE_BYTES
          value: {{ .group.modelCacheBytes | int64 | quote }}
        {{- if .group.modelsClaim }}
        - name: TWIN_MODELS
          value: /models
        {{- end }}
        {{- end }}
        # Ray's default of 15 would let everything else on the node go before an answer.
        - name: RAY_worker_niceness
          value: "0"
        # HAProxy takes requests in. Its statistics (8404) and metrics (9101) listen on every
        # address of the pod: network policies let nobody in there.
        - name: RAY_SERVE_ENABLE_HA_PROXY
          value: "1"
        - name: RAY_SERVE_THROUGHPUT_OPTIMIZED
          value: "1"
      ports:
        {{- if eq .component "head" }}
        - {name: gcs, containerPort: 6379}
        - {name: dashboard, containerPort: 8265}
        - {name: client, containerPort: 10001}
        {{- end }}
        - {name: serve, containerPort: 8000}
        - {name: metrics, containerPort: 8080}
      # Of our own: those that KubeRay injects call wget, which the image does not carry.
      {{- if eq .component "head" }}
      livenessProbe:
        httpGet: {path: /api/gcs_healthz, port: dashboard}
        initialDelaySeconds: 30
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 12
      readinessProbe:
        httpGet: {path: /api/gcs_healthz, port: dashboard}
        initialDelaySeconds: 10
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 10
      {{- else }}
      livenessProbe:
        httpGet: {path: /api/local_raylet_healthz, port: 52365}
        initialDelaySeconds: 30
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 12
      readinessProbe:
        {{- if eq .component "engine" }}
        # No requests from outside come here: versions ask engines by Ray's own connections.
        httpGet: {path: /api/local_raylet_healthz, port: 52365}
        {{- else }}
        # Ready when Serve's proxy on this pod takes requests.
        httpGet: {path: /-/healthz, port: serve}
        {{- end }}
        initialDelaySeconds: 10
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      {{- end }}
      resources:
        {{- toYaml .group.resources | nindent 8 }}
      securityContext:
        {{- include "llm-twin.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /home/twin}
        {{- if and (ne .component "head") .group.modelsClaim }}
        - {name: models, mountPath: /models}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 2Gi
    - name: home
      emptyDir:
        sizeLimit: {{ .homeSize }}
    {{- if and (ne .component "head") .group.modelsClaim }}
    - name: models
      persistentVolumeClaim:
        claimName: {{ .group.modelsClaim }}
    {{- end }}
{{- end }}


{{/* Image of such a pod: with GPUs the one whose PyTorch sees them. `images.tag` may be a digest, which
     names `serve` alone. */}}
{{- define "llm-twin.rayImage" -}}
{{- $image := eq .component "engine" | ternary "serve-vllm" "serve" -}}
{{- if index .group.resources.limits "nvidia.com/gpu" }}{{ $image = printf "%s-cuda" $image }}{{ end -}}
{{- $tag := eq $image "serve" | ternary .root.Values.images.tag "" -}}
{{- include "llm-twin.image" (list .root $image ($tag | default (include "llm-twin.buildTag" .root))) -}}
{{- end }}

{{/* Kubernetes takes GPUs in limits only, and schedules nothing on a tainted pool untolerated. */}}
{{- define "llm-twin.checkGpus" -}}
{{- $limit := index .group.resources.limits "nvidia.com/gpu" -}}
{{- $request := index .group.resources.requests "nvidia.com/gpu" -}}
{{- $where := index (dict "head" "serving.head" "worker" "serving.workers" "engine" "serving.engines") .component -}}
{{- if ne (toString ($limit | default "")) (toString ($request | default "")) -}}
{{- fail (printf "%s.resources: nvidia.com/gpu must stand in requests and limits, and be the same" $where) -}}
{{- end -}}
{{- if $limit -}}
{{- if not .group.nodeSelector -}}
{{- fail (printf "%s.nodeSelector: name the node pool that has the GPUs" $where) -}}
{{- end -}}
{{- $tolerated := false -}}
{{- range .group.tolerations -}}
{{- if eq (.key | default "nvidia.com/gpu") "nvidia.com/gpu" }}{{ $tolerated = true }}{{ end -}}
{{- end -}}
{{- if not $tolerated -}}
{{- fail (printf "%s.tolerations: tolerate nvidia.com/gpu, the taint of GPU nodes" $where) -}}
{{- end -}}
{{- end -}}
{{- end }}
