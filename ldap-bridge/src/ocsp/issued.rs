//! Remembers which CertIDs name issued certificates. A certificate stays issued for ever, so nothing here can become wrong; its status is
//! looked up for each answer. For a CertID that is remembered, an answer is signed without a look into the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_ca::record::{Label, Serial};

use super::cache::make_room;

/// A certificate that a CA of this instance issued.
pub struct IssuedCertificate {
    /// The CA that issued the certificate.
    pub ca: Label,
    /// The serial number of the certificate.
    pub serial: Serial,
    /// Whether the certificate was asked about since room was made last.
    used: AtomicBool,
}

/// A bounded number of issued certificates, by the DER of their CertID. Those about which no client asked recently are dropped first.
pub struct IssuedCertificates {
    most: usize,
    known: RwLock<HashMap<Box<[u8]>, Arc<IssuedCertificate>>>,
}

impl IssuedCertificates {
    /// Room for `most` CertIDs; with 0, none is remembered.
    pub fn new(most: usize) -> Self {
        Self { most, known: RwLock::default() }
    }

    /// The certificate that this CertID (DER) names, if it is remembered.
    pub fn find(&self, cert_id: &[u8]) -> Option<Arc<IssuedCertificate>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let certificate = known.get(cert_id)?;
        certificate.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(certificate))
    }

    /// Remembers that this CertID (DER) names a certificate that the CA issued. The caller must have found it in the store.
    pub fn remember(&self, cert_id: &[u8], ca: &Label, serial: Serial) {
        if self.most == 0 {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains_key(cert_id) {
            make_room(&mut known, self.most, |certificate| {
                certificate.used.swap(false, Ordering::Relaxed)
            });
        }
        let certificate =
            IssuedCertificate { ca: ca.clone(), serial, used: AtomicBool::new(false) };
        known.insert(cert_id.into(), Arc::new(certificate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_room_and_what_is_asked_about_stays() {
        let ca: Label = "issuing".parse().unwrap();
        let serial = |number: u8| Serial::new([number; 16]).unwrap();
        let issued = IssuedCertificates::new(16);
        issued.remember(&[0], &ca, serial(1));
        for number in 1..=200 {
            let first = issued.find(&[0]).expect("what is asked about all the time");
            assert_eq!((&first.ca, first.serial), (&ca, serial(1)));
            issued.remember(&[number], &ca, serial(number));
            // A look-up would make the newcomer as much asked about as the first.
            let known = issued.known.read().unwrap();
            assert!(known.len() <= 16);
            assert_eq!(known.get(&[number][..]).unwrap().serial, serial(number));
        }
        let none = IssuedCertificates::new(0);
        none.remember(&[1], &ca, serial(1));
        assert!(none.find(&[1]).is_none());
    }
}
