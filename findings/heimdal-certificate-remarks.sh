#!/usr/bin/env bash
# heimdal-clients 7.8.git20221117.28daf24+dfsg-2 (Debian), `hxtool print --content`: what it remarks on certificates.
#
# Expected: RFC 5280 §4.2.2.1: authorityInfoAccess must not be critical; §4.2.1.13: a distribution point may be for some reasons only; RFC 4985 §2:
# SRVName is an IA5String. A CA that signed itself with ECDSA (RFC 5758 §3.2) is self-signed.
# Seen: a certificate as the RFC wants it is told "Critical not set on MUST" at authorityInfoAccess; a point with reasons "failed"; a service name is
# printed empty beside the name of its type; the P-256 root is "NOT really self-signed!", the RSA root is.
# So: none of these remarks says anything against the certificate. `hxtool verify` names the reason for the last: ECDSA is not in this build.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
version=7.8.git20221117.28daf24+dfsg-2
packages=(heimdal-clients libhx509-5-heimdal libasn1-8-heimdal libhcrypto5-heimdal libheimbase1-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal)
apt-get -qq -o APT::Sandbox::User=root download "${packages[@]/%/=$version}" libedit2 libbsd0 libmd0 libcom-err2 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >request.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = Example CA
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectAltName = otherName:1.3.6.1.5.5.7.8.7;IA5:_ike.example.net, otherName:1.3.6.1.5.5.7.8.5;UTF8:gw@example.net
authorityInfoAccess = OCSP;URI:http://ocsp.example/
[without-reasons]
crlDistributionPoints = URI:http://crl.example/ca.crl
[with-reasons]
crlDistributionPoints = point
[point]
fullname = URI:http://crl.example/ca.crl
reasons = keyCompromise, CACompromise
CONFIG
printed() {
    local label=$1
    shift
    openssl req -x509 -nodes -keyout key.pem -config request.cnf -out made.pem "$@" 2>>openssl.log
    echo "$label"
    LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/hxtool print --content FILE:made.pem 2>&1 | sed -n 's/^[[:space:]]*/  /; /otherName\|Critical\|URI\|failed\|[Ss]elf-signed cert/p'
}
cat >expected <<'TEXT'
RSA
  is a self-signed certificate
  subjectAltName otherName dns-srv: 
  subjectAltName otherName jabber: gw@example.net
  Critical not set on MUST
  dirname: URI: http://ocsp.example/
  Self-signed certificate was self-signed
P-256
  is a self-signed certificate
  subjectAltName otherName dns-srv: 
  subjectAltName otherName jabber: gw@example.net
  Critical not set on MUST
  dirname: URI: http://ocsp.example/
  Self-signed certificate NOT really self-signed!
RSA, a distribution point
  is a self-signed certificate
  URI: http://crl.example/ca.crl
  Self-signed certificate was self-signed
RSA, a distribution point with reasons
  is a self-signed certificate
  Decoding CRL Distribution Points failed: 1859794438
  Self-signed certificate was self-signed
TEXT
{
    printed 'RSA' -newkey rsa:2048
    printed 'P-256' -newkey ec -pkeyopt ec_paramgen_curve:prime256v1
    printed 'RSA, a distribution point' -newkey rsa:2048 -extensions without-reasons
    printed 'RSA, a distribution point with reasons' -newkey rsa:2048 -extensions with-reasons
} >seen
diff expected seen
cat seen
