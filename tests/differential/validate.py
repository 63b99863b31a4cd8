"""Asks pyhanko-certvalidator about every case of a folder, and prints a line for each: validator, case, verdict, reason."""

import asyncio
import datetime
import logging
import pathlib
import sys

from asn1crypto import crl, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.policy_decl import PKIXValidationParams


def numbered(folder, name):
    number = 0
    while (file := folder / f"{name}{number}.der").exists():
        yield file.read_bytes()
        number += 1


def validate(folder):
    moment, wanted, policies = None, {}, set()
    for line in (folder / "settings").read_text().splitlines():
        match line.split(" "):
            case ["moment", seconds]:
                moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
            case ["explicit-policy"]:
                wanted["initial_explicit_policy"] = True
            case ["inhibit-any"]:
                wanted["initial_any_policy_inhibit"] = True
            case ["inhibit-mapping"]:
                wanted["initial_policy_mapping_inhibit"] = True
            case ["policy", oid]:
                policies.add(oid)
            case ["purpose", _]:
                pass
            case _:
                raise ValueError(f"unknown setting {line}")
    if policies:
        wanted["user_initial_policy_set"] = frozenset(policies)
    read = x509.Certificate.load
    intermediates = [read(der) for der in numbered(folder, "ca")]
    context = ValidationContext(
        trust_roots=[read((folder / "root.der").read_bytes())],
        moment=moment,
        crls=[crl.CertificateList.load(der) for der in numbered(folder, "crl")],
        revocation_mode="require",
        time_tolerance=datetime.timedelta(0),
    )
    validator = CertificateValidator(
        read((folder / "leaf.der").read_bytes()), intermediates, validation_context=context,
        pkix_params=PKIXValidationParams(**wanted),
    )
    asyncio.run(validator.async_validate_path())


logging.disable(logging.CRITICAL)
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    verdict, reason = "accepts", ""
    try:
        validate(folder)
    except Exception as error:  # whatever it is, it does not accept
        verdict, reason = "refuses", " ".join(f"{type(error).__name__}: {error}".split())
    print("pyhanko", folder.name, verdict, reason, sep="\t", flush=True)
