#!/usr/bin/env bash
# scapy 2.8.0 (PyPI), `X509_CRL`: a CRL with an issuing distribution point, or with dates from 2050 on.
#
# Expected: RFC 5280 §5.2.5: of the six fields each is optional or has a default, which DER leaves out (X.690 §11.5); §5.1.2.4: dates from 2050 on
# are GeneralizedTime.
# Seen: the flags must all be there, with values: every CRL with the extension is refused, by an error that speaks of a remainder in the list.
# Only UTCTime passes. The same CRL without the extension, before 2050, is read.
# So: captures of partitioned CRLs, from a download or a CERT payload (RFC 7296 §3.6), cannot be taken apart; leave them as octets.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check scapy==2.8.0 cryptography==50.0.2
cat >probe.py <<'PYTHON'
import datetime
import logging

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.x509 import X509_CRL

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example CA")])


def made(year, **scope):
    fields = dict(full_name=None, relative_name=None, only_some_reasons=None, only_contains_user_certs=False, only_contains_ca_certs=False)
    builder = x509.CertificateRevocationListBuilder(issuer_name=NAME)
    builder = builder.last_update(datetime.datetime(year, 1, 1)).next_update(datetime.datetime(year, 2, 1))
    if scope:
        point = x509.IssuingDistributionPoint(**{**fields, **scope}, indirect_crl=False, only_contains_attribute_certs=False)
        builder = builder.add_extension(point, critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


for label, der in [
    ("2026, no scope", made(2026)),
    ("2026, user certificates only", made(2026, only_contains_user_certs=True)),
    ("2026, a URL", made(2026, full_name=[x509.UniformResourceIdentifier("http://crl.example/1.crl")])),
    ("2050, no scope", made(2050)),
]:
    try:
        X509_CRL(der)
        print(f"{label}: read")
    except Exception as error:
        print(f"{label}: {type(error).__name__}: {str(error).splitlines()[0]}")
PYTHON
cat >expected <<'TEXT'
2026, no scope: read
2026, user certificates only: BER_Decoding_Error: unexpected remainder in X509_TBSCertList
2026, a URL: BER_Decoding_Error: unexpected remainder in X509_TBSCertList
2050, no scope: BER_BadTag_Decoding_Error: BERcodec_UTC_TIME: Got tag [24/0x18] while expecting <ASN1Tag UTC_TIME[23]>
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
