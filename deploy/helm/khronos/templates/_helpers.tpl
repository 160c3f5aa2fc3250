{{/* The name of all that this release makes; 47 characters leave room for what is added to it. */}}
{{- define "khronos.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name -}}
{{- .Release.Name | trunc 47 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "khronos.selector" -}}
app.kubernetes.io/name: khronos
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "khronos.labels" -}}
{{ include "khronos.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: clock
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "khronos.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "khronos.scheme" -}}
{{ if .Values.http.tlsSecret }}https{{ else }}http{{ end }}
{{- end -}}

{{/* Names by which others ask the clock. */}}
{{- define "khronos.hosts" -}}
{{- $name := include "khronos.fullname" . -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list "localhost" $name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $names = append $names (include "khronos.own" .) -}}
{{- end -}}
{{- concat $names .Values.http.hosts | uniq | join "," -}}
{{- end -}}

{{/* The name of a pod of its own, by which the other clocks reach it. */}}
{{- define "khronos.own" -}}
$(POD_NAME).{{ include "khronos.fullname" . }}-pods.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "khronos.has-tokens" -}}
{{- if regexMatch "(?m)^\\s*\\[\\[\\s*http\\.tokens\\s*\\]\\]" .Values.config }}true{{ end -}}
{{- end -}}

{{/* What no schema can say: each of these would be refused by the clock, or lose what it keeps. */}}
{{- define "khronos.refusals" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.store.postgres.secret) -}}
{{- fail "replicas: more than one clock needs store.postgres.secret: clocks with volumes of their own would each publish everything" -}}
{{- end -}}
{{- if and .Values.store.backups.claim .Values.store.postgres.secret -}}
{{- fail "store.backups.claim: what is in a Postgres is backed up by its own means (pg_dump, or a base backup): keep one of store.backups.claim and store.postgres.secret" -}}
{{- end -}}
{{- if and (not .Values.http.openReads) (not (include "khronos.has-tokens" .)) -}}
{{- fail "http.openReads: say who may read: true for whoever reaches the port, or write [[http.tokens]] into config (khronos token new)" -}}
{{- end -}}
{{- if and .Values.http.openReads (include "khronos.has-tokens" .) -}}
{{- fail "http.openReads: config has tokens, and openReads would let everybody read without one: set it to false" -}}
{{- end -}}
{{- if and .Values.http.tlsSecret .Values.http.behindProxy -}}
{{- fail "http.behindProxy: a proxy that encrypts and http.tlsSecret exclude each other: keep one" -}}
{{- end -}}
{{- end -}}
