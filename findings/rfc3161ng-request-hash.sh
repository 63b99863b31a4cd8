#!/usr/bin/env bash
# rfc3161ng 2.1.3 (PyPI), `make_timestamp_request` and `check_timestamp`: the hash of a request, and answers signed with ECDSA.
#
# Expected: RFC 3161 §2.4.1: the hash of the data stands beside the algorithm that is named, and has its length. With `data` and `hashname` the
# function makes both. A time-stamping authority signs with any algorithm (RFC 5652 §5.3; RFC 5753 §2 has ECDSA).
# Seen: with `data` the hash is always of SHA-1, whatever `hashname` says: 20 octets under the name of SHA-256. OpenSSL's authority refuses that.
# With `digest` all is well, and `RemoteTimestamper`, which gives both, is right. An ECDSA token is not checked: "takes 3 positional arguments".
# So: hash the data yourself and give `digest`; use an authority with an RSA key.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check rfc3161ng==2.1.3 pyasn1==0.6.5 pyasn1_modules==0.4.2 cryptography==50.0.2 python-dateutil==2.9.0.post0 requests==2.32.5
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
CONFIG
echo 01 >serial
for kind in ec rsa; do
    if [ $kind = ec ]; then options='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1'; else options='-newkey rsa:2048'; fi
    # shellcheck disable=SC2086 # several words
    openssl req -x509 $options -nodes -keyout $kind.key -out $kind.pem -days 30 -config tsa.cnf 2>openssl.log
done
cat >make.py <<'PYTHON'
from hashlib import sha256

from rfc3161ng import encode_timestamp_request, make_timestamp_request

DATA = b"gate\n"
for name, source in [("data", {"data": DATA}), ("digest", {"digest": sha256(DATA).digest()})]:
    request = make_timestamp_request(hashname="sha256", **source)
    imprint = request.getComponentByName("messageImprint")
    print(f"{name}: {len(bytes(imprint.getComponentByName('hashedMessage')))} octets, named {imprint.getComponentByName('hashAlgorithm')[0]}")
    open(f"{name}.tsq", "wb").write(encode_timestamp_request(request))
PYTHON
cat >check.py <<'PYTHON'
import sys

from rfc3161ng import check_timestamp, decode_timestamp_response

token = decode_timestamp_response(open(sys.argv[1], "rb").read()).time_stamp_token
try:
    print(check_timestamp(token, certificate=open(sys.argv[2], "rb").read(), data=b"gate\n", hashname="sha256"))
except TypeError as error:
    print(f"TypeError: {error}")
PYTHON
cat >expected <<'TEXT'
data: 20 octets, named 2.16.840.1.101.3.4.2.1
digest: 32 octets, named 2.16.840.1.101.3.4.2.1
data, rsa: Status: Rejected. Failure info: the data submitted has the wrong format
data, ec: Status: Rejected. Failure info: the data submitted has the wrong format
digest, rsa: Status: Granted. Failure info: unspecified
digest, ec: Status: Granted. Failure info: unspecified
check of rsa: True
check of ec: TypeError: ECPublicKey.verify() takes 3 positional arguments but 4 were given
TEXT
{
    tools/bin/python make.py
    for request in data digest; do
        for kind in rsa ec; do
            openssl ts -reply -config tsa.cnf -queryfile $request.tsq -signer $kind.pem -inkey $kind.key -out $request-$kind.tsr >openssl.log 2>&1
            echo "$request, $kind: $(openssl ts -reply -config tsa.cnf -in $request-$kind.tsr -text 2>openssl.log | sed -n '2p;/^Failure info/p' | paste -sd ' ')"
        done
    done
    for kind in rsa ec; do
        echo "check of $kind: $(tools/bin/python check.py digest-$kind.tsr $kind.pem)"
    done
} >seen
diff expected seen
cat seen
