{{/* A pod of `helm test` that runs where jobs run, as one of them; call with
     (list root name profile part image script). */}}
{{- define "llm-twin.testPod" -}}
{{- $root := index . 0 -}}
apiVersion: v1
kind: Pod
metadata:
  name: twin-test-{{ index . 1 }}
  namespace: {{ $root.Values.jobs.namespace }}
  labels:
    {{- include "llm-twin.labels" $root | nindent 4 }}
    # The network policies of this profile hold for it.
    app.kubernetes.io/name: twin-job
    llm-twin/profile: {{ index . 2 }}
  annotations:
    helm.sh/hook: test
    # One that failed stays to be looked at: kubectl logs.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 600
  terminationGracePeriodSeconds: 5
  serviceAccountName: twin-{{ index . 3 }}
  automountServiceAccountToken: false
  enableServiceLinks: false
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
  containers:
    - name: test
      image: {{ include "llm-twin.image" (list $root (index . 4) (include "llm-twin.buildTag" $root)) }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      args: [python, -c, {{ $root.Files.Get (index . 5) | toJson }}]
      envFrom:
        - configMapRef:
            name: twin-settings
        - secretRef:
            name: twin-credentials-{{ index . 3 }}
      resources:
        requests: {cpu: 50m, memory: 128Mi, ephemeral-storage: 16Mi}
        limits: {cpu: "1", memory: 512Mi, ephemeral-storage: 128Mi}
      securityContext:
        {{- include "llm-twin.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /home/twin}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    - name: home
      emptyDir:
        sizeLimit: 64Mi
{{- end }}
