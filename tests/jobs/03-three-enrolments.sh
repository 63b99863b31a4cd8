#!/usr/bin/env bash
# Three gateways of three makes enrol and renew, each over the protocol that it has: CMP, EST and SCEP.
#
# Commands: 23
# The clients are OpenSSL's `openssl cmp` and strongSwan's `pki --est` and `pki --scep`. The folders cmp, est and scep are the three gateways.
# Checks: OpenSSL and strongSwan's pki verify the six certificates; ldapsearch finds the newest of each, and the CA has each twice, as jq counts.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
needs ldap-utils ldapsearch
free_port est_port
configuration "$COUNTERSIGN_DATA/countersign.toml"
mkdir cmp est scep

operator
cat >> data/countersign.toml <<TOML
[est]
listen = "127.0.0.1:$est_port"
[scep]
enabled = true
TOML
countersign config check
countersign init --algorithm rsa3072 --root-algorithm rsa3072
start
countersign peer add cmp --id fqdn:cmp.example.net --json > cmp/account
countersign peer add est --id fqdn:est.example.net --json > est/account
countersign peer add scep --id fqdn:scep.example.net --json > scep/account
cp data/keys/root.crt root.crt

say "CMP"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out cmp/first.key
openssl cmp -cmd ir -server "127.0.0.1:$http_port" -path .well-known/cmp -ref "$(jq -r .reference cmp/account)" -secret "pass:$(jq -r .secret cmp/account)" \
  -newkey cmp/first.key -trusted root.crt -certout cmp/first.crt
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out cmp/next.key
openssl cmp -cmd kur -server "127.0.0.1:$http_port" -path .well-known/cmp -cert cmp/first.crt -key cmp/first.key \
  -newkey cmp/next.key -trusted root.crt -certout cmp/next.crt

say "EST"
pki --estca --url "https://127.0.0.1:$est_port" --cacert root.crt --caout est/ca.pem --outform pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout est/first.key -subj /CN=est.example.net -addext subjectAltName=DNS:est.example.net -out est/first.csr
pki --est --url "https://127.0.0.1:$est_port" --cacert root.crt --in est/first.csr --userpass "$(jq -r '"\(.reference):\(.secret)"' est/account)" --outform pem > est/first.crt
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout est/next.key -subj /CN=est.example.net -addext subjectAltName=DNS:est.example.net -out est/next.csr
pki --est --url "https://127.0.0.1:$est_port" --cacert root.crt --in est/next.csr --cert est/first.crt --key est/first.key --outform pem > est/next.crt

say "SCEP"
pki --scepca --url "$url/scep" --caout scep/ca --raout scep/ra --outform pem
for file in scep/ra*.pem; do openssl x509 -in "$file" -noout -ext keyUsage | grep -q 'Key Encipherment' && encryption=$file || signature=$file; done
pki --gen --type rsa --size 3072 --outform pem > scep/first.key
pki --scep --url "$url/scep" --in scep/first.key --dn CN=scep.example.net --san scep.example.net --password "$(jq -r '"\(.reference):\(.secret)"' scep/account)" \
  --cacert-enc "$encryption" --cacert-sig "$signature" --cacert data/keys/issuing.crt --cacert root.crt --outform pem > scep/first.crt
pki --gen --type rsa --size 3072 --outform pem > scep/next.key
pki --scep --url "$url/scep" --in scep/next.key --dn CN=scep.example.net --san scep.example.net --cert scep/first.crt --key scep/first.key \
  --cacert-enc "$encryption" --cacert-sig "$signature" --cacert data/keys/issuing.crt --cacert root.crt --outform pem > scep/next.crt
check

for kind in cmp est scep; do
  for file in first next; do
    openssl verify -x509_strict -purpose sslserver -CAfile root.crt -untrusted data/keys/issuing.crt -verify_hostname "$kind.example.net" "$kind/$file.crt"
    pki --verify --in "$kind/$file.crt" --cacert root.crt --cacert data/keys/issuing.crt > pki.txt 2>&1 || fail "strongSwan refuses $kind/$file.crt: $(cat pki.txt)"
    cmp <(openssl x509 -in "$kind/$file.crt" -noout -pubkey) <(openssl pkey -in "$kind/$file.key" -pubout) || fail "$kind/$file.crt has another key"
  done
  # The directory has the newest certificate, which is another one than the first.
  has_the_newest() {
    ldapsearch -x -LLL -o ldif-wrap=no -H "$ldap" -b "cn=$kind,ou=peers,o=Countersign" 'userCertificate;binary' > "$kind/entry.ldif"
    grep -qF "$(openssl x509 -in "$kind/next.crt" -outform DER | base64 -w0)" "$kind/entry.ldif"
  }
  wait_for "the certificate of $kind in the directory" has_the_newest
  ! cmp -s <(openssl x509 -in "$kind/first.crt" -noout -serial) <(openssl x509 -in "$kind/next.crt" -noout -serial)
  [ "$(countersign cert list --account "$kind" --json | jq '[.[] | select(.status == "valid")] | length')" = 2 ] || fail "$kind has not two certificates"
done
say "six certificates, and each newest one in the directory"
