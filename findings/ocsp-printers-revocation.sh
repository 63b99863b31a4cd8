#!/usr/bin/env bash
# gnutls-bin 3.7.9-2+deb12u7 (`ocsptool --response-info`) and heimdal-clients 7.8.git20221117.28daf24+dfsg-2 (`hxtool ocsp-print`), Debian: what they
# show of an OCSP answer.
#
# Expected: RFC 6960 §4.2.1: a revoked certificate has a time and, at will, a reason, which tells one on hold (RFC 5280 §5.3.1: 6), that may come back,
# from one whose key is lost; thisUpdate and nextUpdate say how long the answer is good (§4.2.2.1). `openssl ocsp -respin` shows all of it.
# Seen: GnuTLS shows no reason: one on hold looks like one that is lost for good. Heimdal shows neither reason nor time of revocation, and in place of
# nextUpdate thisUpdate once more, under the name producedAt.
# So: ask `openssl ocsp -respin FILE -text` before anybody replaces a gateway's certificate, or wonders why a client takes an answer for old.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
version=7.8.git20221117.28daf24+dfsg-2
packages=(heimdal-clients libhx509-5-heimdal libasn1-8-heimdal libhcrypto5-heimdal libheimbase1-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal)
apt-get -qq -o APT::Sandbox::User=root download "${packages[@]/%/=$version}" libedit2 libbsd0 libmd0 libcom-err2 \
    gnutls-bin=3.7.9-2+deb12u7 libgnutls30=3.7.9-2+deb12u7 libgnutls-dane0=3.7.9-2+deb12u7 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
libraries=$PWD/$(dirname "$(find root -name 'libgnutls.so.30')")
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
cat >make.py <<'PYTHON'
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name.from_rfc4514_string("CN=Example CA")
start = datetime(2026, 1, 1, tzinfo=timezone.utc)
certificate = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=3650)).sign(key, hashes.SHA256())
answer = ocsp.OCSPResponseBuilder().add_response(
    certificate, certificate, hashes.SHA1(), ocsp.OCSPCertStatus.REVOKED, start + timedelta(days=20), start + timedelta(days=23), start + timedelta(days=10),
    x509.ReasonFlags.certificate_hold,
).responder_id(ocsp.OCSPResponderEncoding.NAME, certificate).sign(key, hashes.SHA256())
open("answer", "wb").write(answer.public_bytes(serialization.Encoding.DER))
PYTHON
cat >expected <<'TEXT'
OpenSSL:
  Cert Status: revoked
  Revocation Time: Jan 11 00:00:00 2026 GMT
  Revocation Reason: certificateHold (0x6)
  This Update: Jan 21 00:00:00 2026 GMT
  Next Update: Jan 24 00:00:00 2026 GMT
GnuTLS:
  Certificate Status: revoked
  Revocation time: Sun Jan 11 00:00:00 UTC 2026
  This Update: Wed Jan 21 00:00:00 UTC 2026
  Next Update: Sat Jan 24 00:00:00 UTC 2026
Heimdal:
  replies: 1
  0. status: revoked
  thisUpdate: Jan 21 00:00:00 2026
  producedAt: Jan 21 00:00:00 2026
  appended certs:
TEXT
tools/bin/python make.py
{
    echo "OpenSSL:"
    openssl ocsp -respin answer -noverify -text 2>openssl.log | grep -E '^ *(Cert Status|Revocation|This|Next)'
    echo "GnuTLS:"
    LD_LIBRARY_PATH=$libraries root/usr/bin/ocsptool --response-info --infile answer | grep -E 'Status: r|Revocation|Update|eason|old'
    echo "Heimdal:"
    TZ=UTC LD_LIBRARY_PATH=$libraries:$libraries/heimdal root/usr/bin/hxtool ocsp-print answer | grep -A9 '^replies'
} | sed 's/^[ \t]*/  /; s/^  \([A-Z][A-Za-z]*:\)$/\1/' >seen
diff expected seen
cat seen
