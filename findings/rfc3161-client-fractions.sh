#!/usr/bin/env bash
# rfc3161-client 1.0.9 (PyPI), `TimeStampTokenInfo.gen_time`: the time of a time-stamp.
#
# Expected: RFC 3161 §2.4.2: genTime has fractions of a second where the authority gives them, as many digits as it wants; `accuracy` says how far
# off they may be, in microseconds even, and with `ordering` two stamps are told apart by them. Python's datetime has microseconds.
# Seen: the fraction is missing, without a word, and accuracy, ordering and the octets are all there. Two stamps of one second have the same time.
# So: a stamp may seem older than it is by a second less a little, and lies outside of its own accuracy; take the time from the octets (`as_bytes`).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check rfc3161-client==1.0.9 cryptography==50.0.2
cat >tsa.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
commonName = Example TSA
[extensions]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = settings
[settings]
serial = serial
default_policy = 2.999.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = millisecs:1
ordering = yes
clock_precision_digits = 6
CONFIG
echo 01 >serial
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout tsa.key -out tsa.pem -days 30 -config tsa.cnf 2>openssl.log
cat >probe.py <<'PYTHON'
import sys
from datetime import timedelta

from rfc3161_client import decode_timestamp_response

info = decode_timestamp_response(open("answer", "rb").read()).tst_info
whole, fraction = sys.argv[1].rstrip("Z").split(".")
print(f"the octets have a fraction: {int(fraction) != 0}")
print(f"the second is the same: {format(info.gen_time, '%Y%m%d%H%M%S') == whole}")
print(f"microseconds: {info.gen_time.microsecond}")
print(f"accuracy: {timedelta(milliseconds=info.accuracy.millis)}, ordering: {info.ordering}")
PYTHON
cat >expected <<'TEXT'
the octets have a fraction: True
the second is the same: True
microseconds: 0
accuracy: 0:00:00.001000, ordering: True
TEXT
echo gate >data
openssl ts -query -data data -sha256 -out query 2>openssl.log
openssl ts -reply -config tsa.cnf -queryfile query -signer tsa.pem -inkey tsa.key -out answer 2>openssl.log
openssl ts -reply -in answer -token_out -out token 2>openssl.log
openssl cms -inform DER -in token -verify -noverify -certfile tsa.pem -out info 2>openssl.log
time=$(openssl asn1parse -inform DER -in info | sed -n 's/.*GENERALIZEDTIME *://p')
tools/bin/python probe.py "$time" >seen
diff expected seen
cat seen
