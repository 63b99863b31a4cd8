//! What the fuzzer of CRLs does; the test of its seeds does the same.

use std::sync::Arc;

use countersign_ca::path::Certificate;
use countersign_ca::path::crl::{Crl, CrlStatus};
use der::Decode;
use x509_cert::crl::TbsCertList;

use super::draft::{Ca, NOW, status};

/// A root with a fixed key, and certificates of it with the serial numbers 7 and 0x0080.
pub struct Place {
    root: Ca,
    leaves: [Arc<Certificate>; 2],
}

impl Place {
    pub fn new() -> Self {
        let root = Ca::fixed();
        let leaves = [root.leaf(&[7]), root.leaf(&[0x80])];
        Self { root, leaves }
    }

    /// A CRL of any octets as it is; then a TBSCertList of any octets, signed by the root, so that its entries are reached.
    pub fn exercise(&self, octets: &[u8]) -> Vec<CrlStatus> {
        if let Ok(crl) = Crl::from_der(octets) {
            let again = Crl::from_der(&crl.to_der().unwrap()).unwrap();
            assert!(again.is_same(&crl), "what is written is not what was read");
            // Nobody who fuzzes can sign.
            let by_root = crl.is_signed_by(&self.root.certificate);
            for status in self.statuses(&Arc::new(crl)) {
                assert!(by_root || matches!(status, CrlStatus::Unknown(_)), "{status:?}");
            }
        }
        match Crl::from_der(&self.root.sign(octets, &[])) {
            Ok(crl) => self.repaired(octets, &Arc::new(crl)),
            Err(_) => Vec::new(),
        }
    }

    fn repaired(&self, tbs: &[u8], crl: &Arc<Crl>) -> Vec<CrlStatus> {
        let statuses = self.statuses(crl);
        for (leaf, status) in self.leaves.iter().zip(&statuses) {
            if let CrlStatus::Good(until) = status {
                assert!(crl.this_update <= NOW && NOW <= *until, "it counts out of its time");
                assert!(!is_listed(tbs, leaf), "x509-cert finds it in the list");
            }
        }
        statuses
    }

    fn statuses(&self, crl: &Arc<Crl>) -> Vec<CrlStatus> {
        let of = |leaf| status(&self.root, &[], leaf, &self.root, std::slice::from_ref(crl));
        self.leaves.iter().map(of).collect()
    }
}

/// Whether x509-cert's reader, which shares none of our code, finds a certificate in a list in which no entry names an issuer.
fn is_listed(tbs: &[u8], certificate: &Certificate) -> bool {
    let names_issuers = tbs.windows(5).any(|octets| octets == [6, 3, 0x55, 0x1d, 29]);
    // That reader puts sets in order in quadratic time.
    if names_issuers || !countersign_ca::sets::are_small(tbs) {
        return false;
    }
    let list = TbsCertList::from_der(tbs);
    let Ok(list) = list else { return false };
    let content = |octets: &[u8]| der::asn1::Int::new(octets).map(|of| of.as_bytes().to_vec());
    let wanted = content(&certificate.serial).unwrap();
    list.revoked_certificates.iter().flatten().any(|of| of.serial_number.as_bytes() == wanted)
}
