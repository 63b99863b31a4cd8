#!/usr/bin/python3
"""Checks a journal of Countersign, as docs/audit.md describes it and without the program's code.

check.py DATA KEY [HEAD-OR-PROOF.json ...]: DATA holds `journal` and `heads`; KEY is `_audit.pub`; the further files are what `audit export --head` and `audit
proof --format json` printed. Prints what was verified, or `refused: WHY` with the exit code 1.
"""
import base64, hashlib, io, json, struct, sys, zlib
from datetime import timezone
import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

T, O, U, M, B = str, bytes, int, int, bool  # the letters of the page
ACCOUNT = [T, list, T, T, list, M, U, list, list, T, T, B]
KINDS = {  # kind: (types of the fields, how many must be there)
    1: ([T, B, O, list, list], 4), 2: ([T, O, O], 2), 3: ([T, O, T, T, M, O, B, list, O, U, B, B, B, U], 7), 4: ([O], 1),
    5: ([T, O, M, U, M, list, B], 4), 6: ([T, O], 2), 7: ([T, U, M, M, U, O, U, B, M, U, O], 6), 8: ([list], 1), 9: (ACCOUNT, 6), 10: ([T], 1),
    11: ([T, M], 2), 12: ([T, T, T], 3), 13: ([T, T], 2), 20: ([list, O, O, list, list, M, M, T, T, O, B], 9), 21: ([O, U, T, T], 3),
    22: ([O, list], 2), 23: ([O, T, T, T], 3), 30: ([T, T, list, list, T, list, M], 7), 31: ([T], 1), 40: ([T, O, B], 3), 41: ([T], 1),
    42: ([T, O, M, U, M, M, U], 6), 50: ([T, U], 2), 54: ([T, T, U, T], 3),
    60: ([T, list, list, M, list], 4), 61: ([T], 1)}
OPTIONAL = {1: {4}, 3: {7, 8, 9, 10, 11, 12, 13}, 5: {4, 5, 6}, 2: {2}, 7: {6, 7, 8, 9, 10}, 9: {3, 4, 6, 7, 8, 9, 10, 11}, 20: {2, 5, 6, 9, 10}, 21: {3}, 23: {3},
            30: {4}, 42: {4, 6}, 54: {3}, 60: {4}}

def need(holds, why):
    if not holds:
        raise ValueError(why)

def cbor(octets):
    stream = io.BytesIO(octets)
    item = cbor2.CBORDecoder(stream).decode()
    need(stream.tell() == len(octets) and cbor2.dumps(item) == octets, "CBOR with something behind it, or in another form")
    return item

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", root(leaves[:left]), root(leaves[left:]))

def fields(kind, body):
    need(kind in KINDS, f"kind {kind} is not known: a newer program wrote it")
    types, least = KINDS[kind]
    need(least <= len(body) <= len(types), f"{len(body)} fields")
    for at, (value, of) in enumerate(zip(body, types)):
        need(type(value) is of or (value is None and at in OPTIONAL.get(kind, ())), f"field {at} is {value!r}")

