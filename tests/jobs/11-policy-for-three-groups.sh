#!/usr/bin/env bash
# Three groups of gateways, one policy: branches reach the networks 10.0.0.0/8, partners one host by HTTPS, administrators everything. Nobody else comes in.
#
# Commands: 11
# Before: berlin and bonn (branches), acme (a partner), root1 (an administrator) and guest (of no group) have enrolled.
# Checks: a program in Python, which is no part of Countersign, asks the authorizer over its socket as an IKE daemon would, with chains in DER that OpenSSL
# made, and compares each answer with what `ipaddress` computes from a table. strongSwan's pki verifies the certificates whose names decide. A revoked
# branch is refused at once, and a partner who claims a branch's name, too.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
needs python3 python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
countersign init --root-subject 'CN=Example root CA' --subject 'CN=Example issuing CA'
cat > names <<TEXT
berlin berlin.branch.example.net
bonn bonn.branch.example.net
acme acme.partner.example.net
root1 root1.admin.example.net
guest guest.example.net
TEXT

operator
cat > gateways.policy <<'POLICY'
KeyNote-Version: 2
Comment: who has a certificate of ours comes as far as the conditions of its group
Authorizer: "POLICY"
Licensees: "DN:/CN=Example root CA"
Conditions: app_domain == "IPsec policy" && remote_id_type == "FQDN" -> {
    remote_filter_type == "" && remote_id ~= "\\.(branch|partner|admin)\\.example\\.net$" -> "true";
    esp_present == "yes" && remote_id ~= "\\.branch\\.example\\.net$"
        && local_filter_addr_lower >= "010.000.000.000" && local_filter_addr_upper <= "010.255.255.255" -> "true";
    esp_present == "yes" && remote_id ~= "\\.partner\\.example\\.net$" && local_filter_proto == "tcp" && local_filter_port == "443"
        && local_filter_addr_lower == "010.009.000.005" && local_filter_addr_upper == "010.009.000.005" -> "true";
    esp_present == "yes" && remote_id ~= "\\.admin\\.example\\.net$" -> "true";
    };
POLICY
cat > cases.toml <<'TOML'
policy = ["gateways.policy"]
requesters = ["DN:/CN=Example root CA"]
[attributes]
app_domain = "IPsec policy"
remote_id_type = "FQDN"
[[case]]
name = "a branch is let in"
attributes = { remote_id = "berlin.branch.example.net" }
expect = "true"
[[case]]
name = "a branch beyond its networks"
attributes = { remote_id = "berlin.branch.example.net", esp_present = "yes", remote_filter_type = "IPv4 subnet", local_filter_addr_lower = "000.000.000.000", local_filter_addr_upper = "255.255.255.255" }
expect = "false"
[[case]]
name = "a partner by another port"
attributes = { remote_id = "acme.partner.example.net", esp_present = "yes", remote_filter_type = "IPv4 address", local_filter_addr_lower = "010.009.000.005", local_filter_addr_upper = "010.009.000.005", local_filter_proto = "tcp", local_filter_port = "22" }
expect = "false"
[[case]]
name = "nobody's name"
attributes = { remote_id = "guest.example.net" }
expect = "false"
TOML
countersign policy lint gateways.policy
countersign policy test cases.toml
cat >> data/countersign.toml <<TOML
[authorizer]
serve = true
socket = "$job/authorizer.sock"
policy = ["$job/gateways.policy"]
TOML
countersign config check
start
while read -r name identity; do countersign peer add "$name" --id "fqdn:$identity" --json > "$name.json" && enrol "$name"; done < names
countersign authorizer ask --peer fqdn:berlin.branch.example.net
refused 4 countersign authorizer ask --peer fqdn:guest.example.net
countersign decision list --denied
check

while read -r name identity; do
  pki --verify --in "$name/$name.crt" --cacert data/keys/root.crt --cacert data/keys/issuing.crt > pki.txt 2>&1 || fail "$(cat pki.txt)"
  openssl x509 -in "$name/$name.crt" -noout -checkhost "$identity" | grep -q 'does match' || fail "$name has not the name $identity"
  openssl x509 -in "$name/$name.crt" -outform DER -out "$name.der"
done < names
openssl x509 -in data/keys/issuing.crt -outform DER -out issuing.der
cat > daemon.py <<'PYTHON'
"""Asks as an IKE daemon does, and compares the answers with the table of the groups."""
import base64, ipaddress, itertools, json, socket, sys

names = dict(line.split() for line in open("names"))
everywhere = ipaddress.ip_network("0.0.0.0/0")
allowed = {"branch": (ipaddress.ip_network("10.0.0.0/8"), None), "partner": (ipaddress.ip_network("10.9.0.5/32"), (6, 443)), "admin": (everywhere, None)}
lines = socket.socket(socket.AF_UNIX)
lines.connect("authorizer.sock")
lines = lines.makefile("rw")

def b64(octets):
    return base64.b64encode(octets).decode()

def ask(holder, identity, network=None, protocol=0, port=None):
    chain = [b64(open(file, "rb").read()) for file in (f"{holder}.der", "issuing.der")]
    end = lambda address, name: {"address": address, "port": 500, "id": {"type": 2, "data": b64(name.encode())}}
    question = {"v": 1, "id": "q", "timeout_ms": 60000, "daemon": "python", "ike": 2, "mode": "ike_sa", "role": "responder", "auth": "cert",
                "local": end("192.0.2.1", "head.example.net"), "remote": end("192.0.2.99", identity), "chain": chain}
    if network is not None:
        ours = {"from": str(network[0]), "to": str(network[-1]), "protocol": protocol}
        if port is not None:
            ours.update(from_port=port, to_port=port)
        question["child"] = {"role": "responder", "mode": "tunnel", "local": [ours], "remote": [{"from": "172.16.0.0", "to": "172.16.0.255"}],
                             "proposal": {"protocol": "esp", "encryption": 20, "key_length": 256}}
    lines.write(json.dumps(question) + "\n")
    lines.flush()
    return json.loads(lines.readline())

def expected(identity, network, protocol, port):
    group = allowed.get(identity.split(".")[1])
    if group is None:
        return False
    if network is None:
        return True
    bound, service = group
    return network.subnet_of(bound) and service in (None, (protocol, port))

revoked, count = set(sys.argv[1:]), {True: 0, False: 0}
networks = [None] + [ipaddress.ip_network(text) for text in ("10.1.0.0/16", "10.9.0.5/32", "10.9.0.0/24", "192.168.7.0/24", "0.0.0.0/0", "10.0.0.0/8")]
for (name, identity), network, (protocol, port) in itertools.product(names.items(), networks, [(0, None), (6, 443), (6, 22)]):
    answer = ask(name, identity, network, protocol, port)
    right = name not in revoked and expected(identity, network, protocol, port)
    assert answer["decision"] == ("allow" if right else "deny"), (name, str(network), protocol, port, answer)
    if name in revoked:
        assert answer["step"] == "status", answer
    count[right] += 1
# A name that is not in the certificate is nobody's.
for name, claimed in ("acme", "berlin"), ("guest", "root1"):
    answer = ask(name, names[claimed])
    assert (answer["decision"], answer["step"]) == ("deny", "identity"), answer
print(count[True], "allowed,", count[False], "refused, all as the table says")
PYTHON
python3 daemon.py
countersign cert revoke --account bonn --all > revoked.txt
python3 daemon.py bonn
