#!/usr/bin/env bash
# A colleague who knows the passphrase leaves: all keys get another one.
#
# Commands: 8
# Checks: OpenSSL and Python's cryptography open every key with the new passphrase, none with the old one, and each is the key that it was; the
# server starts, and OpenSSL's CMP client enrols.
. "$(dirname "$0")/common.sh"
needs python3-cryptography /usr/bin/python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
countersign init
mv data/passphrase old
export COUNTERSIGN_PASSPHRASE_FILE=$job/old
start
countersign peer add gw1 --id fqdn:gw1.example.net --json > gw1.json
mkdir before
cp data/keys/* before/
# Each key in the folder $1 opens with the passphrase in the file $2, and is the key that it was; with the one in $3 none opens.
# OpenSSL 3.0 reads no Ed25519 key that has its public half beside it (RFC 5958): of the key that signs the journal, its cryptography alone is used.
cat > opens.py <<'PYTHON'
import hashlib, pathlib, re, subprocess, sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

def decrypted(file, words):
    shown = subprocess.run(["openssl", "asn1parse", "-in", file], check=True, capture_output=True, text=True).stdout
    salt, iv, content = map(bytes.fromhex, re.findall(r"OCTET STRING +\[HEX DUMP\]:(\w+)", shown))
    n, r, p = (int(value, 16) for value in re.findall(r"INTEGER +:(\w+)", shown))
    key = hashlib.scrypt(words, salt=salt, n=n, r=r, p=p, maxmem=1 << 28, dklen=32)
    padded = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = padded.update(content) + padded.finalize()
    remover = PKCS7(128).unpadder()
    return remover.update(padded) + remover.finalize()

def public(file, words):
    if file.name != "_audit.key":
        return load_pem_private_key(file.read_bytes(), words).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = load_pem_public_key(pathlib.Path("before/_audit.pub").read_bytes())
    if not decrypted(file, words).endswith(known.public_bytes(Encoding.Raw, PublicFormat.Raw)):
        raise ValueError(file)
    return known.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

def known(name):
    for file, read in (f"before/{name}.crt", load_pem_x509_certificate), (f"before/{name}.pub", load_pem_public_key):
        if pathlib.Path(file).exists():
            key = read(pathlib.Path(file).read_bytes())
            return (key.public_key() if hasattr(key, "public_key") else key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

words = [open(name, "rb").read().rstrip(b"\n") for name in sys.argv[2:]]
keys = sorted(pathlib.Path(sys.argv[1]).glob("*.key"))
for file in keys:
    assert public(file, words[0]) == known(file.stem), file
    try:
        public(file, words[1])
    except ValueError:
        continue
    raise SystemExit(f"{file} opens with the other passphrase")
print(len(keys), "keys in", sys.argv[1])
PYTHON
echo wrong > wrong
/usr/bin/python3 opens.py before old wrong

operator
stop
head -c 30 /dev/urandom | base64 > new
countersign passphrase change --passphrase-file old --new-passphrase-file new
refused 4 countersign serve --passphrase-file old
export COUNTERSIGN_PASSPHRASE_FILE=$job/new
start
countersign backup elsewhere/backup
countersign status
check

grep -qi passphrase refused || fail "the refusal says nothing of the passphrase: $(cat refused)"
for folder in data/keys elsewhere/backup/keys; do
  /usr/bin/python3 opens.py "$folder" new old
  [ "$(ls "$folder")" = "$(ls before)" ] || fail "$folder has other files: $(ls "$folder")"
done
for ca in root issuing; do
  openssl pkey -in "data/keys/$ca.key" -passin file:new -noout || fail "OpenSSL does not open $ca.key"
  ! openssl pkey -in "data/keys/$ca.key" -passin file:old -noout 2> openssl.txt || fail "OpenSSL opens $ca.key with the old passphrase"
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out gw1.key
openssl cmp -cmd ir -server "127.0.0.1:$http_port" -path .well-known/cmp -ref "$(jq -r .reference gw1.json)" -secret "pass:$(jq -r .secret gw1.json)" \
  -newkey gw1.key -trusted data/keys/root.crt -certout gw1.crt
openssl verify -CAfile data/keys/root.crt -untrusted data/keys/issuing.crt gw1.crt
say "the old passphrase opens nothing, and the secret of before still enrols"
