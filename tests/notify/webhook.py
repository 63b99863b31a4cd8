"""A receiver of webhooks. Each request becomes a line of JSON in the file RECORD: its path, headers and body, and whether the signature is
good in the eyes of the library of Standard Webhooks (`standardwebhooks`).

webhook.py RECORD PORT [--secret WHSEC] [--certificate FILE --key FILE]

The path says how it answers: /broken with 503, /moved with a redirect to /ok, and everything else with 204. It ends when its standard input
does."""

import argparse
import http.server
import json
import os
import ssl
import sys
import threading

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

parser = argparse.ArgumentParser()
parser.add_argument("record")
parser.add_argument("port", type=int)
parser.add_argument("--secret")
parser.add_argument("--certificate")
parser.add_argument("--key")
options = parser.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        verified = None
        if options.secret:
            try:
                Webhook(options.secret).verify(body, {k.lower(): v for k, v in self.headers.items()})
                verified = True
            except WebhookVerificationError as error:
                verified = str(error)
        self.record({"path": self.path, "headers": dict(self.headers), "verified": verified, "body": json.loads(body)})
        if self.path == "/broken":
            self.send_response(503)
        elif self.path == "/moved":
            self.send_response(307)
            self.send_header("Location", "/ok")
        else:
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.record({"path": self.path})
        self.send_response(204)
        self.end_headers()

    def record(self, line):
        with open(options.record, "a") as record:
            record.write(json.dumps(line) + "\n")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
if options.certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
