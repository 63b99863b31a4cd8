#!/usr/bin/env bash
# A monitor watches the instance: by the exit code of `countersign status`, by its JSON, by /readyz and by /metrics.
#
# Commands: 10
# Before: gw1 has enrolled.
# Checks: promtool reads the metrics and finds no fault; jq reads findings, curl the statuses of HTTP. What goes wrong is told by all of them.
. "$(dirname "$0")/common.sh"
needs prometheus promtool
free_port dead_port
configuration "$COUNTERSIGN_DATA/countersign.toml"
countersign init
start
countersign peer add gw1 --id fqdn:gw1.example.net --json > gw1.json
enrol gw1
looked() { curl -s -o "$1.readyz" -w '%{http_code}' "$url/readyz" > "$1.code"; curl -sf "$url/metrics" -o "$1.prom"; }
echo secret > ldap.password
# The server is not ready while the directory does not answer: the monitor is to say so, once it was tried.
start_unready() {
  "$program" serve >> server.log 2>&1 &
  server=$!
  wait_for "a try to reach the directory" tried
}
tried() { curl -sf "$url/metrics" | grep -q '^countersign_publish_failures{directory="main"} [1-9]'; }

operator
say "all is well, but that there is no backup"
countersign status
refused 1 countersign status --strict
countersign backup elsewhere/backup
countersign status --strict --format json > good.json
looked good
say "a directory that does not answer"
stop
cat >> data/countersign.toml <<TOML
[[ldap.directories]]
name = "main"
urls = ["ldap://127.0.0.1:$dead_port"]
bind_dn = "cn=publisher,o=Countersign"
password_file = "$job/ldap.password"
TOML
start_unready
refused 1 countersign status --format json
looked bad
check

value() { awk -v name="$2" 'index($0, name) == 1 { print $NF; found = 1 } END { exit !found }' "$1.prom" || fail "no $2 in $1.prom: $(cat "$1.prom")"; }
for file in good.prom bad.prom; do
  promtool check metrics < "$file" > promtool.txt 2>&1 || fail "promtool says of $file: $(cat promtool.txt)"
  [ ! -s promtool.txt ] || fail "promtool says of $file: $(cat promtool.txt)"
done
jq -e '.ok and .running and .findings == []' good.json > /dev/null || fail "$(cat good.json)"
[ "$(cat good.code)" = 200 ] || fail "$(cat good.readyz)"
[ "$(value good countersign_unready_reasons)" = 0 ] && [ "$(value good countersign_certificates_issued)" -ge 1 ] || fail "$(cat good.prom)"
# The CRL's end in the metrics is that which OpenSSL reads.
listed issuing > /dev/null
[ "$(value good 'countersign_crl_next_update_timestamp_seconds{ca="issuing"')" = "$(date -d "$(openssl crl -in issuing.crl.pem -noout -nextupdate | cut -d= -f2)" +%s)" ] || fail "$(cat good.prom)"
jq -e '.ok == false and ([.findings[] | select(.severity == "error") | .code] == ["directory"])' refused.out > /dev/null || fail "$(cat refused)"
[ "$(cat bad.code)" = 503 ] && grep -q 'main' bad.readyz || fail "$(cat bad.readyz)"
[ "$(value bad countersign_unready_reasons)" -ge 1 ] && [ "$(value bad 'countersign_publish_failures{directory="main"}')" -ge 1 ] || fail "$(cat bad.prom)"
# Nobody answers any more.
stop
refused 1 countersign status --format json
jq -e '.ok == false and .running == false and ([.findings[].code] | index("not-running"))' refused.out > /dev/null || fail "$(cat refused)"
! curl -s "$url/healthz" -o answer || fail "somebody answers: $(cat answer)"
say "what is wrong is told by the exit code, the JSON, /readyz and the metrics"
