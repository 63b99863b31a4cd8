#!/usr/bin/env python3
"""Protects the captured `ir_pbm_p256.der` anew with PBMAC1 (RFC 8018 §7.1, RFC 9481 §6.1.2), by Python's own PBKDF2 and HMAC.

Needs nothing but the standard library. OpenSSL 3.0 sends no PBMAC1 in CMP, so this is the stranger here.
"""
import hashlib
import hmac
import pathlib

HERE = pathlib.Path(__file__).parent
SECRET = b"correct-horse"
OIDS = {
    "pbmac1": "2a864886f70d01050e",
    "pbkdf2": "2a864886f70d01050c",
    "sha1": "2a864886f70d0207",
    "sha256": "2a864886f70d0209",
    "sha384": "2a864886f70d020a",
    "sha512": "2a864886f70d020b",
}


def tlv(tag, *parts):
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def elements(data):
    while data:
        length, head = data[1], 2
        if length > 127:
            head += length & 127
            length = int.from_bytes(data[2:head], "big")
        yield data[0], data[head : head + length], data[: head + length]
        data = data[head + length :]


def oid(name):
    return tlv(6, bytes.fromhex(OIDS[name]))


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def protect(name, prf, mac, count, length, salt):
    (_, message, _), = elements((HERE / "ir_pbm_p256.der").read_bytes())
    (_, header, _), (_, _, body) = list(elements(message))[:2]
    # A prf that is the default, HMAC-SHA1, is absent in DER, and so is a keyLength that nobody states.
    kdf = [tlv(4, salt), integer(count)]
    kdf += [integer(length)] if length else []
    kdf += [] if prf == "sha1" else [tlv(0x30, oid(prf), tlv(5))]
    parameters = tlv(
        0x30,
        tlv(0x30, oid("pbkdf2"), tlv(0x30, *kdf)),
        tlv(0x30, oid(mac), tlv(5)),
    )
    algorithm = tlv(0xA1, tlv(0x30, oid("pbmac1"), parameters))
    header = tlv(0x30, *(algorithm if tag == 0xA1 else whole for tag, _, whole in elements(header)))
    size = length or hashlib.new(mac).digest_size
    key = hashlib.pbkdf2_hmac(prf, SECRET, salt, count, size)
    value = hmac.new(key, tlv(0x30, header, body), mac).digest()
    protection = tlv(0xA0, tlv(3, b"\0", value))
    (HERE / name).write_bytes(tlv(0x30, header, body, protection))


protect("ir_pbmac1_sha256.der", "sha256", "sha256", 2048, 32, bytes(range(16)))
protect("ir_pbmac1_sha512.der", "sha512", "sha512", 100_000, None, bytes(range(64)))
protect("ir_pbmac1_sha1.der", "sha1", "sha384", 100, 20, b"saltsalt")
