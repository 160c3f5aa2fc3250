{{/* The name of all that this release makes; 47 characters leave room for what is added to it. */}}
{{- define "ponos-worker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- default .Release.Name .Values.nameOverride | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ponos-worker.selector" -}}
app.kubernetes.io/name: ponos-worker
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ponos-worker.labels" -}}
{{ include "ponos-worker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: worker
app.kubernetes.io/part-of: {{ .Values.service }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "ponos-worker.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* The queues that are made of it, as `ponos topology` names them; as a list in JSON. */}}
{{- define "ponos-worker.queues" -}}
{{- $queues := list -}}
{{- if .Values.fanIn -}}
{{- $queues = append $queues (printf "%s.%s" .Values.service .Values.fanIn) -}}
{{- else -}}
{{- range .Values.events }}{{ $queues = append $queues (printf "%s.%s" $.Values.service .) }}{{ end -}}
{{- end -}}
{{- range .Values.tasks }}{{ $queues = append $queues (printf "%s.%s" $.Values.service .) }}{{ end -}}
{{- toJson $queues -}}
{{- end -}}

{{/* What says which queues there are: the same for run, declare and topology. */}}
{{- define "ponos-worker.streams" -}}
- --service={{ .Values.service }}
{{- range .Values.events }}
- {{ printf "--on=%s" . | quote }}
{{- end }}
{{- range .Values.tasks }}
- --task={{ . }}
{{- end }}
{{- with .Values.fanIn }}
- --fan-in={{ . }}
{{- end }}
{{- if .Values.exclusive }}
- --exclusive
{{- end }}
{{- end -}}

{{- define "ponos-worker.policy" -}}
{{- range $key, $value := .Values.policy }}
{{- if eq $key "latestOnly" }}
{{- if $value }}
- --latest-only
{{- end }}
{{- else }}
- {{ printf "--%s=%v" (kebabcase $key) $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ponos-worker.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "ponos-worker.pull-secrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "ponos-worker.broker-volume" -}}
- name: broker
  secret:
    secretName: {{ .Values.broker.secret }}
    items: [{key: {{ .Values.broker.key }}, path: url}]
    defaultMode: 0440
{{- end -}}

{{/* What no schema can say: each of these would be refused by the program, or never be started. */}}
{{- define "ponos-worker.refusals" -}}
{{- $handler := .Values.handler -}}
{{- if not .Values.service -}}
{{- fail "service: name the service: it is the first part of its queues' names" -}}
{{- end -}}
{{- if not (or .Values.events .Values.tasks) -}}
{{- fail "events: name events or tasks: a worker takes something" -}}
{{- end -}}
{{- if and .Values.fanIn (not .Values.events) -}}
{{- fail "fanIn: it is for events, and there are none" -}}
{{- end -}}
{{- if $handler.url -}}
{{- if or $handler.image $handler.command $handler.port -}}
{{- fail "handler: url stands alone: an HTTP service that is there already needs no image, command or port" -}}
{{- end -}}
{{- else if not $handler.image -}}
{{- fail "handler: name an image with a command or a port, or a url" -}}
{{- else if and $handler.command $handler.port -}}
{{- fail "handler: command is run for each event, and port is that of an HTTP service: keep one of them" -}}
{{- else if not (or $handler.command $handler.port) -}}
{{- fail "handler: with an image there is a command, which is run for each event, or the port of an HTTP service" -}}
{{- end -}}
{{- if and (ne .Values.scale.mode "fixed") (not .Values.scale.management.secret) -}}
{{- fail "scale.management.secret: KEDA counts messages by RabbitMQ's management: name the secret with its URL" -}}
{{- end -}}
{{- if and (ne .Values.scale.mode "fixed") (gt (int .Values.scale.min) (int .Values.scale.max)) -}}
{{- fail "scale.min: it is above scale.max" -}}
{{- end -}}
{{- if and .Values.scale.cron (ne .Values.scale.mode "queue") -}}
{{- fail "scale.cron: it is for the mode queue: a job that finds nothing ends at once" -}}
{{- end -}}
{{- end -}}
