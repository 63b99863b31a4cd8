"""A mail server (aiosmtpd). Each mail becomes a line of JSON in the file RECORD: who gets it, its headers as Python's parser of mail sees
them, its text, whether TLS was in use, and the user.

smtp.py RECORD PORT none|starttls|tls [--certificate FILE --key FILE] [--password PASSWORD]

With a password, the user `pki` must log in with it. It ends when its standard input does."""

import argparse
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("record")
parser.add_argument("port", type=int)
parser.add_argument("tls")
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--password")
options = parser.parse_args()


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "text": mail.get_content(),
            "tls": session.ssl is not None or options.tls == "tls",
            "user": getattr(session, "user", None),
            "raw": envelope.original_content.decode("latin-1"),
        }
        with open(options.record, "a") as record:
            record.write(json.dumps(line) + "\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"pki" and data.password == options.password.encode()
    if good:
        session.user = "pki"
    return AuthResult(success=good, handled=good)


context = None
if options.certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
settings = {}
if options.password:
    settings.update(authenticator=authenticate, auth_required=True, auth_require_tls=options.tls == "starttls")
if options.tls == "starttls":
    settings.update(tls_context=context, require_starttls=True)
over_tls = context if options.tls == "tls" else None
Controller(Handler(), hostname="127.0.0.1", port=options.port, ssl_context=over_tls, **settings).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
