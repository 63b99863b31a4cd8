#!/usr/bin/env bash
# libnss3-tools 2:3.87.1-1+deb12u4 (Debian), `nss-pp` (and `certutil -L`, which prints alike): the text of a certificate policy.
#
# Expected: explicitText is a UTF8String or VisibleString (RFC 5280 §4.2.1.4, as RFC 6818 §3 has it now); a printer shows all of it, as it shows
# the organisation beside it.
# Seen: the first two characters are missing: "No warranty is given" reads " warranty is given".
# So: read the notice of a certificate with another tool before anybody is told what it says; a "No" is what goes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libnss3-tools=2:3.87.1-1+deb12u4 libnss3=2:3.87.1-1+deb12u4 libnspr4=2:4.35-1 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
libraries=$PWD/$(dirname "$(find root -name libnss3.so)")
cat >request.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
commonName = gw
[extensions]
certificatePolicies = @policy
[policy]
policyIdentifier = 1.3.6.1.4.1.99999.1
userNotice = @notice
[notice]
organization = Example
noticeNumbers = 7
CONFIG
cat >expected <<'TEXT'
UTF8: OpenSSL: Explicit Text: No warranty is given
UTF8: nss-pp: Example: 7 (0x7); Display Text: " warranty is given"
VISIBLE: OpenSSL: Explicit Text: No warranty is given
VISIBLE: nss-pp: Example: 7 (0x7); Display Text: " warranty is given"
TEXT
for kind in UTF8 VISIBLE; do
    { cat request.cnf && echo "explicitText = $kind:No warranty is given"; } >"$kind.cnf"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -config "$kind.cnf" -outform DER -out "$kind.der" 2>>openssl.log
    echo "$kind: OpenSSL: $(openssl x509 -inform DER -in "$kind.der" -noout -text | grep -o 'Explicit Text.*')"
    echo "$kind: nss-pp: $(LD_LIBRARY_PATH=$libraries root/usr/bin/nss-pp -t certificate -i "$kind.der" | sed -n 's/^ *\(Example: .*\|Display Text: .*\)$/\1/p' | paste -sd ';' | sed 's/;/; /')"
done >seen
diff expected seen
cat seen
