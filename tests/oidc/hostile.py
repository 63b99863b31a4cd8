"""An issuer that does as it is told, over TLS: the code that it is given says which ID token it answers with. It uses the JOSE of nobody: the
standard library and `cryptography`.

    python3 hostile.py CERTIFICATE KEY     prints the issuer's URL
"""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    # Published once /rotate was asked for.
    "next": rsa.generate_private_key(65537, 2048),
    # Never published.
    "stranger": rsa.generate_private_key(65537, 2048),
}
STATE = {"published": ["rsa", "ec"], "jwks": 0, "codes": 0}


def jwk(kid):
    public = KEYS[kid].public_key().public_numbers()
    if isinstance(public, rsa.RSAPublicNumbers):
        return {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": number(public.n), "e": number(public.e)}
    return {"kty": "EC", "kid": kid, "use": "sig", "crv": "P-256", "x": number(public.x, 32), "y": number(public.y, 32)}


def sign(algorithm, key, text):
    if algorithm == "RS256":
        return KEYS[key].sign(text, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "ES256":
        r, s = decode_dss_signature(KEYS[key].sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if algorithm == "HS256":
        # The classic confusion: the public key, as it is published, taken for a secret.
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        secret = KEYS[key].public_key().public_bytes(serialization.Encoding.PEM, form)
        return hmac.new(secret, text, hashlib.sha256).digest()
    return b""


class Issuer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = self.server.url
        if self.path == "/keys":
            STATE["jwks"] += 1
            # A key of a kind that nobody knows stands among the others.
            self.answer({"keys": [{"kty": "XYZ", "kid": "odd"}] + [jwk(kid) for kid in STATE["published"]]})
        elif self.path == "/rotate":
            STATE["published"].append("next")
            self.answer({})
        elif self.path == "/asked":
            self.answer(STATE["jwks"])
        elif self.path == "/exchanged":
            self.answer(STATE["codes"])
        elif self.path.endswith("/.well-known/openid-configuration"):
            path = self.path[: -len("/.well-known/openid-configuration")]
            own = {"issuer": url + path, "authorization_endpoint": url + "/auth?tenant=1", "token_endpoint": url + "/token"}
            own |= {"jwks_uri": url + "/keys", "authorization_response_iss_parameter_supported": True}
            if path == "/other":
                own["issuer"] = url
            if path == "/plain":
                own["token_endpoint"] = "http://id.example.net/token"
            if path == "/weak":
                own["code_challenge_methods_supported"] = ["plain"]
            self.answer(own)
        else:
            self.answer({"error": "no such path"}, 404)

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in urllib.parse.parse_qs(form).items()}
        STATE["codes"] += 1
        told = json.loads(base64.urlsafe_b64decode(form["code"] + "=="))
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge != told["challenge"] or form["grant_type"] != "authorization_code":
            return self.answer({"error": "invalid_grant"}, 400)
        if "raw" in told:
            return self.answer({"id_token": told["raw"]})
        if "large" in told:
            return self.answer({"id_token": "x" * told["large"]})
        now = int(time.time())
        claims = {"iss": self.server.url, "sub": "eve.operators", "groups": ["operators"], "aud": "countersign"}
        claims |= {"iat": now, "exp": now + 60} | told["claims"]
        for key in [key for key, value in claims.items() if value is None]:
            del claims[key]
        header = {"alg": told.get("alg", "RS256"), "kid": told.get("kid", "rsa"), "typ": "JWT"} | told.get("header", {})
        for key in [key for key, value in header.items() if value is None]:
            del header[key]
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        signature = sign(header["alg"], told.get("key", "rsa"), text.encode())
        if told.get("damaged"):
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        return self.answer({"access_token": "none", "token_type": "Bearer", "id_token": text + "." + b64(signature)})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.url = f"https://localhost:{server.server_address[1]}"
print(server.url, flush=True)
# It ends with whoever started it.
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
