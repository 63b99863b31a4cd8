#!/usr/bin/env bash
# A colleague on call may revoke, from her own machine, and do no more.
#
# Commands: 9
# Before: gw1 and gw2 have enrolled.
# Checks: OpenSSL: what she revoked is on the CRL, and nothing else. curl with her certificate: each other change is refused with 403; after her own
# certificate is revoked, she cannot even look. GnuTLS: her certificate is for clients of TLS, and for no gateway.
. "$(dirname "$0")/common.sh"
needs gnutls-bin certtool
free_port admin_port
configuration "$COUNTERSIGN_DATA/countersign.toml"
cat >> data/countersign.toml <<TOML
[admin]
listen = "127.0.0.1:$admin_port"
TOML
countersign init
start
for name in gw1 gw2; do
  countersign peer add "$name" --id "fqdn:$name.example.net" --json > "$name.json"
  enrol "$name"
done

operator
say "at the server"
countersign admin add carol --role revoker --id email:carol@example.net --json | jq .account > carol.json
say "on carol's machine: reference, secret and root.crt came by a way that she trusts"
enrol carol
export COUNTERSIGN_SERVER=https://127.0.0.1:$admin_port
countersign cert list --login carol --identity fqdn:gw1.example.net
countersign cert revoke "$(serial_of gw1/gw1.crt)" --reason keyCompromise --login carol
refused 4 countersign peer add gw9 --id fqdn:gw9.example.net --login carol
refused 4 countersign crl publish --login carol
say "at the server: carol has left"
unset COUNTERSIGN_SERVER
countersign admin remove carol
check

grep -qi 'revoker\|grant\|may' refused || fail "the refusal does not say why: $(cat refused)"
listed issuing > serials
for revoked in gw1/gw1.crt carol/carol.crt; do grep -qx "$(serial_of "$revoked")" serials || fail "$revoked is not on the CRL: $(cat serials)"; done
! grep -qx "$(serial_of gw2/gw2.crt)" serials || fail "gw2 is on the CRL"
openssl crl -in issuing.crl.pem -noout -text | grep -A 6 -i "$(serial_of gw1/gw1.crt)" | grep -q 'Key Compromise' || fail "the reason is missing"
certtool --certificate-info --infile carol/carol.crt > carol.txt
grep -q 'TLS WWW Client' carol.txt && ! grep -qi 'ipsec\|TLS WWW Server' carol.txt || fail "$(cat carol.txt)"
# Her successor, with the same rights, tries everything that changes something, by curl.
countersign admin add dora --role revoker --id email:dora@example.net --json | jq .account > dora.json
enrol dora
api=https://127.0.0.1:$admin_port/api/v1
asked() { curl -s --cacert data/keys/root.crt --cert "$1/$1.crt" --key "$1/$1.key" -o answer -w '%{http_code}' -H 'Content-Type: application/json' "${@:2}"; }
account='{"accounts":[{"name":"gw9","ids":["fqdn:gw9.example.net"],"profile":"gateway","secret":{"seconds":3600,"uses":1}}]}'
secret='{"seconds":3600,"uses":1}'
eve='{"name":"eve","grants":[{"role":"administrator"}],"secret":{"seconds":3600,"uses":1}}'
[ "$(asked dora "$api/certificates")" = 200 ] || fail "$(cat answer)"
[ "$(asked dora "$api/accounts" -d "$account")" = 403 ] || fail "she adds accounts: $(cat answer)"
[ "$(asked dora "$api/accounts/gw2" -X DELETE)" = 403 ] || fail "she removes accounts: $(cat answer)"
[ "$(asked dora "$api/accounts/gw2/secret" -X POST -d "$secret")" = 403 ] || fail "she makes secrets: $(cat answer)"
[ "$(asked dora "$api/crls" -d '{}')" = 403 ] || fail "she signs CRLs: $(cat answer)"
[ "$(asked dora "$api/administrators" -d "$eve")" = 403 ] || fail "she makes administrators: $(cat answer)"
# The same requests of somebody who may: it was not their form that was refused.
countersign admin add otto --role administrator --id email:otto@example.net --json | jq .account > otto.json
enrol otto
[ "$(asked otto "$api/accounts" -d "$account")" = 201 ] || fail "$(cat answer)"
[ "$(asked otto "$api/administrators" -d "$eve")" = 201 ] || fail "$(cat answer)"
# Carol's certificate is revoked: she is nobody here.
[ "$(asked carol "$api/certificates")" = 401 ] || fail "carol still looks: $(cat answer)"
say "she revoked one certificate, and could do nothing else"
