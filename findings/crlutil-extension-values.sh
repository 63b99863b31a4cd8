#!/usr/bin/env bash
# libnss3-tools 2:3.87.1-1+deb12u4 (Debian), `crlutil -G`: the extensions of a CRL and of its entries.
#
# Expected: RFC 5280 §5.3.1: a reason is an ENUMERATED, §5.3.2: an invalidity date a GeneralizedTime, §5.2.3: the CRL's number an INTEGER, each
# in DER inside the extension's OCTET STRING; §5.1.2.4 and §5.1.2.6 write dates before 2050 as UTCTime.
# Seen: the OCTET STRING holds the bare content without tag and length (`01`, `012C`, the digits of the date), and dates of 2026 are
# GeneralizedTime. OpenSSL prints the CRL with dots for values; `cryptography` 50.0.2 (PyPI) raises at the extensions.
# So: such a CRL says when something was revoked, and neither why nor which number it has; make CRLs by another tool.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libnss3-tools=2:3.87.1-1+deb12u4 libnss3=2:3.87.1-1+deb12u4 libnspr4=2:4.35-1 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
libraries=$(dirname "$(find root -name libnss3.so)")
nss() {
    local tool=$1
    shift
    LD_LIBRARY_PATH=$PWD/$libraries:$PWD/$libraries/nss "root/usr/bin/$tool" "$@"
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj '/CN=Example CA' -addext keyUsage=critical,keyCertSign,cRLSign 2>openssl.log
openssl pkcs12 -export -in ca.pem -inkey ca.key -name ca -passout pass:x -out ca.p12
mkdir database
nss certutil -N -d sql:database --empty-password
nss pk12util -i ca.p12 -d sql:database -W x >nss.log
cat >script <<'SCRIPT'
update=20260101000000Z
nextupdate=20270101000000Z
addext crlNumber 0 300
addcert 7 20260101000000Z
addext reasonCode 0 1
addext invalidityDate 0 20251201120000Z
SCRIPT
nss crlutil -G -n ca -d sql:database -c script -o made.crl -Z SHA256 >>nss.log
cat >probe.py <<'PYTHON'
from cryptography.x509 import load_der_x509_crl

crl = load_der_x509_crl(open("made.crl", "rb").read())
for label, part in [("CRL", crl), ("entry", crl[0])]:
    try:
        print(f"cryptography, {label}: {part.extensions}")
    except ValueError as error:
        print(f"cryptography, {label}: {error}")
PYTHON
cat >expected <<'TEXT'
GENERALIZEDTIME 20260101000000Z
GENERALIZEDTIME 20270101000000Z
GENERALIZEDTIME 20260101000000Z
Invalidity Date: 20251201120000Z
CRL Reason Code: [HEX DUMP]:01
CRL Number: [HEX DUMP]:012C
cryptography, CRL: error parsing asn1 value: ParseError { kind: ShortData { needed: 44 } }
cryptography, entry: error parsing asn1 value: ParseError { kind: ShortData { needed: 35 } }
TEXT
{
    openssl asn1parse -inform DER -in made.crl >parsed
    sed -n 's/.*\(GENERALIZEDTIME\|UTCTIME\) *:*/\1 /p' parsed
    for extension in 'Invalidity Date' 'CRL Reason Code' 'CRL Number'; do
        echo "$extension: $(grep -A1 "$extension" parsed | sed -n 's/.*OCTET STRING *:*//p')"
    done
    tools/bin/python probe.py
} >seen
diff expected seen
cat seen
