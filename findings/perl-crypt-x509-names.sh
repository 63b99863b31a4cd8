#!/usr/bin/env bash
# libcrypt-x509-perl 0.55-1 (Debian), `Crypt::X509`: subject and alternative names of a certificate.
#
# Expected: RFC 5280 §4.2.1.6: nine kinds of names, each of which a reader shows, or leaves out; an address has four or sixteen octets, and is
# shown as an address. §4.1.2.4: attributes of one RDN stand together (RFC 4514 §2.2).
# Seen: addresses are the bare octets behind `iPAddress=`; of an otherName and a directoryName there is Perl's word for a reference
# (`HASH(0x…)`), whose number differs from run to run. Two attributes of one RDN are listed as two names; `KeyUsage` has "critical" among usages.
# So: such names cannot be logged or compared as text; read the octets of the extension with Convert::ASN1, or take another module.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libcrypt-x509-perl=0.55-1 libconvert-asn1-perl=0.33-1 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >request.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
O = Example
0.OU = Ops
1.+CN = gw
[extensions]
keyUsage = critical, digitalSignature
subjectAltName = DNS:gw.example.net, IP:192.0.2.65, IP:2001:db8::1, dirName:name, otherName:1.3.6.1.5.5.7.8.7;IA5:_ike.example.net
CONFIG
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -config request.cnf -outform DER -out gw.der 2>openssl.log
cat >probe.pl <<'PERL'
use strict;
use warnings;
use lib 'root/usr/share/perl5';
use Crypt::X509;

binmode STDIN;
my $certificate = Crypt::X509->new(cert => do { local $/; <STDIN> });
sub visible { join ', ', map { s/([^ -~])/sprintf '<%02x>', ord $1/egr } @{ $_[0] } }
print 'Subject: ', visible($certificate->Subject), "\n";
print 'KeyUsage: ', visible($certificate->KeyUsage), "\n";
print 'SubjectAltName: ', visible($certificate->SubjectAltName) =~ s/0x[0-9a-f]+/0x…/gr, "\n";
PERL
cat >expected <<'TEXT'
subject=OU=Ops+CN=gw,O=Example
Subject: O=Example, CN=gw, OU=Ops
KeyUsage: critical, digitalSignature
SubjectAltName: dNSName=gw.example.net, iPAddress=<c0><00><02>A, iPAddress= <01><0d><b8><00><00><00><00><00><00><00><00><00><00><00><01>, directoryName=HASH(0x…), otherName=HASH(0x…)
TEXT
{
    openssl x509 -inform DER -in gw.der -noout -subject -nameopt RFC2253
    perl probe.pl <gw.der
} >seen
diff expected seen
cat seen
