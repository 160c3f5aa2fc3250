{{/* The pod, as of a Deployment (drain: false) or a job (drain: true): a dict of root and drain. */}}
{{- define "ponos-worker.pod" -}}
{{- $ := .root -}}
{{- $handler := $.Values.handler -}}
{{- $inside := gt (len $handler.command) 0 -}}
metadata:
  labels:
    {{- include "ponos-worker.selector" $ | nindent 4 }}
    app.kubernetes.io/part-of: {{ $.Values.service }}
    {{- with $.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  # Else services of the namespace set variables, also for the handler.
  enableServiceLinks: false
  # What is in progress may go on for the grace; a program then has 5 s more to end.
  terminationGracePeriodSeconds: {{ add $.Values.graceSeconds 15 }}
  {{- if .drain }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $.Values.user }}
    runAsGroup: {{ $.Values.user }}
    fsGroup: {{ $.Values.user }}
    seccompProfile: {type: RuntimeDefault}
  {{- include "ponos-worker.pull-secrets" $ | nindent 2 }}
  {{- if $inside }}
  initContainers:
    # Brings `ponos` to the handler's image.
    - name: ponos
      image: {{ include "ponos-worker.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      command: [cp, /usr/local/bin/ponos, /ponos/ponos]
      securityContext:
        {{- include "ponos-worker.security" $ | nindent 8 }}
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
      volumeMounts:
        - {name: ponos, mountPath: /ponos}
  {{- else if $handler.port }}
  initContainers:
    # Beside the worker for as long as that runs: it is there before, and ends after it.
    - name: handler
      image: {{ $handler.image }}
      restartPolicy: Always
      {{- include "ponos-worker.handler" $ | nindent 6 }}
      ports:
        - {name: handler, containerPort: {{ $handler.port }}, protocol: TCP}
      startupProbe:
        tcpSocket: {port: handler}
        periodSeconds: 2
        failureThreshold: 60
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  {{- end }}
  containers:
    - name: worker
      {{- if $inside }}
      image: {{ $handler.image }}
      command: [/ponos/ponos]
      {{- else }}
      image: {{ include "ponos-worker.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      command: [ponos]
      {{- end }}
      args:
        - run
        {{- include "ponos-worker.streams" $ | nindent 8 }}
        {{- include "ponos-worker.policy" $ | nindent 8 }}
        - --grace={{ $.Values.graceSeconds }}s
        - --health-file=/run/ponos/alive
        {{- if $.Values.broker.passive }}
        - --passive
        {{- end }}
        {{- if $.Values.contract.configMap }}
        - --schema=/run/contract
        {{- end }}
        {{- if $.Values.monitoring.enabled }}
        - --metrics=0.0.0.0:9464
        {{- end }}
        {{- if .drain }}
        - --drain
        {{- end }}
        {{- if $inside }}
        - --
        {{- toYaml $handler.command | nindent 8 }}
        {{- else if $handler.port }}
        - --to=http://127.0.0.1:{{ $handler.port }}{{ $handler.path }}
        {{- else }}
        - --to={{ $handler.url }}
        {{- end }}
      {{- if $inside }}
      {{- include "ponos-worker.handler" (dict "Values" $.Values "env" (include "ponos-worker.env" $)) | nindent 6 }}
      {{- else }}
      env:
        {{- include "ponos-worker.env" $ | nindent 8 }}
      securityContext:
        {{- include "ponos-worker.security" $ | nindent 8 }}
      resources:
        {{- toYaml $.Values.resources | nindent 8 }}
      {{- end }}
      {{- if $.Values.monitoring.enabled }}
      ports:
        - {name: metrics, containerPort: 9464, protocol: TCP}
      {{- end }}
      # The worker writes its file every 5 s while it is alive. A broker that is away counts after 60 s, and takes it away: then
      # five minutes pass before the worker is started again. Nothing is routed to it, so it needs no readiness.
      startupProbe:
        exec: {command: [sh, -c, "find /run/ponos/alive -mmin -1 | grep -q ."]}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        exec: {command: [sh, -c, "find /run/ponos/alive -mmin -1 | grep -q ."]}
        periodSeconds: 30
        timeoutSeconds: 5
        failureThreshold: 10
      volumeMounts:
        - {name: broker, mountPath: /run/broker, readOnly: true}
        - {name: alive, mountPath: /run/ponos}
        {{- if $.Values.contract.configMap }}
        - {name: contract, mountPath: /run/contract, readOnly: true}
        {{- end }}
        {{- if $inside }}
        - {name: ponos, mountPath: /ponos, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- end }}
  volumes:
    {{- include "ponos-worker.broker-volume" $ | nindent 4 }}
    - name: alive
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- if $handler.image }}
    - name: tmp
      emptyDir: {}
    {{- end }}
    {{- if $inside }}
    - name: ponos
      emptyDir: {sizeLimit: 128Mi}
    {{- end }}
    {{- with $.Values.contract.configMap }}
    - name: contract
      configMap: {name: {{ . }}}
    {{- end }}
  {{- with $.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "ponos-worker.env" -}}
- {name: PONOS_URL_FILE, value: /run/broker/url}
- {name: PONOS_LOG_FORMAT, value: json}
{{- with .Values.inbox }}
{{- if .secret }}
- name: PONOS_INBOX
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- if eq $.Values.scale.mode "queue" }}
# Where KEDA sees them: nobody may be there when they are due.
- {name: PONOS_RETRIES_ON_BROKER, value: "true"}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Environment, rights and resources of the container that the handler is in; `env` is what stands before its own. */}}
{{- define "ponos-worker.handler" -}}
{{- $handler := .Values.handler -}}
{{- if or .env $handler.env }}
env:
  {{- with .env }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $handler.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $handler.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ $handler.readOnlyRootFilesystem }}
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml $handler.resources | nindent 2 }}
{{- end -}}
