//! CRLs of CAs that have several keys under one name: what NIST's suite has no rows for. The CRLs are rcgen's. In `path_crl/` is what
//! rcgen does not write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[path = "path_crl/alone.rs"]
mod alone;
#[path = "path_crl/draft.rs"]
mod draft;
#[path = "path_crl/ended.rs"]
mod ended;
mod exercise;
#[path = "path_crl/odd.rs"]
mod odd;
#[path = "path_crl/seeds.rs"]
mod seeds;

use std::sync::Arc;

use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate, PathSettings, validate};
use countersign_ca::{SystemClock, Timestamp, clock::Clock};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber,
};

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    certificate: Arc<Certificate>,
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn read(certificate: &rcgen::Certificate) -> Arc<Certificate> {
    Arc::new(Certificate::from_der(certificate.der().to_vec()).unwrap())
}

impl Ca {
    fn root() -> Self {
        let (params, key) = (ca_params("root", 1), KeyPair::generate().unwrap());
        let certificate = read(&params.self_signed(&key).unwrap());
        Self { params, key, certificate }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = read(&params.signed_by(&key, &self.issuer()).unwrap());
        Self { params, key, certificate }
    }

    /// A CRL that is as many minutes old, and is good for as many hours.
    fn crl(&self, minutes: i64, hours: i64, revoked: &[u64]) -> Arc<Crl> {
        let now = time::OffsetDateTime::now_utc();
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - time::Duration::days(1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - time::Duration::minutes(minutes),
            next_update: now + time::Duration::hours(hours),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        // rcgen asks for the right to sign CRLs, whether or not the certificate has it.
        let mut issuer = self.params.clone();
        issuer.key_usages.push(KeyUsagePurpose::CrlSign);
        let crl = params.signed_by(&Issuer::from_params(&issuer, &self.key)).unwrap();
        Arc::new(Crl::from_der(crl.der()).unwrap())
    }
}

/// A root, the two keys of an issuing CA, and a certificate with the serial number 7 that the first key signed.
struct Site {
    root: Ca,
    old: Ca,
    new: Ca,
    leaf: Arc<Certificate>,
}

impl Site {
    fn new(old: impl FnOnce(&mut CertificateParams)) -> Self {
        let root = Ca::root();
        let mut first = ca_params("issuing", 2);
        old(&mut first);
        let (old, new) = (root.below(first), root.below(ca_params("issuing", 3)));
        let leaf = old.below(params("gw", 7)).certificate;
        Self { root, old, new, leaf }
    }

    fn status(&self, others: &[&Arc<Certificate>], crls: &[Arc<Crl>]) -> CrlStatus {
        let anchors = Anchors::new([self.root.certificate.der().to_vec()]).unwrap();
        let known = [&self.old.certificate, &self.new.certificate, &self.root.certificate];
        let others: Vec<_> = others.iter().copied().chain(known).map(Arc::clone).collect();
        let now = SystemClock.now();
        let path =
            validate(&anchors, &PathSettings::default(), &[Arc::clone(&self.leaf)], &others, now);
        let path = path.unwrap();
        let (certificate, issuer) = path.pairs().next().unwrap();
        let crls = [crls, &[self.root.crl(1, 9, &[])]].concat();
        status_by_crls(&anchors, &others, certificate, issuer, &crls, now)
    }
}

#[track_caller]
fn unknown(status: CrlStatus, words: &str) {
    match status {
        CrlStatus::Unknown(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_later_key_of_the_issuer_hides_no_revocation() {
    let site = Site::new(|_| ());
    // The CRL of the later key is the newest, and knows nothing of what the other one signed.
    for minutes in [(60, 5), (5, 60)] {
        let later = site.new.crl(minutes.1, 9, &[]);
        let both = [later.clone(), site.old.crl(minutes.0, 9, &[7])];
        assert!(matches!(site.status(&[], &both), CrlStatus::Revoked { .. }), "{minutes:?}");
        let both = [later.clone(), site.old.crl(minutes.0, 9, &[8])];
        let CrlStatus::Good(until) = site.status(&[], &both) else { panic!("not good") };
        assert!(until > Timestamp::from_seconds(SystemClock.now().seconds() + 8 * 3600));
        unknown(
            site.status(&[], &[later]),
            "expected a CRL of the key that signed the certificate",
        );
    }
    // What any key of that name lists is revoked.
    let listed = [site.old.crl(5, 9, &[]), site.new.crl(60, 9, &[7])];
    assert!(matches!(site.status(&[], &listed), CrlStatus::Revoked { .. }));
    // Of two CRLs of one key the newer one counts: a hold was released.
    let released = [site.old.crl(60, 9, &[7]), site.old.crl(5, 9, &[]), site.new.crl(5, 9, &[])];
    assert!(matches!(site.status(&[], &released), CrlStatus::Good(_)));
}

#[test]
fn a_key_that_the_issuer_certified_under_its_name_speaks_for_it_but_not_for_a_crl_that_ended() {
    let site = Site::new(|_| ());
    let old_with_new = site.new.params.clone();
    let old_with_new = old_with_new.signed_by(&site.old.key, &site.new.issuer()).unwrap();
    let link = read(&old_with_new);
    let later = site.new.crl(5, 9, &[]);
    assert!(matches!(site.status(&[&link], std::slice::from_ref(&later)), CrlStatus::Good(_)));
    let revoked = [site.new.crl(5, 9, &[7])];
    assert!(matches!(site.status(&[&link], &revoked), CrlStatus::Revoked { .. }));
    let ended = site.old.crl(600, -1, &[8]);
    unknown(site.status(&[&link], &[later.clone(), ended]), "it ended at");
    // Whom it lists stays revoked.
    let ended = site.old.crl(600, -1, &[7]);
    assert!(matches!(site.status(&[&link], &[later, ended]), CrlStatus::Revoked { .. }));
}

#[test]
fn a_key_that_signs_no_crls_has_them_signed_by_another() {
    let site = Site::new(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    assert!(matches!(site.status(&[], &[site.new.crl(5, 9, &[])]), CrlStatus::Good(_)));
    assert!(matches!(site.status(&[], &[site.new.crl(5, 9, &[7])]), CrlStatus::Revoked { .. }));
    unknown(site.status(&[], &[site.old.crl(5, 9, &[])]), "lacks cRLSign");
}

#[test]
fn a_crl_is_written_as_it_was_read() {
    let site = Site::new(|_| ());
    let crl = site.old.crl(5, 9, &[7, 8]);
    let der = crl.to_der().unwrap();
    let again = Crl::from_der(&der).unwrap();
    assert!(again.is_same(&crl) && again.is_signed_by(&site.old.certificate));
    assert_eq!(again.to_der().unwrap(), der);
}
