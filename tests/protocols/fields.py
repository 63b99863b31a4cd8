"""Prints each certificate's fields as JSON, as the `cryptography` package reads them: a list of objects in the order of the files."""
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def fields(path):
    with open(path, "rb") as file:
        one = x509.load_der_x509_certificate(file.read())
    names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {
        "version": one.version.name,
        "serial": f"{one.serial_number:x}",
        "signature algorithm": one.signature_algorithm_oid.dotted_string,
        "issuer": one.issuer.public_bytes().hex(),
        "subject": one.subject.rfc4514_string(),
        "validity in seconds": (one.not_valid_after - one.not_valid_before).total_seconds(),
        "key": one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
        "names": [f"{type(name).__name__}:{name.value}" for name in names],
        "extensions": [
            [extension.oid.dotted_string, extension.critical, extension.value.public_bytes().hex()]
            for extension in one.extensions
        ],
    }


print(json.dumps([fields(path) for path in sys.argv[1:]]))
