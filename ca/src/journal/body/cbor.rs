//! Reading and writing of bodies, and the fields that several bodies share.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use crate::error::{Error, Result};
use crate::record::{Reason, Serial};

/// Writes a body.
pub fn to_vec<T: Encode<()>>(body: &T) -> Result<Vec<u8>> {
    minicbor::to_vec(body).map_err(Error::internal)
}

/// Reads a body that ends where the octets end.
pub fn from_slice<'b, T: Decode<'b, ()>>(octets: &'b [u8]) -> Result<T> {
    let mut decoder = minicbor::Decoder::new(octets);
    let body = decoder.decode().map_err(Error::internal)?;
    if decoder.position() == octets.len() {
        Ok(body)
    } else {
        Err(Error::internal("something stands behind its end"))
    }
}

/// An IP address as 4 or 16 octets, most significant first.
pub fn address_octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Reads [`address_octets`].
pub fn address(octets: &[u8]) -> Result<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
    address.map_err(|_| Error::internal("an IP address does not have 4 or 16 octets"))
}

/// Reads a serial number of 16 octets, or of 20 if it is longer.
pub fn serial(octets: impl AsRef<[u8]>) -> Result<Serial> {
    Serial::from_octets(octets.as_ref())
        .ok_or_else(|| Error::internal("a serial does not have 16 or 20 octets, or is zero"))
}

/// Reads the number of a CRLReason (RFC 5280 §5.3.1).
pub fn reason(number: u8) -> Result<Reason> {
    Reason::from_number(number)
        .ok_or_else(|| Error::internal(format!("the revocation reason `{number}` is unknown")))
}
