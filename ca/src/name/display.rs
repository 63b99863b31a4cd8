//! Names as people read them.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use der::Encode;
use x509_cert::ext::pkix::name::GeneralName;

use super::misleading::escape_misleading;

/// A subjectAltName entry as a person reads it, such as `dns:gw1.example.net`. Control characters are escaped. An
/// otherName or ediPartyName is shown as its DER in hexadecimal digits.
pub fn general_name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("dns:{}", name.as_str().escape_debug()),
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str().escape_debug()),
        GeneralName::UniformResourceIdentifier(uri) => {
            format!("uri:{}", uri.as_str().escape_debug())
        }
        GeneralName::DirectoryName(name) => format!("dn:{}", escape_misleading(&name.to_string())),
        GeneralName::IpAddress(octets) => match address(octets.as_bytes()) {
            Some(address) => format!("ip:{address}"),
            None => format!("ip:0x{}", HEXLOWER.encode(octets.as_bytes())),
        },
        GeneralName::RegisteredId(oid) => format!("oid:{oid}"),
        other => format!("0x{}", HEXLOWER.encode(&other.to_der().unwrap_or_default())),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
