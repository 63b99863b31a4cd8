#!/usr/bin/env bash
# The issuing CA gets its next key, without a gateway that is cut off: first every gateway has the next CA's certificate and CRL, then it issues.
#
# Commands: 9
# Checks: OpenSSL and strongSwan's pki: before the activation the folder of a gateway holds what it needs to believe its peers of tomorrow; gateways of
# both keys are believed with the CRLs of both; the revocation of an old certificate still reaches the CRL of the old key.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
configuration "$COUNTERSIGN_DATA/countersign.toml"
cat >> data/countersign.toml <<TOML
[gateways.gw1]
daemon = "strongswan"
address = "192.0.2.1"
[gateways.gw2]
daemon = "iked"
address = "192.0.2.2"
TOML
countersign init --subject 'CN=Example issuing CA' --root-subject 'CN=Example root CA'
start
for name in gw1 gw2; do
  countersign peer add "$name" --id "fqdn:$name.example.net" --json > "$name.json"
  enrol "$name"
done
cp gw1/gw1.crt gw1/gw1.key .
cp gw2/gw2.crt gw2/gw2.key .

operator
stop
countersign ca roll issuing --staged
start
countersign export gw1 --out export/gw1
countersign export gw2 --out export/gw2
say "the folders were copied to the gateways"
countersign ca activate issuing.2
countersign ca show
countersign enroll --renew --now --out gw1
say "gw2 is stolen before it renews"
countersign cert revoke --account gw2 --all
check

issuer() { openssl x509 -in "$1" -noout -issuer -nameopt RFC2253; }
[ "$(issuer gw1.crt)" = 'issuer=CN=Example issuing CA' ] || fail "$(issuer gw1.crt)"
[ "$(issuer gw1/gw1.crt)" = 'issuer=CN=Example issuing CA G2' ] || fail "$(issuer gw1/gw1.crt)"
# What gw2 was given before the activation suffices for gw1's next certificate, and for its present one.
for certificate in gw1.crt gw1/gw1.crt; do
  openssl verify -no-CAfile -no-CApath -CAfile export/gw2/ca/ca.crt $(printf -- '-CRLfile %s ' export/gw2/crls/*.crl) -crl_check_all "$certificate"
done
# strongSwan, with the CRLs of today.
crls=()
for ca in root issuing issuing.2; do
  listed "$ca" > "$ca.listed"
  crls+=(--crl "$ca.crl.pem")
done
believes() {
  pki --verify --in "$1" $(printf -- '--cacert %s ' export/gw1/x509ca/*.pem) "${crls[@]}" > said 2>&1
}
believes gw1.crt || fail "$(cat said)"
believes gw1/gw1.crt || fail "$(cat said)"
! believes gw2.crt || fail "strongSwan believes what was revoked"
grep -q 'certificate was revoked' said || fail "$(cat said)"
grep -qx "$(serial_of gw2.crt)" issuing.listed || fail "the CRL of the old key lacks gw2: $(cat issuing.listed)"
[ ! -s issuing.2.listed ] || fail "the CRL of the new key lists $(cat issuing.2.listed)"
# The CRL of the old key is still the old key's.
openssl crl -in issuing.crl.pem -noout -verify -CAfile data/keys/issuing.crt
openssl crl -in issuing.2.crl.pem -noout -verify -CAfile data/keys/issuing.2.crt
# Who looks at the journal of a running server does not disturb it.
countersign audit verify
! grep "administrator's connection" server.log || fail "the server complains"
say "two keys, and nobody was cut off"
