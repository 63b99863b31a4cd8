//! Millions of certificates to fill a store with. Each has names of its own; their signatures are not real.

use std::sync::OnceLock;

use countersign_ca::record::Serial;

/// Spreads consecutive numbers over all values.
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A certificate of 600 to 700 octets with a serial number, key identifier, name and signature of its own. It is patched and not signed,
/// because a million signatures would take longer than the whole measurement.
pub fn certificate(seed: u64, serial: &Serial) -> Vec<u8> {
    static TEMPLATES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| (0..101).map(template).collect());
    let mut der = templates[(seed % 101) as usize].clone();
    let name = format!("gw{:08x}", seed as u32);
    let noise: Vec<u8> =
        (0..9).flat_map(|n: u64| mix(seed.wrapping_add(n)).to_be_bytes()).collect();
    let mut at = 0;
    while at + 20 < der.len() {
        let place = &mut der[at..];
        let (mark, own): (&[u8], &[u8]) = match place {
            [0x11, 0x11, 0x11, 0x11, ..] => (&[0x11; 16], serial.octets()),
            [0x55, 0x55, 0x55, 0x55, ..] => (&[0x55; 20], &noise[..20]),
            [b'g', b'w', b'x', b'x', ..] => (b"gwxxxxxxxx", name.as_bytes()),
            [0x66, 0x66, 0x66, 0x66, ..] => (&[0x66; 4], &noise[20..24]),
            _ => {
                at += 1;
                continue;
            }
        };
        assert!(place.starts_with(mark));
        place[..own.len()].copy_from_slice(own);
        at += own.len();
    }
    der
}

/// A signed certificate with marks at the places that [`certificate`] patches.
fn template(longer: usize) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params =
        rcgen::CertificateParams::new(vec!["gwxxxxxxxx.example.net".to_owned()]).unwrap();
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x11; 16]));
    params.distinguished_name.push(rcgen::DnType::CommonName, "gwxxxxxxxx.example.net");
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![0x55; 20]);
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    let content = vec![0x66; 180 + longer / 4 * 4];
    params.custom_extensions =
        vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], content)];
    params.self_signed(&key).unwrap().der().to_vec()
}
