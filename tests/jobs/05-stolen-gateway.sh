#!/usr/bin/env bash
# A gateway is stolen, with its keys: nobody must believe it any more, and it must not get another certificate.
#
# Commands: 5
# Checks: OpenSSL's OCSP client, OpenSSL with the CRL, ldapsearch and strongSwan's pki: the stolen one is revoked, the others are good. The thief's
# renewal by OpenSSL's CMP client is refused.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
needs ldap-utils ldapsearch
configuration "$COUNTERSIGN_DATA/countersign.toml"
countersign init
start
for name in gw1 gw2; do
  countersign peer add "$name" --id "fqdn:$name.example.net" --json > "$name.json"
  enrol "$name"
done
# It has a second certificate, because it renewed.
cp gw1/gw1.crt gw1/gw1.key .
countersign enroll --renew --now --out gw1

operator
say "which one is it, and what does it have?"
countersign peer list --id fqdn:gw1.example.net
countersign cert list --account gw1
countersign cert revoke --account gw1 --all --remove --reason keyCompromise --dry-run
countersign cert revoke --account gw1 --all --remove --reason keyCompromise
say "and those of its peers that read files get the new CRL"
curl -sf "$url/crl/issuing.crl" -o new.crl
check

cat data/keys/issuing.crt data/keys/root.crt > cas.pem
openssl crl -inform DER -in new.crl -out new.crl.pem
curl -sf "$url/crl/root.crl" | openssl crl -inform DER -out root.crl.pem
cat new.crl.pem root.crl.pem > crls.pem
ldapsearch -x -LLL -t -T "$job" -H "$ldap" -b o=Countersign -s sub '(cn=issuing)' 'certificateRevocationList;binary' > ldif
[ -n "$(ls ldapsearch-certificateRevocationList* 2>/dev/null)" ] || fail "no CRL in the directory: $(cat ldif)"
cmp ldapsearch-certificateRevocationList* new.crl || fail "the directory has another CRL"
status_of() {
  openssl ocsp -issuer data/keys/issuing.crt -cert "$1" -url "$url/ocsp" -CAfile cas.pem -no_nonce > ocsp.txt 2>&1 || fail "$(cat ocsp.txt)"
  grep -q 'Response verify OK' ocsp.txt || fail "$(cat ocsp.txt)"
  sed -n "s|^$1: ||p" ocsp.txt
}
by_crl() { openssl verify -crl_check_all -CAfile data/keys/root.crt -untrusted data/keys/issuing.crt -CRLfile crls.pem "$1" > said 2>&1; }
by_pki() { pki --verify --in "$1" --cacert data/keys/root.crt --cacert data/keys/issuing.crt --crl new.crl.pem --crl root.crl.pem > said 2>&1; }
for stolen in gw1.crt gw1/gw1.crt; do
  [ "$(status_of "$stolen")" = revoked ] || fail "OCSP says of $stolen: $(cat ocsp.txt)"
  grep -q 'Reason: keyCompromise' ocsp.txt || fail "$(cat ocsp.txt)"
  ! by_crl "$stolen" || fail "OpenSSL believes $stolen"
  grep -q 'certificate revoked' said || fail "$(cat said)"
  ! by_pki "$stolen" || fail "strongSwan believes $stolen"
  grep -q 'certificate was revoked' said || fail "$(cat said)"
done
[ "$(status_of gw2/gw2.crt)" = good ] || fail "OCSP says of gw2: $(cat ocsp.txt)"
by_crl gw2/gw2.crt || fail "$(cat said)"
by_pki gw2/gw2.crt || fail "$(cat said)"
renewal() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out next.key
  openssl cmp -cmd kur -server "127.0.0.1:$http_port" -path .well-known/cmp -cert "$1.crt" -key "$1.key" -newkey next.key -trusted data/keys/root.crt \
    -untrusted data/keys/issuing.crt -certout next.crt > cmp.txt 2>&1
}
! renewal gw1/gw1 || fail "the thief has another certificate"
grep -q certRevoked cmp.txt || fail "$(cat cmp.txt)"
renewal gw2/gw2 || fail "$(cat cmp.txt)"
ldapsearch -x -LLL -H "$ldap" -b ou=peers,o=Countersign '(objectClass=*)' cn > peers.ldif
grep -qx 'cn: gw2' peers.ldif && ! grep -qx 'cn: gw1' peers.ldif || fail "$(cat peers.ldif)"
say "the thief has nothing"
