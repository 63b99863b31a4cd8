"""An LDAP server that refuses every bind, with words that would be a header of a mail and a line of a log.

liar.py PORT

It ends when its standard input does."""

import os
import socketserver
import sys
import threading

WORDS = b"no\r\nBcc: everybody@example.net\r\nSubject: all is well\r\n\r\n\x1b[2Jall is well\xe2\x80\xae"


def element(tag, content):
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while request := self.request.recv(65536):
            # The messageID, a small INTEGER, follows the head of the LDAPMessage (RFC 4511 §4.1.1).
            at = 2 if request[1] < 128 else 2 + (request[1] & 127)
            number = request[at : at + 2 + request[at + 1]]
            result = element(0x0A, b"\x31") + element(0x04, b"") + element(0x04, WORDS)
            self.request.sendall(element(0x30, number + element(0x61, result)))


server = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
