#!/usr/bin/env bash
# gnutls-bin 3.7.9-2+deb12u7 (Debian), `certtool --certificate-info` and `--crl-info`: points of distribution, and entries of a CRL.
#
# Expected: RFC 5280 §4.2.1.13: a point may be for some reasons only, may name another issuer of its CRL, and its name may be relative to that issuer's;
# §5.3.1: an entry may have a reason, as certificateHold, and §5.3.2 the date from which the key is doubted. What a printer cannot show it calls
# unknown, as it does with whole extensions.
# Seen: of the points the URL alone: the point for key compromise looks like one for everything, and one with a relative name is not there at all. Of an
# entry the date alone. None of it is called unknown.
# So: a distribution by reasons (RFC 5280 §6.3.3) and a hold cannot be checked by these printouts; read them with another tool.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download gnutls-bin=3.7.9-2+deb12u7 libgnutls30=3.7.9-2+deb12u7 libgnutls-dane0=3.7.9-2+deb12u7 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
libraries=$PWD/$(dirname "$(find root -name 'libgnutls.so.30')")
certtool() {
    LD_LIBRARY_PATH=$libraries root/usr/bin/certtool "$@"
}
cat >ca.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
commonName = Example CA
[extensions]
crlDistributionPoints = some, relative
[some]
fullname = URI:http://crl.example/some.crl
reasons = keyCompromise
CRLissuer = dirName:other
[relative]
relativename = part
CRLissuer = dirName:other
[other]
commonName = Example CRL Issuer
[part]
commonName = Part 1
[ca]
default_ca = settings
[settings]
database = index
default_md = sha256
crl_extensions = none
[none]
CONFIG
printf 'R\t360101000000Z\t260101000000Z,%s\t%s\tunknown\t/CN=%s\n' holdInstruction,1.2.840.10040.2.2 07 one keyTime,20251201000000Z 08 two >index
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 -config ca.cnf 2>openssl.log
openssl ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -crldays 30 -out crl.pem 2>openssl.log
cat >expected <<'TEXT'
OpenSSL, points:
  Full Name:
  URI:http://crl.example/some.crl
Reasons:
  Key Compromise
  CRL Issuer:
  DirName:CN = Example CRL Issuer
  Relative Name:
  CN = Part 1
  CRL Issuer:
  DirName:CN = Example CRL Issuer
GnuTLS, points:
  URI: http://crl.example/some.crl
OpenSSL, entries:
  Serial Number: 07
  Revocation Date: Jan  1 00:00:00 2026 GMT
  CRL entry extensions:
  X509v3 CRL Reason Code: 
  Certificate Hold
  Hold Instruction Code: 
  Hold Instruction Call Issuer
  Serial Number: 08
  Revocation Date: Jan  1 00:00:00 2026 GMT
  CRL entry extensions:
  X509v3 CRL Reason Code: 
  Key Compromise
  Invalidity Date: 
  Dec  1 00:00:00 2025 GMT
GnuTLS, entries:
  Serial Number (hex): 07
  Revoked at: Thu Jan 01 00:00:00 UTC 2026
  Serial Number (hex): 08
  Revoked at: Thu Jan 01 00:00:00 UTC 2026
TEXT
{
    echo 'OpenSSL, points:'
    openssl x509 -in ca.pem -noout -ext crlDistributionPoints | tail -n +2 | sed 's/ *\(Reasons:\)/\n\1/'
    echo 'GnuTLS, points:'
    certtool --certificate-info --infile ca.pem | sed -n '/CRL Distribution points/,/Subject Key Identifier/p' | sed '1d; $d'
    echo 'OpenSSL, entries:'
    openssl crl -in crl.pem -noout -text | sed -n '/^Revoked/,/Signature Algorithm/p' | sed '1d; $d'
    echo 'GnuTLS, entries:'
    certtool --crl-info --infile crl.pem | sed -n '/Revoked certificates/,/Signature Algorithm/p' | sed '1d; $d'
} | sed 's/^[ \t]\+/  /' >seen
diff expected seen
cat seen
