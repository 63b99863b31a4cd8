//! The ID types of an ID payload, by their IANA numbers (RFC 2407 §4.6.2.1, RFC 7296 §3.5).

/// ID_IPV4_ADDR: four octets.
pub const IPV4_ADDR: u8 = 1;
/// ID_FQDN: a DNS name.
pub const FQDN: u8 = 2;
/// ID_USER_FQDN of IKEv1, ID_RFC822_ADDR of IKEv2: a mail address.
pub const USER_FQDN: u8 = 3;
/// ID_IPV4_ADDR_SUBNET of IKEv1: an address and a mask.
pub const IPV4_ADDR_SUBNET: u8 = 4;
/// ID_IPV6_ADDR: sixteen octets.
pub const IPV6_ADDR: u8 = 5;
/// ID_IPV6_ADDR_SUBNET of IKEv1: an address and a mask.
pub const IPV6_ADDR_SUBNET: u8 = 6;
/// ID_IPV4_ADDR_RANGE of IKEv1: the first and the last address.
pub const IPV4_ADDR_RANGE: u8 = 7;
/// ID_IPV6_ADDR_RANGE of IKEv1: the first and the last address.
pub const IPV6_ADDR_RANGE: u8 = 8;
/// ID_DER_ASN1_DN: an X.500 name in DER.
pub const DER_ASN1_DN: u8 = 9;
/// ID_DER_ASN1_GN: a GeneralName in DER.
pub const DER_ASN1_GN: u8 = 10;
/// ID_KEY_ID: octets whose meaning only the two ends know.
pub const KEY_ID: u8 = 11;
