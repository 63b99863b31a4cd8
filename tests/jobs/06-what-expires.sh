#!/usr/bin/env bash
# What ends within thirty days, which gateways forgot to renew, and who never enrolled?
#
# Commands: 8
# Before: gw1, gw2 and gw3 got their certificates of 90 days 80 days ago, gw4 and gw5 65 days ago, gw6 today; gw2, which only shows requests, has got its
# next one today; gw7 never enrolled.
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
countersign cert list --peers --status valid --current --expires-within 30d --sort expires --format csv > before.csv
say "of gw2 nobody could tell that the next certificate takes the place of the first: it is revoked"
countersign cert list --account gw2
countersign cert revoke "$(serial_of gw2.crt)" --reason superseded
countersign cert list --peers --status valid --current --expires-within 30d --sort expires --format csv > ending.csv
countersign peer list --state never-enrolled
refused 1 countersign status --strict --format json
check

cp refused.out status.json
ends_of() { python3 -c 'import csv, sys; print(*[row["serial"] for row in csv.DictReader(open(sys.argv[1], newline=""))], sep="\n")' "$1"; }
ends_of before.csv > before
ends_of ending.csv > ending
# OpenSSL says of each certificate whether it ends within 30 days, and when: these are listed, in this order, and no others.
for name in gw1 gw2 gw3 gw4 gw5 gw6 gw2-next; do
  openssl x509 -in "$name.crt" -noout -checkend 0 > openssl.txt || fail "$name.crt has ended"
  openssl x509 -in "$name.crt" -noout -checkend $((30 * 86400)) > openssl.txt ||
    echo "$(date -d "$(openssl x509 -in "$name.crt" -noout -enddate | cut -d= -f2)" +%s) $(serial_of "$name.crt")" >> ends
done
[ "$(sort -n ends | cut -d' ' -f2 | sort)" = "$(sort before)" ] || fail "expected $(cat ends), found $(cat before.csv)"
[ "$(grep -v "$(serial_of gw2.crt)" before)" = "$(cat ending)" ] || fail "expected the same without gw2, found $(cat ending.csv)"
while read -r serial; do grep " $serial\$" ends | cut -d' ' -f1; done < ending > order
sort -n -c order || fail "the list is not sorted by the end: $(cat order)"
[ "$(wc -l < ending)" = 4 ] || fail "expected four, found $(cat ending.csv)"
jq -e '[.findings[].code] == ["renewal-overdue", "never-enrolled", "backup-none"]' status.json > /dev/null || fail "$(cat status.json)"
jq -e '.findings[0].message | contains("gw1") and contains("gw3") and (contains("gw2") | not) and (contains("gw4") | not)' status.json > /dev/null || fail "$(cat status.json)"
jq -e '.certificates.expiring_14_days == 2 and .certificates.expiring_30_days == 4 and .accounts.never_enrolled == 1' status.json > /dev/null || fail "$(cat status.json)"
say "four certificates end, two of them were forgotten, and one gateway never came"
