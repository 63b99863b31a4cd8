"""An EST server of Python's standard library and `cryptography`. Each label answers in another form that RFC 7030 or a server in use has.

Arguments: the root's certificate and key, the server's certificate and key, user and password. It prints its port.
"""

import base64
import datetime
import email.utils
import http.server
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7

ROOT, ROOT_KEY, TLS, TLS_KEY, USER, PASSWORD = sys.argv[1:7]

with open(ROOT, "rb") as file:
    root = x509.load_pem_x509_certificate(file.read())
with open(ROOT_KEY, "rb") as file:
    root_key = serialization.load_pem_private_key(file.read(), None)

lock = threading.Lock()
# What came to each label: the requests, as they were sent.
seen = {}


def issue(request, key=None):
    now = datetime.datetime.utcnow()
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(root.subject)
        .public_key(key or request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(root_key, hashes.SHA256())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def certificates(self, label, certificates):
        der = pkcs7.serialize_certificates(certificates, serialization.Encoding.DER)
        lines = base64.encodebytes(der).replace(b"\n", b"\r\n")
        kind = "application/pkcs7-mime; smime-type=certs-only"
        encoded = {"Content_Type": kind, "Content_Transfer_Encoding": "base64"}
        if label == "der":
            self.answer(200, der, Content_Type=kind)
        elif label == "pem":
            pem = b"-----BEGIN PKCS7-----\r\n" + lines + b"-----END PKCS7-----\r\n"
            self.answer(200, pem, Content_Type="application/octet-stream")
        elif label == "chunked":
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(lines), 100):
                part = lines[at : at + 100]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer(200, lines, **encoded)

    def split(self):
        parts = self.path.strip("/").split("/")
        assert parts[:2] == [".well-known", "est"], self.path
        return (parts[2], parts[3]) if len(parts) == 4 else ("", parts[2])

    def do_GET(self):
        label, operation = self.split()
        if operation == "cacerts":
            self.certificates(label, [root])
        elif operation == "csrattrs" and label in ("", "date"):
            self.answer(204)
        elif operation == "csrattrs":
            self.answer(404, b"no such page")
        else:
            self.answer(404)

    def do_POST(self):
        label, operation = self.split()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/pkcs10"
        request = x509.load_der_x509_csr(base64.b64decode(body))
        assert request.is_signature_valid
        with lock:
            before = seen.setdefault((label, operation), [])
            before.append(body)
        number = len(before)
        if operation == "simplereenroll":
            presented = self.connection.getpeercert(True)
            if presented is None:
                return self.answer(401, b"a certificate is needed", Content_Type="text/plain")
            subject = x509.load_der_x509_certificate(presented).subject
            if subject != request.subject:
                return self.answer(403, b"another subject", Content_Type="text/plain")
        else:
            expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if self.headers["Authorization"] != expected:
                return self.answer(401, WWW_Authenticate='Basic realm="strangers"')
        if label == "forbidden":
            return self.answer(403, b"your secret ended; call 4711\x1b[2J", Content_Type="text/plain")
        if label == "broken":
            return self.answer(500, b"the database is away", Content_Type="text/plain")
        if label == "moved":
            return self.answer(302, Location="https://localhost:1/")
        if label == "endless":
            self.send_response(200)
            self.send_header("Content-Length", "99999999999")
            self.end_headers()
            self.wfile.write(b"A" * (2 << 20))
            return None
        if label == "page":
            return self.answer(200, b"<html>Welcome</html>", Content_Type="text/html")
        if label == "date" and number == 1:
            then = email.utils.formatdate(datetime.datetime.now().timestamp() + 2, usegmt=True)
            return self.answer(202, b"soon", Retry_After=then)
        if label == "busy" and number == 1:
            return self.answer(503, Retry_After="1")
        if label == "pending":
            return self.answer(202, Retry_After="3600")
        if label == "lost":
            if any(other != body for other in before):
                return self.answer(409, b"this is another request", Content_Type="text/plain")
            if number == 1:
                self.close_connection = True
                return None
        if label == "other":
            return self.certificates(label, [issue(request, ec.generate_private_key(ec.SECP256R1()).public_key())])
        # Some servers put the CA in front.
        both = [root, issue(request)] if label == "chunked" else [issue(request)]
        return self.certificates(label, both)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(TLS, TLS_KEY)
context.load_verify_locations(ROOT)
context.verify_mode = ssl.CERT_OPTIONAL
if len(sys.argv) > 7 and sys.argv[7] == "1.2":
    context.maximum_version = ssl.TLSVersion.TLSv1_2
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
