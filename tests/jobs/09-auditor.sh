#!/usr/bin/env bash
# An auditor asks who did what, and believes nobody: she looks from her own machine, can change nothing, and computes the journal's hash tree herself.
#
# Commands: 12
# Checks: curl over the API: she sees accounts and administrators, and is refused what changes something. Python's hashlib computes the Merkle tree of
# RFC 9162 over the journal, OpenSSL verifies the signatures of the two heads that she was given, and a changed octet is found by both and by
# `audit verify`. Python's csv finds in the report who revoked.
. "$(dirname "$0")/common.sh"
needs python3 python3
free_port admin_port
configuration "$COUNTERSIGN_DATA/countersign.toml"
cat >> data/countersign.toml <<TOML
[admin]
listen = "127.0.0.1:$admin_port"
TOML
mkdir auditor
countersign init
start
countersign admin add alice --role operator > alice.txt
countersign admin token add alice shell --json | jq -r .token > alice.token
# The server signs a head every second while the journal grows.
wait_for "a signed head" sh -c '"$0" audit export --head > first-head.json 2> said' "$program"

operator
say "at the server: the auditor's access, and a signed head that she keeps"
countersign admin add erika --role auditor > erika.txt
countersign admin token add erika laptop --expires 30d --json | jq -r .token > auditor/token
countersign audit export --head > auditor/head.json
cp data/keys/_audit.pub data/keys/root.crt auditor/
say "days go by: alice works from her own machine"
countersign peer add gw1 --id fqdn:gw1.example.net --json --server "https://127.0.0.1:$admin_port" --token-file alice.token --server-ca data/keys/root.crt > gw1.json
enrol gw1
countersign cert revoke --account gw1 --all --reason keyCompromise --server "https://127.0.0.1:$admin_port" --token-file alice.token --server-ca data/keys/root.crt
stop
say "the day of the audit"
countersign audit verify --head auditor/head.json
countersign audit report --format csv > auditor/report.csv
countersign audit export --head > auditor/head-today.json
cp data/journal/journal auditor/
check

cat > verify.py <<'PYTHON'
"""Reads a journal, and checks tree heads against it (RFC 9162 §2.1, §4.10)."""
import base64, hashlib, json, struct, subprocess, sys, zlib

octets = open(sys.argv[1], "rb").read()
assert octets[:8] == b"CSJOURNL"
instance, at, leaves = octets[12:28], 32, []
while at + 12 <= len(octets):
    length, checksum, back = struct.unpack_from("<III", octets, at)
    if length == 0xFFFFFFFF:
        break
    payload = octets[at + 12 : at + 12 + length]
    leaves.append(hashlib.sha256(b"\0" + payload).digest())
    at += 12 + length

def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()

for file in sys.argv[2:]:
    head = json.load(open(file))
    assert head["size"] <= len(leaves), f"{file}: the journal has {len(leaves)} entries, and had {head['size']}"
    message = b"countersign journal tree head v1\0" + instance + struct.pack(">QQ", head["at"], head["size"]) + bytes.fromhex(head["root"])
    open("message", "wb").write(message)
    open("signature", "wb").write(base64.b64decode(head["signature"]))
    verified = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "auditor/_audit.pub", "-rawin", "-in", "message", "-sigfile", "signature"]
    subprocess.run(verified, check=True, capture_output=True)
    assert root(leaves[: head["size"]]).hex() == head["root"], f"{file}: the entries are others than those that were signed"
    print(file, head["size"], "entries of", len(leaves))
PYTHON
python3 verify.py auditor/journal auditor/head.json auditor/head-today.json
[ "$(jq .size auditor/head-today.json)" -gt "$(jq .size auditor/head.json)" ] || fail "the second head is not larger"
# Somebody with root's rights changes an entry of the past, its checksum included: the name of the account in it.
python3 - <<'PYTHON'
import struct, zlib
octets = bytearray(open("data/journal/journal", "rb").read())
at, changed = 32, False
while at + 12 <= len(octets):
    length, checksum, back = struct.unpack_from("<III", octets, at)
    if length == 0xFFFFFFFF:
        break
    payload = octets[at + 12 : at + 12 + length]
    if b"alice" in payload and not changed:
        payload, changed = payload.replace(b"alice", b"erika"), True
        octets[at + 12 : at + 12 + length] = payload
        struct.pack_into("<I", octets, at + 4, zlib.crc32(struct.pack("<II", length, back) + payload))
    at += 12 + length
assert changed
open("changed", "wb").write(octets)
PYTHON
! python3 verify.py changed auditor/head-today.json 2> said || fail "a changed entry was not found"
grep -q 'others than those that were signed' said || fail "$(cat said)"
cp data/journal/journal kept
cp changed data/journal/journal
refused 1 countersign audit verify --head auditor/head-today.json
cat refused
cp kept data/journal/journal
countersign audit verify --head auditor/head-today.json
python3 - <<'PYTHON'
import csv
rows = [row for row in csv.DictReader(open("auditor/report.csv", newline="")) if "alice" in row["actor"]]
assert {row["action"] for row in rows} >= {"peer add", "cert revoke"}, rows
assert all("127.0.0.1" in row["actor"] for row in rows), rows
PYTHON
# What she may do over the API.
start
asked() { curl -s --cacert auditor/root.crt -H "Authorization: Bearer $(cat auditor/token)" -o answer -w '%{http_code}' "$@"; }
api=https://127.0.0.1:$admin_port/api/v1
[ "$(asked "$api/accounts")" = 200 ] || fail "$(cat answer)"
jq -e '[.. | .name? // empty] | index("gw1")' answer > /dev/null || fail "$(cat answer)"
[ "$(asked "$api/administrators")" = 200 ] || fail "$(cat answer)"
jq -e '[.. | .name? // empty] | index("alice") and index("erika")' answer > /dev/null || fail "$(cat answer)"
json='Content-Type: application/json'
[ "$(asked "$api/accounts" -H "$json" -d '{"accounts":[{"name":"gw9","ids":["fqdn:gw9.example.net"],"profile":"gateway"}]}')" = 403 ] || fail "she adds accounts: $(cat answer)"
[ "$(asked "$api/accounts/gw1" -X DELETE)" = 403 ] || fail "she removes accounts: $(cat answer)"
[ "$(asked "$api/crls" -H "$json" -d '{}')" = 403 ] || fail "she signs CRLs: $(cat answer)"
countersign peer show gw1 > /dev/null
say "the journal is what was signed, and she has changed nothing"
