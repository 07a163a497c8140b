{{/* The programs with their facts and the installation's values: a mapping by name. */}}
{{- define "marketplace.programs" -}}
{{- $facts := .Files.Get "files/programs.yaml" | fromYaml -}}
{{- $all := dict -}}
{{- range $name, $fact := $facts -}}
{{- $_ := set $all $name (merge (dict "name" $name) $fact (index $.Values.programs $name)) -}}
{{- end -}}
{{- $all | toYaml -}}
{{- end -}}

{{- define "marketplace.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of an object; takes `root` and `component`. */}}
{{- define "marketplace.labels" -}}
{{ include "marketplace.selector" . }}
app.kubernetes.io/part-of: marketplace
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Labels by which pods are found. */}}
{{- define "marketplace.selector" -}}
app.kubernetes.io/name: marketplace
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "marketplace.image" -}}
{{- $image := index .root.Values.images .image -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{ printf "%s:%s" $image.repository ($image.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{- define "marketplace.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user.uid | int64 }}
runAsGroup: {{ .Values.user.gid | int64 }}
fsGroup: {{ .Values.user.gid | int64 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "marketplace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "marketplace.spread" -}}
{{- range $key, $field := dict "topology.kubernetes.io/zone" "zone" "kubernetes.io/hostname" "host" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ index $.root.Values.spread $field }}
  labelSelector:
    matchLabels:
      {{- include "marketplace.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{- define "marketplace.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where a service's database is: a name and a key of a Secret, as YAML. Takes `root` and `service`. */}}
{{- define "marketplace.databaseSecret" -}}
{{- if eq .root.Values.databases.kind "cloudnativepg" -}}
name: {{ include "marketplace.name" .root }}-{{ .service }}-db-app
key: uri
{{- else -}}
{{- $given := index .root.Values.databases.external .service -}}
name: {{ required (printf "databases.external.%s.secret names the Secret with the database's URL" .service) $given.secret }}
key: {{ $given.key }}
{{- end -}}
{{- end -}}

{{/* The variables with URLs of databases. Takes `root`, `service`, and `sandbox`: whether it uses the sandbox's book. */}}
{{- define "marketplace.databaseEnv" -}}
- name: {{ upper .service }}_DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- include "marketplace.databaseSecret" . | nindent 6 }}
{{- if and .sandbox (eq .root.Values.payments.provider "sandbox") }}
- name: SANDBOX_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "payments.sandboxDatabase.secret names the Secret with the URL of the sandbox's database" .root.Values.payments.sandboxDatabase.secret }}
      key: {{ .root.Values.payments.sandboxDatabase.key }}
{{- end }}
{{- end -}}

{{/* The variables of users' tokens. */}}
{{- define "marketplace.usersEnv" -}}
- name: USER_JWKS
  value: {{ if .Values.users.jwksUrl }}{{ .Values.users.jwksUrl | quote }}{{ else }}{{ printf "/etc/marketplace/users/%s" .Values.users.jwksSecret.key }}{{ end }}
- name: USER_JWT_ISSUER
  value: {{ required "users.issuer is the `iss` of users' tokens" .Values.users.issuer | quote }}
- name: USER_JWT_AUDIENCE
  value: {{ required "users.audience is the `aud` of users' tokens" .Values.users.audience | quote }}
{{- end -}}

{{- define "marketplace.usersVolume" -}}
{{- if not .Values.users.jwksUrl }}
- name: users
  secret:
    secretName: {{ required "users.jwksUrl or users.jwksSecret.name has the public keys of users' tokens" .Values.users.jwksSecret.name }}
    defaultMode: 0440
    items: [{ key: {{ .Values.users.jwksSecret.key }}, path: {{ .Values.users.jwksSecret.key }} }]
{{- end }}
{{- end -}}

{{- define "marketplace.usersMount" -}}
{{- if not .Values.users.jwksUrl }}
- { name: users, mountPath: /etc/marketplace/users, readOnly: true }
{{- end }}
{{- end -}}

{{/* The identity's certificate: variables, volume and mount. Take `root` and `identity`. */}}
{{- define "marketplace.internalTlsEnv" -}}
{{- if eq .Values.internalTls.mode "off" }}
- { name: INTERNAL_TLS, value: "off" }
{{- else }}
- { name: INTERNAL_TLS, value: "on" }
- { name: INTERNAL_TLS_FOLDER, value: /etc/marketplace/internal-tls }
{{- end }}
{{- end -}}

{{- define "marketplace.internalTlsVolume" -}}
{{- if ne .root.Values.internalTls.mode "off" }}
- name: internal-tls
  secret: { secretName: {{ .root.Values.internalTls.secretPrefix }}-{{ .identity }}, defaultMode: 0440 }
{{- end }}
{{- end -}}

{{- define "marketplace.internalTlsMount" -}}
{{- if ne .root.Values.internalTls.mode "off" }}
- { name: internal-tls, mountPath: /etc/marketplace/internal-tls/{{ .identity }}, readOnly: true }
{{- end }}
{{- end -}}

{{- define "marketplace.tracesEnv" -}}
{{- with .Values.traces.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $.Values.traces.share | quote }}
{{- end }}
{{- end -}}

{{- define "marketplace.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "marketplace.pictureUrl" -}}
{{- if .Values.pictures.url -}}
{{ .Values.pictures.url }}
{{- else -}}
{{ required "publicUrl is where browsers find the marketplace" .Values.publicUrl }}/media
{{- end -}}
{{- end -}}

{{/* One address for all pods of a program, by a headless Service. Takes `root` and `program`. */}}
{{- define "marketplace.address" -}}
{{ include "marketplace.name" .root }}-{{ .program.name }}.{{ .root.Release.Namespace }}.svc:{{ .program.port }}
{{- end -}}
