#!/usr/bin/env bash
# schema2ldif 1.3-4 (Debian): a schema with a content rule or a syntax.
#
# Expected: a schema for slapd.conf has object identifiers, attribute types, object classes, content rules (RFC 4512 §4.1.6) and syntaxes (§4.1.5); slapd
# 2.5.13, given the same file, takes all five, and has olcDitContentRules and olcLdapSyntaxes for the last two. In LDIF each line has a name
# and a colon (RFC 2849).
# Seen: these two stay lines of the schema, in the middle of the entry, so that it is no LDIF any more; exit code 0.
# So: put `olcDitContentRules:` and `olcLdapSyntaxes:` there by hand, or let `slaptest -f … -F …` convert the schema.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download schema2ldif=1.3-4 slapd=2.5.13+dfsg-5 libldap-2.5-0=2.5.13+dfsg-5 libodbc2 libltdl7 libsasl2-2 libwrap0 libargon2-1 libperl5.36 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >gate.schema <<'SCHEMA'
objectidentifier Gate 2.999
ldapsyntax ( 2.999.4 DESC 'kind of gate' X-SUBST '1.3.6.1.4.1.1466.115.121.1.15' )
attributetype ( 2.999.1 NAME 'gateKind' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 2.999.2 NAME 'gate' SUP top STRUCTURAL MUST cn MAY gateKind )
ditcontentrule ( 2.999.2 NAME 'gateRule' MUST gateKind )
SCHEMA
cat >slapd.conf <<'CONFIG'
include root/etc/ldap/schema/core.schema
include gate.schema
CONFIG
cat >expected <<'TEXT'
slapd:
  olcObjectIdentifier: {0}Gate 2.999
  olcLdapSyntaxes: {0}( 2.999.4 DESC 'kind of gate' X-SUBST '1.3.6.1.4.1.1466.11
  olcAttributeTypes: {0}( 2.999.1 NAME 'gateKind' EQUALITY caseIgnoreMatch SYNTA
  olcObjectClasses: {0}( 2.999.2 NAME 'gate' SUP top STRUCTURAL MUST cn MAY gate
  olcDitContentRules: {0}( 2.999.2 NAME 'gateRule' MUST gateKind )
schema2ldif:
  dn: cn=gate,cn=schema,cn=config
  objectClass: olcSchemaConfig
  cn: gate
  olcObjectIdentifier: Gate 2.999
  ldapsyntax ( 2.999.4 DESC 'kind of gate' X-SUBST '1.3.6.1.4.1.1466.115.121.1.15' )
  olcAttributeTypes: ( 2.999.1 NAME 'gateKind' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
  olcObjectClasses: ( 2.999.2 NAME 'gate' SUP top STRUCTURAL MUST cn MAY gateKind )
  ditcontentrule ( 2.999.2 NAME 'gateRule' MUST gateKind )
TEXT
mkdir configuration
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/sbin/slapd -T test -f slapd.conf -F configuration >slapd.log 2>&1
{
    echo 'slapd:'
    sed -n 's/^olc[A-Z][A-Za-z]*: {0}/  &/p' configuration/cn=config/cn=schema/*gate.ldif
    echo 'schema2ldif:'
    root/usr/bin/schema2ldif gate.schema | sed 's/^/  /'
} >seen
diff expected seen
cat seen
