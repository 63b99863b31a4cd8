#!/usr/bin/env bash
# What ends within thirty days, which gateways forgot to renew, and who never enrolled?
#
# Commands: 5
# Before: gw1, gw2 and gw3 got their certificates of 90 days 80 days ago, gw4 and gw5 65 days ago, gw6 today; gw2 has renewed today; gw7 never enrolled.
# Checks: OpenSSL's -checkend for each certificate: the CSV, which Python reads, has those that end, and no other. jq reads the findings.
. "$(dirname "$0")/common.sh"
needs python3 python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
issued() {
  clock_at "$1"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "$2.key" -subj "/CN=$2" -addext "subjectAltName=DNS:$2.example.net" -out "$2.csr" 2> openssl.txt
  "${clock[@]}" "$program" peer add "$2" --csr "$2.csr" --label "site=${3:-bonn}" --out "$2.crt"
}
clock_at -80d
"${clock[@]}" "$program" init
for name in gw1 gw2 gw3; do issued -80d "$name" berlin; done
"${clock[@]}" "$program" peer add gw7 --id fqdn:gw7.example.net --label site=bern > account
for name in gw4 gw5; do issued -65d "$name"; done
issued -0d gw6
countersign cert issue --csr gw2.csr --account gw2 --out gw2-next.crt

operator
start
refused 0 countersign status
countersign cert list --status valid --current --expires-within 30d --sort expires --format csv > ending.csv
countersign peer list --state never-enrolled
refused 1 countersign status --strict --format json
check

cp refused status.json
python3 -c 'import csv; print(*[row["serial"] for row in csv.DictReader(open("ending.csv", newline=""))], sep="\n")' > ending
expected=()
for name in gw1 gw3 gw4 gw5; do
  openssl x509 -in "$name.crt" -noout -checkend 0 > openssl.txt || fail "$name.crt has ended"
  ! openssl x509 -in "$name.crt" -noout -checkend $((30 * 86400)) > openssl.txt || fail "$name.crt does not end within 30 days"
  expected+=("$(serial_of "$name.crt")")
done
for name in gw6 gw2-next; do openssl x509 -in "$name.crt" -noout -checkend $((30 * 86400)) > openssl.txt || fail "$name.crt ends within 30 days"; done
# By their ends, as OpenSSL has them.
for serial in "${expected[@]}"; do grep -qx "$serial" ending || fail "$serial ends, and is not in the list: $(cat ending.csv)"; done
[ "$(wc -l < ending)" = 4 ] || fail "the list has more: $(cat ending.csv)"
while read -r serial; do
  for name in gw1 gw3 gw4 gw5; do
    if [ "$(serial_of "$name.crt")" = "$serial" ]; then date -d "$(openssl x509 -in "$name.crt" -noout -enddate | cut -d= -f2)" +%s; fi
  done
done < ending > ends
sort -n -c ends || fail "the list is not sorted by the end: $(cat ends)"
jq -e '[.findings[].code] | index("renewal-overdue") and index("never-enrolled")' status.json > /dev/null || fail "$(cat status.json)"
cat status.json
