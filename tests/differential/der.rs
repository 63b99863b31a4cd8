//! A DER writer of the test's own. It can also write values that no library would.

use time::OffsetDateTime;
use time::macros::format_description;

pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|of| *of == 0).collect();
    let head = match length {
        0..=0x7f => vec![u8::try_from(length).unwrap()],
        _ => [&[0x80 | u8::try_from(octets.len()).unwrap()], octets.as_slice()].concat(),
    };
    [&[tag], head.as_slice(), content].concat()
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

pub fn boolean(value: bool) -> Vec<u8> {
    element(0x01, &[if value { 0xff } else { 0 }])
}

/// A non-negative INTEGER.
pub fn integer(value: u64) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let zeros = octets.iter().take_while(|of| **of == 0).count().min(7);
    let sign = if octets[zeros] & 0x80 != 0 { vec![0] } else { Vec::new() };
    element(0x02, &[&sign, &octets[zeros..]].concat())
}

/// X.690 §8.19.
pub fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u128> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let octets = |arc: u128| {
        let digits = (128 - arc.leading_zeros()).div_ceil(7).max(1);
        (0..digits).rev().map(move |digit| {
            let bits = u8::try_from(arc >> (7 * digit) & 0x7f).unwrap();
            if digit == 0 { bits } else { bits | 0x80 }
        })
    };
    let first = arcs[0] * 40 + arcs[1];
    let all = std::iter::once(first).chain(arcs[2..].iter().copied());
    element(0x06, &all.flat_map(octets).collect::<Vec<_>>())
}

/// UTCTime to 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5).
pub fn time(seconds: i64) -> Vec<u8> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    if moment.year() < 2050 {
        let form = format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
        element(0x17, moment.format(&form).unwrap().as_bytes())
    } else {
        let form = format_description!("[year][month][day][hour][minute][second]Z");
        element(0x18, moment.format(&form).unwrap().as_bytes())
    }
}

/// The octets of a BMPString.
pub fn bmp(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The octets of a UniversalString.
pub fn universal(text: &str) -> Vec<u8> {
    text.chars().flat_map(|of| u32::from(of).to_be_bytes()).collect()
}
