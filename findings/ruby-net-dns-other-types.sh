#!/usr/bin/env bash
# ruby-net-dns 0.9.1-2 (Debian), `Net::DNS::Packet.parse`: answers with records of types that the library has no class for.
#
# Expected: RFC 3597 §3: a record of a type that is not known is its number and its octets, and the records beside it are read.
# Seen: a type whose name is known (CERT, DS) is missing from the answers, after a line on stderr. A type whose name is not known (IPSECKEY, TLSA, CAA)
# is an ArgumentError, "Unkown type number", and the address beside it is lost with the whole message.
# So: ask by this library for addresses only; a question for ANY is answered with an error where such a record stands.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download ruby-net-dns=0.9.1-2 ruby3.1 libruby3.1 libyaml-0-2 libgmp10 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.rb <<'RUBY'
require "net/dns"

def record(type, data)
  "\x02gw\x00".b + [type, 1, 3600, data.bytesize].pack("nnNn") + data
end

{ MX: [15, "\x00\x0a\x02mx\x00"], CERT: [37, "\x00\x01\x00\x00\x000\x00"], DS: [43, "\x00\x01\x0d\x02" + "d" * 32],
  IPSECKEY: [45, "\x0a\x00\x02key"], TLSA: [52, "\x03\x01\x01" + "d" * 32], CAA: [257, "\x00\x05issueca.example"] }.each do |name, (type, data)|
  message = [1, 0x8400, 0, 2, 0, 0].pack("n6") + record(1, [192, 0, 2, 1].pack("C4")) + record(type, data.b)
  begin
    puts "A and #{name}: #{Net::DNS::Packet.parse(message).answer.map(&:type).join(", ")}"
  rescue ArgumentError => error
    puts "A and #{name}: #{error.class}: #{error.message}"
  end
end
RUBY
cat >expected <<'TEXT'
A and MX: A, MX
A and CERT: A
A and DS: A
A and IPSECKEY: ArgumentError: Unkown type number 45
A and TLSA: ArgumentError: Unkown type number 52
A and CAA: ArgumentError: Unkown type number 257
TEXT
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I root/usr/lib/ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I root/usr/lib/ruby/vendor_ruby \
    probe.rb >seen 2>errors
diff expected seen
cat seen