class Checker:
    def __init__(self, octets):
        need(octets[:8] == b"CSJOURNL" and struct.unpack("<I", octets[8:12]) == (1,), "no journal of version 1")
        need(struct.unpack("<I", octets[28:32]) == (zlib.crc32(octets[:28]),), "the header's checksum is wrong")
        self.instance, self.leaves, self.last = octets[12:28], [], None
        self.serials, self.accounts, self.cas, self.crls = {}, set(), {}, {}
        at = group = 32
        while at < len(octets) and octets[at:].strip(b"\xff"):
            need(at + 12 <= len(octets), "the file ends within a frame")
            length, crc, back = struct.unpack("<III", octets[at:at + 12])
            payload = octets[at + 12:at + 12 + length]
            need(1 <= length == len(payload) <= 16777216, f"entry {len(self.leaves)}: no frame")
            need(zlib.crc32(struct.pack("<II", length, back) + payload) == crc, f"entry {len(self.leaves)}: its checksum is wrong")
            group = at if back == 0 else group
            need(at - group == back, f"entry {len(self.leaves)}: it is not of this group")
            try:
                self.entry(*cbor(payload))
            except Exception as why:
                raise ValueError(f"entry {len(self.leaves)}: {why}")
            self.leaves.append(sha(b"\0", payload))
            at += 12 + length

    def entry(self, version, sequence, time, kind, body):
        need((version, sequence) == (1, len(self.leaves)), f"version {version} and number {sequence}")
        fields(kind, body)
        need(self.last is None or time >= self.last or kind == 41, "its time is before that of the entry before")
        self.last = time
        if kind == 1:
            self.cas[body[0]] = x509.load_der_x509_certificate(body[2])
        elif kind == 2:
            large = (body + [None])[2] or b""
            need((body[1] or large) and len(body[1]) % 16 == len(large) % 20 == 0, "serial numbers of other lengths")
            parts = [(body[1], 16), (large, 20)]
            for serial in (all_[n:n + size] for all_, size in parts for n in range(0, len(all_), size)):
                need((body[0], serial) not in self.serials, "a serial number was reserved before")
                self.serials[body[0], serial] = 2
        elif kind == 3:
            need(self.serials.get((body[0], body[1])) == 2, "its serial number was not reserved, or issued before")
            need(body[2] in self.accounts or body[2].startswith("_"), f"there is no account {body[2]}")
            self.serials[body[0], body[1]] = 3
            self.certificate(*(body[n] for n in (0, 1, 4, 5)))
        elif kind in (5, 6):
            need(self.serials.get((body[0], body[1])) == 3, "no certificate has this serial number")
        elif kind == 7:
            scope = (body[0], (body + [0] * 4)[6] or 0)
            need(body[1] > self.crls.get(scope, -1), "the CRL's number does not rise")
            self.crls[scope] = body[1]
        elif kind in (8, 9, 10, 13):
            for account in {8: body[0], 9: [body]}.get(kind, []):
                fields(9, account)
                need((account[0] in self.accounts) == (kind == 9), f"the account {account[0]} is there already, or is not there")
                self.accounts.add(account[0])
            if kind in (10, 13):
                need(body[0] in self.accounts and body[-1] not in self.accounts - {body[0]}, f"there is no account {body[0]}, or {body[-1]} is taken")
                self.accounts = self.accounts - {body[0]} | set(body[1:])

    def certificate(self, ca, serial, not_after, der):
        read, issuer = x509.load_der_x509_certificate(der), self.cas[ca].public_key()
        need(read.serial_number == int.from_bytes(serial, "big"), "the certificate has another serial number")
        need(read.not_valid_after.replace(tzinfo=timezone.utc).timestamp() == not_after // 1000, "the certificate has another notAfter")
        how = [padding.PKCS1v15(), read.signature_hash_algorithm] if isinstance(issuer, rsa.RSAPublicKey) else []
        how = [ec.ECDSA(read.signature_hash_algorithm)] if isinstance(issuer, ec.EllipticCurvePublicKey) else how
        issuer.verify(read.signature, read.tbs_certificate_bytes, *how)

    def head(self, key, size, of, time, signature):
        message = b"countersign journal tree head v1\0" + self.instance + struct.pack(">qQ", time, size) + of
        need(size <= len(self.leaves), f"the head has seen {size} entries, and there are {len(self.leaves)}")
        need(root(self.leaves[:size]) == of, f"the head over {size} entries has another root")
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise ValueError(f"the signature of the head over {size} entries is wrong")

    def proof(self, said):
        path, size = [bytes.fromhex(step) for step in said["path"]], said.get("size", said.get("new"))
        need(size <= len(self.leaves), "the proof is about more entries than there are")
        if "entry" in said:
            node, last, hashes = said["entry"], size - 1, [bytes.fromhex(said["leaf"])]
            need(node <= last and hashes[0] == self.leaves[node], "the leaf of the proof is not the entry")
            ends = [bytes.fromhex(said["root"])]
        else:
            old, ends = said["old"], [bytes.fromhex(said[name]) for name in ("old_root", "new_root")]
            need(0 < old <= size and root(self.leaves[:old]) == ends[0], "the old root of the proof is not the journal's")
            if old == size:
                return need(not path and ends[0] == ends[1], "the proof is too long")
            path = path if old & (old - 1) else [ends[0]] + path
            node, last, hashes, path = old - 1, size - 1, [path[0]] * 2, path[1:]
            while node & 1:
                node, last = node >> 1, last >> 1
        need(root(self.leaves[:size]) == ends[-1], "the root of the proof is not the journal's")
        for step in path:
            need(last > 0, "the proof is too long")
            if node & 1 or node == last:
                hashes = [sha(b"\1", step, have) for have in hashes]
                while not node & 1 and node:
                    node, last = node >> 1, last >> 1
            else:
                hashes[-1] = sha(b"\1", hashes[-1], step)
            node, last = node >> 1, last >> 1
        need(last == 0 and hashes == ends, "the proof does not lead to the root")

def run(data, key, *more):
    with open(f"{data}/heads", "rb") as heads, open(f"{data}/journal", "rb") as journal, open(key, "rb") as pem:
        heads, key, checker = heads.read(), load_pem_public_key(pem.read()), Checker(journal.read())
    at = count = 0
    while at < len(heads):
        need(at + 6 <= len(heads), "the file of heads ends within a record")
        length, crc = struct.unpack("<HI", heads[at:at + 6])
        head = heads[at + 6:at + 6 + length]
        need(len(head) == length and zlib.crc32(head) == crc, "a record of the file of heads is damaged")
        checker.head(key, *cbor(head))
        at, count = at + 6 + length, count + 1
    for name in more:
        with open(name) as file:
            said = json.load(file)
        if "signature" in said:
            checker.head(key, said["size"], bytes.fromhex(said["root"]), said["at"], base64.b64decode(said["signature"]))
        else:
            checker.proof(said)
    print(f"good: {len(checker.leaves)} entries, {count} heads, {len(more)} files, root {root(checker.leaves).hex()}")

if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except Exception as why:
        sys.exit(f"refused: {why}")
