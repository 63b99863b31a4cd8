#!/usr/bin/env bash
# asn1crypto 1.5.1 (PyPI), `x509.URI` and `DistributionPoint.url`: LDAP URLs in certificates.
#
# Expected: RFC 4516 §2: the host may be left out (`ldap:///…`, as §4 shows and directories publish), an IPv6 address stands in brackets
# (RFC 3986 §3.2.2), and `?` inside the DN is written `%3f` (§2.1). Reading and writing keeps all three; `url` gives the URL of a point.
# Seen: `ldap:///` becomes `ldap:/`, which `url` takes for no URL and gives None; the brackets are gone; `%3F` is decoded, so that the DN ends
# at it. Dumped again the extension has other octets, or the address's colon is taken for a port's and an error raised.
# So: a program that fetches CRLs by `url` never asks such a directory. Take the name's `contents`, not `native` or `url`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check asn1crypto==1.5.1
cat >probe.py <<'PYTHON'
from asn1crypto.x509 import DistributionPoint

URLS = [
    "http://crl.example/ca.crl",
    "ldap://dir.example/cn=CA,o=Example?certificateRevocationList",
    "ldap:///cn=CA,o=Example?certificateRevocationList",
    "ldap://[2001:db8::1]/cn=CA,o=Example?certificateRevocationList",
    "ldap://dir.example/cn=CA%3F,o=Example?certificateRevocationList",
]


def tagged(tag, content):
    return bytes([tag, len(content)]) + content


for url in URLS:
    der = tagged(0x30, tagged(0xA0, tagged(0xA0, tagged(0x86, url.encode()))))
    point = DistributionPoint.load(der)
    print(f"{url}\n  native: {point['distribution_point'].native[0]}\n  url:    {point.url}")
    try:
        print("  dumped again:", "the same" if point.dump(force=True) == der else "other octets")
    except ValueError as error:
        print(f"  dumped again: {str(error).splitlines()[0]}")
PYTHON
cat >expected <<'TEXT'
http://crl.example/ca.crl
  native: http://crl.example/ca.crl
  url:    http://crl.example/ca.crl
  dumped again: the same
ldap://dir.example/cn=CA,o=Example?certificateRevocationList
  native: ldap://dir.example/cn=CA,o=Example?certificateRevocationList
  url:    ldap://dir.example/cn=CA,o=Example?certificateRevocationList
  dumped again: the same
ldap:///cn=CA,o=Example?certificateRevocationList
  native: ldap:/cn=CA,o=Example?certificateRevocationList
  url:    None
  dumped again: other octets
ldap://[2001:db8::1]/cn=CA,o=Example?certificateRevocationList
  native: ldap://2001:db8::1/cn=CA,o=Example?certificateRevocationList
  url:    ldap://2001:db8::1/cn=CA,o=Example?certificateRevocationList
  dumped again: Port could not be cast to integer value as 'db8::1'
ldap://dir.example/cn=CA%3F,o=Example?certificateRevocationList
  native: ldap://dir.example/cn=CA?,o=Example?certificateRevocationList
  url:    ldap://dir.example/cn=CA?,o=Example?certificateRevocationList
  dumped again: other octets
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
