#!/usr/bin/env bash
# Ten thousand gateways from the inventory, a CSV file: all of them get an account and a secret, or none.
#
# Commands: 5
# Checks: Python's csv reads the references and secrets; OpenSSL's CMP client enrols one in a thousand of them; ldapsearch finds these.
. "$(dirname "$0")/common.sh"
needs ldap-utils ldapsearch
needs python3 python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
{
  echo 'name,ids,labels'
  seq 1 10000 | awk '{ printf "gw%05d,fqdn:gw%05d.example.net ip:10.%d.%d.1,site=s%d\n", $1, $1, $1 / 250, $1 % 250, $1 % 20 }'
} > inventory.csv
sed -e '17s/fqdn:/fqnd:/' -e '4711s/ip:[0-9.]*/ip:10.0.0.300/' -e '9999s/^gw09998/gw09997/' inventory.csv > mistakes.csv

operator
countersign init
start
refused 2 countersign peer import mistakes.csv
countersign peer import inventory.csv --dry-run > told.txt
countersign peer import inventory.csv --out secrets.csv --expires 30d
check

# The file with three mistakes was refused with all of them, and left nothing.
for line in 17 4711 9999; do grep -q "line $line" refused || fail "no word about line $line: $(cat refused)"; done
cat refused
python3 - <<'PYTHON'
import csv, os
rows = list(csv.DictReader(open("secrets.csv", newline="")))
inventory = [row["name"] for row in csv.DictReader(open("inventory.csv", newline=""))]
assert [row["name"] for row in rows] == inventory and len(rows) == 10000, len(rows)
assert len({row["reference"] for row in rows}) == len({row["secret"] for row in rows}) == 10000
assert min(len(row["secret"]) for row in rows) >= 26
assert os.stat("secrets.csv").st_mode & 0o77 == 0
open("sample", "w").writelines(f"{row['name']} {row['reference']} {row['secret']}\n" for row in rows[499::1000])
PYTHON
while read -r name reference secret; do
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key"
  openssl cmp -cmd ir -server "127.0.0.1:$http_port" -path .well-known/cmp -ref "$reference" -secret "pass:$secret" -newkey "$name.key" \
    -certout "$name.crt" -trusted data/keys/root.crt > "$name.log" 2>&1 < /dev/null || fail "$name: $(cat "$name.log")"
  openssl verify -CAfile data/keys/root.crt -untrusted data/keys/issuing.crt -verify_hostname "$name.example.net" "$name.crt"
done < sample
[ "$(wc -l < sample)" = 10 ]
ldapsearch -x -LLL -H "$ldap" -b o=Countersign '(userCertificate;binary=*)' cn > found.ldif
while read -r name _; do grep -qx "cn: $name" found.ldif || fail "$name is not in the directory: $(cat found.ldif)"; done < sample
say "ten of ten thousand have enrolled, and are in the directory"
