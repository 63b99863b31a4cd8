#!/usr/bin/env bash
# An offline root: the key of the root stays on a machine without a network, and the server gets a certificate for its issuing CA.
#
# Commands: 13
# The machine of the root is the folder `root`, and has OpenSSL. What is carried between the two is in the folder `carried`.
# Checks: OpenSSL with all CRLs, strongSwan's pki, GnuTLS; no key of the root on the server.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
needs gnutls-bin certtool
configuration "$COUNTERSIGN_DATA/countersign.toml"
mkdir root carried

operator
say "at the root: its key, and its certificate"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -noenc -keyout root/root.key -out root/root.pem -days 7300 \
  -subj '/CN=Example root CA' -addext keyUsage=critical,keyCertSign,cRLSign
say "at the server: the key of the issuing CA, and the request for its certificate"
countersign init --subject 'CN=Example issuing CA' --root-csr carried/issuing.csr
say "at the root: the certificate, and the root's first CRL"
cat > root/ca.ext <<TEXT
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
crlDistributionPoints=URI:http://pki.example.net/root.crl
TEXT
openssl x509 -req -in carried/issuing.csr -CA root/root.pem -CAkey root/root.key -days 1825 -extfile root/ca.ext -out carried/issuing.pem
cat > root/ca.conf <<TEXT
[ca]
default_ca = root
[root]
database = root/index.txt
crlnumber = root/crlnumber
default_md = sha384
TEXT
touch root/index.txt
echo 01 > root/crlnumber
openssl ca -config root/ca.conf -gencrl -keyfile root/root.key -cert root/root.pem -crldays 180 -out carried/root.crl
cat carried/issuing.pem root/root.pem > carried/chain.pem
say "at the server: the chain, and the first gateway"
countersign init --root-cert carried/chain.pem
start
countersign peer add gw1 --id fqdn:gw1.example.net --json > gw1.json
enrol gw1 root/root.pem
check

listed issuing > /dev/null
cat carried/root.crl issuing.crl.pem > crls.pem
openssl verify -x509_strict -crl_check_all -CAfile root/root.pem -untrusted carried/issuing.pem -CRLfile crls.pem gw1/gw1.crt
pki --verify --in gw1/gw1.crt --cacert root/root.pem --cacert carried/issuing.pem --crl issuing.crl.pem --crl carried/root.crl
cat gw1/gw1.crt carried/issuing.pem root/root.pem > path.pem
certtool --verify-chain --infile path.pem > certtool.txt || { cat certtool.txt; fail "GnuTLS refuses the path"; }
# No key on the server is the root's. _audit.key signs the journal; OpenSSL 3.0 does not read it, and its public half is beside it.
openssl x509 -in root/root.pem -noout -pubkey > root.pub
[ -e data/keys/issuing.key ] && [ ! -e data/keys/root.key ] || fail "keys/ has: $(ls data/keys)"
for key in data/keys/*.key; do
  case $key in
    */_audit.key) cp data/keys/_audit.pub key.pub ;;
    *) openssl pkey -in "$key" -passin file:data/passphrase -pubout -out key.pub ;;
  esac
  ! cmp -s root.pub key.pub || fail "$key is the root's key"
done
say "the path leads to a root whose key the server never had"
