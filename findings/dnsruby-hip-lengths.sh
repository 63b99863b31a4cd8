#!/usr/bin/env bash
# ruby-dnsruby 1.61.5-3 (Debian), `RR.create` and `Message.decode`: HIP records, which hold a host's key.
#
# Expected: RFC 8005 §5: one octet for the length of the HIT, one for the algorithm, two for the length of the key, then HIT, key and servers; §6
# writes the HIT in hexadecimal digits. dnspython 2.9.2 (PyPI) makes these octets of the same line.
# Seen: one octet for the key's length. The HIT of 16 octets goes out as 64, each digit as the two digits of its own character. A record as the
# RFC has it takes its message with it: "requested position …".
# So: the library's text of such a record is right, and nothing that it sends or receives; give `TYPE55 \# …` to write one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download ruby-dnsruby=1.61.5-3 ruby-simpleidn ruby-unf ruby-unf-ext ruby3.1 libruby3.1 libyaml-0-2 libgmp10 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check dnspython==2.9.2
cat >probe.rb <<'RUBY'
require "dnsruby"

LINE = "2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8c= rvs.example.net."
reference = `tools/bin/python -c 'import dns.rdata, sys; print(dns.rdata.from_text("IN", "HIP", sys.argv[1]).to_wire().hex())' "#{LINE}"`.chomp
record = Dnsruby::RR.create("gw.example.net. 3600 IN HIP #{LINE}")
puts "written as #{record.rdata_to_string}"
message = Dnsruby::Message.new
message.add_answer(record)
puts "dnspython: #{reference}"
puts "dnsruby:   #{message.encode.unpack1("H*")[76..]}"
data = [reference].pack("H*")
message = [1, 0x8400, 0, 1, 0, 0].pack("n6") + "\x02gw\x07example\x03net\x00" + [55, 1, 3600, data.bytesize].pack("nnNn") + data
begin
  puts "read as #{Dnsruby::Message.decode(message).answer[0].rdata_to_string}"
rescue Dnsruby::DecodeError => error
  puts "read as #{error.class}: #{error.message}"
end
RUBY
cat >expected <<'TEXT'
written as 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8c= rvs.example.net.
dnspython: 1002001a200100107b1a74df365639cc39f1d57803010001b771ca136e4aeb5ce44333c53b3d2c13c22243851fc703727673076578616d706c65036e657400
dnsruby:   40021a3332333033303331333033303331333033373432333134313337333434343436333333363335333633333339343334333333333934363331343433353337333803010001b771ca136e4aeb5ce44333c53b3d2c13c22243851fc703727673076578616d706c65036e657400
read as Dnsruby::DecodeError: requested position of 178 must be between 0 and buffer size (101).
TEXT
ruby=root/usr/lib/ruby
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I $ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I $ruby/vendor_ruby \
    -I root/usr/lib/x86_64-linux-gnu/ruby/vendor_ruby/3.1.0 -I root/usr/share/rubygems-integration/all/gems/simpleidn-0.1.1/lib \
    -I "$(echo $ruby/gems/3.1.0/gems/net-ftp-*/lib)" probe.rb >seen
diff expected seen
cat seen
