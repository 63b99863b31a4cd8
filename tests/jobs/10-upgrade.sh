#!/usr/bin/env bash
# The program is replaced by a newer one: the data folder opens, the gateways notice nothing, and the history is whole from its first entry.
#
# Commands: 7
# Before: a data folder, a backup and two gateways of an earlier release (fixtures/README.md). All of this runs two days after they were made, by a shifted
# clock: the server would ask about a journal that is half a year old.
# Checks: OpenSSL's CMP client renews the old gateway, enrols by the old secret, and is refused for the revoked one; OpenSSL finds the old revocation on a
# newer CRL; Python compares the entries of before with those of today, which may have more fields. The backup of before is restored, too.
. "$(dirname "$0")/common.sh"
needs faketime faketime
needs python3 python3
tar -xzf "$jobs/fixtures/0.1.0-cfc9728.tar.gz"
clock_at "$(printf %+d $(($(cat made) + 172800 - $(date +%s))))s"
countersign() { "${clock[@]}" "$program" "$@"; }
openssl() { "${clock[@]}" openssl "$@"; }
# The ports that are free here.
sed -i "s|8829|$http_port|g; s|8389|$ldap_port|g" data/countersign.toml backup/countersign.toml gw?/enrolment.toml
mkdir later
# The first certificate of gw1, for the time after the restore.
cp -r gw1/enrolment/generations/* old

operator
say "before the upgrade, with the server stopped: a copy of everything"
cp -a data copy
say "the new program is installed"
countersign config check
start "${clock[@]}"
countersign status
countersign enroll --renew --now --out gw1 --server "$url"
stop
countersign audit verify --head head.json
check

# What the old program had written stays as it is, entry for entry, and the new ones come behind it.
countersign audit export > now
head -n "$(wc -l < entries)" now > first
python3 - <<'PYTHON'
import json
def has(now, before):
    if isinstance(before, dict):
        return isinstance(now, dict) and all(key in now and has(now[key], value) for key, value in before.items())
    if isinstance(before, list):
        return isinstance(now, list) and len(now) == len(before) and all(map(has, now, before))
    return now == before
pairs = list(zip(*([json.loads(line) for line in open(name)] for name in ("first", "entries")), strict=True))
assert len(pairs) > 20 and all(has(now, before) for now, before in pairs), next(pair for pair in pairs if not has(*pair))
PYTHON
[ "$(wc -l < now)" -gt "$(wc -l < entries)" ] || fail "the new program wrote nothing"
start "${clock[@]}"
cp issuing.crl before.crl
listed issuing > serials
number() { openssl crl -inform DER -in "$1" -noout -crlnumber | sed 's/.*0x//'; }
[ $((16#$(number issuing.crl))) -gt $((16#$(number before.crl))) ] || fail "CRL $(number issuing.crl) is not newer than $(number before.crl)"
[ "$(cat serials)" = "$(serial_of gw2/gw2.crt)" ] || fail "expected gw2 alone on the CRL, found: $(cat serials)"
openssl crl -in issuing.crl.pem -noout -text | grep -A 6 -i "$(cat serials)" | grep -q 'Key Compromise' || fail "the reason is lost"
root=data/keys/root.crt
cmp "$root" gw1/root.crt
asks() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out later/next.key
  openssl cmp -server "127.0.0.1:$http_port" -path .well-known/cmp -newkey later/next.key -trusted "$root" -untrusted data/keys/issuing.crt \
    -certout "$1" "${@:2}" > cmp.txt 2>&1
}
asks later/gw1.crt -cmd kur -cert gw1/gw1.crt -key gw1/gw1.key || fail "$(cat cmp.txt)"
! asks later/gw2.crt -cmd kur -cert gw2/gw2.crt -key gw2/gw2.key || fail "the revoked gw2 renewed"
asks later/gw3.crt -cmd ir -ref "$(jq -r .reference gw3.json)" -secret "pass:$(jq -r .secret gw3.json)" || fail "$(cat cmp.txt)"
for name in gw1 gw3; do openssl verify -crl_check -CAfile "$root" -untrusted data/keys/issuing.crt -CRLfile issuing.crl.pem "later/$name.crt"; done
stop
say "the backup of before, in place of all that"
mv data gone
countersign restore "$job/backup"
cp copy/passphrase data/passphrase
countersign audit verify
countersign cert import before.crl
start "${clock[@]}"
listed issuing > serials
[ "$(cat serials)" = "$(serial_of gw2/gw2.crt)" ] || fail "expected gw2 alone on the CRL, found: $(cat serials)"
asks later/again.crt -cmd kur -cert old/certificate.pem -key old/key.pem || fail "$(cat cmp.txt)"
say "the old gateways renew, the old revocation holds, and the history is whole"
