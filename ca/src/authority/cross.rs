//! Cross-certification: a certificate for the key of another CA, for accounts with that permission (RFC 9810 §5.3.11
//! and Appendix D.6).
//!
//! Verifiers that trust this instance's root accept the certificates that such a CA issues. The account therefore limits it:
//! the account's names become the certificate's name constraints, and one of its DNs the subject
//! (docs/adr/0011-cross-certification.md).

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use der::asn1::{Ia5String, ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::{GeneralSubtree, NameConstraints};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, CertificatePolicies, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use super::authorize::validity;
use super::issue::{IssuedCertificate, TransactionDraft};
use super::issuer::Ca;
use super::request::{CertificateRequest, Credential, Requester};
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::{ProvenKey, signature_algorithm};
use crate::lint::Purpose;
use crate::name::{Identity, Name, same_name};
use crate::oid;
use crate::profile::Profile;
use crate::record::{Account, CertificateId, CertificateRecord, Issued, Label, Permission, Serial};
use crate::signed::{Gate, Object};
use crate::store::Page;
use crate::x509::Criticality::{Critical, NonCritical};
use crate::x509::{
    Facts, authority_info_access, authority_key_identifier, distribution_points, extension, octets,
    policy_information, time,
};

/// The longest subject key identifier that a request may contain, in octets.
const MAX_KEY_IDENTIFIER: usize = 64;
/// A host name that nobody can have (RFC 2606 §2).
const NO_HOST: &str = "none.invalid";
/// The number of certificates that are read from the store at a time.
const PAGE: usize = 256;

/// A cross certificate that may be signed, decided in every detail. Only [`Authority::authorize_cross`] makes such a
/// value, and [`Authority::issue_cross`] accepts nothing else.
#[derive(Debug)]
pub struct CrossAuthorized {
    account: Account,
    ca: Label,
    issuer: Name,
    signature: ObjectIdentifier,
    profile: Arc<Profile>,
    key: ProvenKey,
    subject: Name,
    key_identifier: Vec<u8>,
    constraints: NameConstraints,
    not_before: Timestamp,
    not_after: Timestamp,
    unpublished: bool,
    changes: Vec<String>,
}

impl Authority {
    /// Decides about the cross certificate that a requester asks for.
    ///
    /// # Errors
    /// `Denied` that says which rule of the account or the profile the request breaks; [`Error::Malformed`] if a requested extension
    /// cannot be read; [`Error::Unavailable`] if there is no issuing CA, its end is near, or the key of the CA that would sign is not
    /// here.
    pub fn authorize_cross(
        &self,
        requester: &Requester,
        request: CertificateRequest,
    ) -> Result<CrossAuthorized> {
        let account = requester.account();
        // 1. The requester proved itself with a certificate of this instance, and its account has the permission.
        let Credential::Certificate(signer) = requester.credential() else {
            return Err(Error::not_authorized(
                "a cross-certification is signed with a certificate that was issued here (RFC 9810 Appendix D.6)",
            ));
        };
        if !account.permissions.contains(&Permission::CrossCertification) {
            return Err(Error::not_authorized(format!(
                "the account `{}` may not have CAs certified; the administrator can allow it `{}`",
                account.name,
                Permission::CrossCertification
            )));
        }
        self.refuse_registrars(account, signer)?;
        // 2. The profile is the account's. The signer is the account's CA, or else the root above it if only that may have
        // such a CA below it.
        let profile = self.profile_for(account, request.profile.as_ref())?;
        if profile.needs_approval() {
            return Err(Error::not_authorized(format!(
                "requests under the profile `{}` wait for an administrator, and a ccr cannot wait; name another profile",
                profile.name()
            )));
        }
        let ca = self.certifier(account, request.ca.as_ref(), profile.path_length())?;
        // 3. The profile accepts the kind of key, and the key belongs neither to this instance nor to the requester's
        // own certificate.
        profile.check_key(request.key.key().kind())?;
        self.refuse_own_keys(&request.key)?;
        if Facts::of(&signer.certificate)?.key == *request.key.key() {
            return Err(template(
                "the key is that of the certificate that signs the request; a CA has a key of its own",
            ));
        }
        // 4. The subject and the names that it may certify are the account's.
        let subject = self.cross_subject(account, request.subject.as_ref())?;
        if !request.alt_names.is_empty() {
            return Err(template("a CA is named by its subject; leave the subjectAltName out"));
        }
        let constraints = constraints(account)?;
        // 5. The rest of the request only proposes. A sentence in `changes` names each difference.
        let mut changes = Vec::new();
        let requested =
            RequestedExtensions::read(&request.extensions, &profile, &constraints, &mut changes)?;
        let (not_before, not_after) = validity(&profile, ca, &request, self.now(), &mut changes)?;
        let key_identifier =
            requested.key_identifier.unwrap_or_else(|| request.key.key().key_identifier().to_vec());
        Ok(CrossAuthorized {
            account: account.clone(),
            ca: ca.info().name.clone(),
            issuer: ca.facts().subject.clone(),
            signature: signature_algorithm(ca.facts().key.kind()).oid,
            profile,
            key: request.key,
            subject,
            key_identifier,
            constraints,
            not_before,
            not_after,
            unpublished: request.published == Some(false),
            changes,
        })
    }

    /// Signs and records a cross certificate.
    ///
    /// # Errors
    /// As [`Self::issue`]; [`Error::Unavailable`] if the private key of the signing CA is not here.
    pub fn issue_cross(
        &self,
        authorized: CrossAuthorized,
        transaction: Option<TransactionDraft>,
    ) -> Result<IssuedCertificate> {
        // Only one at a time, because opening a root's key takes memory and time.
        let _crossing = self.crossing.lock().unwrap_or_else(PoisonError::into_inner);
        // 1. Take a serial number. It was recorded before, so that a power cut leaves a trace of what was about to
        // exist.
        let ca = self.cas.get(&authorized.ca);
        let ca = ca.ok_or_else(|| Error::internal("a CA that is not there"))?;
        let serial = ca.next_serial(&self.foundation)?;
        // 2. Encode the octets to be signed, lint them, and sign the same octets.
        let root_key;
        let signer = match ca.info().is_root {
            // A root's key is open only for this signature.
            true => {
                root_key = self
                    .foundation
                    .keys
                    .load(ca.info().name.as_str(), &self.foundation.passphrase)?;
                &root_key
            }
            false => ca.key()?,
        };
        let tbs = authorized.tbs(ca, &serial, signer.signature_algorithm())?;
        let gate = Gate::new(signer, Object::Certificate(Purpose::IssuingCa));
        let certificate = gate.below(ca.handed_out(), self.now()).sign_object(&tbs)?;
        // 3. Record the certificate durably before it leaves.
        let transaction = transaction.map(|draft| {
            let certificate = CertificateId::new(authorized.ca.clone(), serial);
            draft.opened(authorized.account.name.clone(), Some(certificate))
        });
        let issued = Issued {
            ca: authorized.ca,
            serial,
            account: authorized.account.name,
            incarnation: Some(authorized.account.incarnation),
            profile: authorized.profile.name().clone(),
            not_after: authorized.not_after,
            certificate,
            consumes_secret: false,
            consumes_equipment: false,
            transaction,
            replaces: None,
            partition: None,
            withheld: false,
            unpublished: authorized.unpublished,
            retires: None,
        };
        self.store().record_issued(self.now(), &issued)?;
        tracing::warn!(account = %issued.account, ca = %issued.ca, %serial, subject = ?authorized.subject.to_string(), "another CA was certified");
        Ok(IssuedCertificate {
            chain: ca.chain().to_vec(),
            ca: issued.ca,
            serial,
            certificate: issued.certificate,
            changes: authorized.changes,
        })
    }

    /// Refuses an account whose signing certificate, or an earlier one, came through a registration authority. The
    /// registration authority may have the private key of that certificate, from before the account got the permission,
    /// and could have a CA of its own certified with it.
    fn refuse_registrars(&self, account: &Account, signer: &CertificateRecord) -> Result<()> {
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let Page { records: page, next } =
                self.store().certificates(Some(&account.name), from, PAGE)?;
            // Certificates of an earlier account with the same name do not matter.
            let own = page.iter().filter(|record| record.incarnation == Some(account.incarnation));
            for record in own.filter(|record| record.issued <= signer.issued) {
                // The key of a CA's certificate signs no requests.
                match &record.registrar {
                    Some(registrar) if !Facts::of(&record.certificate)?.is_ca => {
                        return Err(Error::not_authorized(format!(
                            "the certificate {} of the account `{}` came through the registration authority \
                             `{registrar}`; give the CA an account of its own, which asks for itself",
                            record.serial, account.name
                        )));
                    }
                    _ => {}
                }
            }
            cursor = next;
        }
        Ok(())
    }

    /// The CA that certifies other CAs for an account: the account's issuing CA, or else the root above it. It is the first of the two
    /// whose own pathLenConstraint permits a CA below it with the pathLenConstraint `below`. `wanted` is the CA that the request names:
    /// the certifying CA, or the account's issuing CA; any other is refused.
    fn certifier(&self, account: &Account, wanted: Option<&Label>, below: u8) -> Result<&Ca> {
        let issuing = self.ca_for(account, None)?;
        let root = issuing.chain().last();
        let root = self.cas.values().find(|ca| Some(&ca.info().certificate) == root);
        let may = |ca: &&Ca| {
            path_length(&ca.info().certificate)
                .is_ok_and(|most| most.is_none_or(|most| most > below))
        };
        let found = std::iter::once(issuing).chain(root).find(may).ok_or_else(|| {
            Error::denied(
                Denial::NotAuthorized,
                format!("neither the CA `{}` nor its root may have such a CA below it (pathLenConstraint)", issuing.info().name),
            )
        })?;
        if !found.info().can_sign {
            return Err(Error::unavailable(format!(
                "the key of `{}`, which certifies other CAs, is not here",
                found.info().name
            )));
        }
        match wanted
            .filter(|wanted| **wanted != found.info().name && **wanted != issuing.info().name)
        {
            Some(wanted) => Err(Error::not_authorized(format!(
                "`{}` certifies other CAs for the account `{}`, not `{wanted}`",
                found.info().name,
                account.name
            ))),
            None => Ok(found),
        }
    }

    /// The requested subject, which must be a DN identity of the account and not the name of a CA of this instance.
    fn cross_subject(&self, account: &Account, wanted: Option<&Name>) -> Result<Name> {
        let wanted =
            wanted.ok_or_else(|| template("the template has no subject: the name of the CA"))?;
        if let Some(own) = self.cas.values().find(|ca| same_name(&ca.facts().subject, wanted)) {
            return Err(template(format!(
                "the subject is that of `{}`, a CA of this instance",
                own.info().name
            )));
        }
        let is_held = account.identities.iter().any(|identity| match identity {
            Identity::Dn(name) => same_name(name, wanted),
            _ => false,
        });
        match is_held {
            true => Ok(wanted.clone()),
            false => Err(Error::not_authorized(format!(
                "the subject `{wanted}` is no DN identity of the account `{}`",
                account.name
            ))),
        }
    }
}

impl CrossAuthorized {
    /// The subject of the signing CA.
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The algorithm with which the certificate will be signed.
    pub const fn signature_algorithm(&self) -> ObjectIdentifier {
        self.signature
    }

    /// The TBSCertificate, DER.
    fn tbs(
        &self,
        ca: &Ca,
        serial: &Serial,
        signature: AlgorithmIdentifierOwned,
    ) -> Result<Vec<u8>> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(serial.octets()).map_err(Error::internal)?,
            signature,
            issuer: ca.facts().subject.clone(),
            validity: Validity {
                not_before: time(self.not_before)?,
                not_after: time(self.not_after)?,
            },
            subject: self.subject.clone(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(self.key.key().der())
                .map_err(Error::internal)?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions(ca)?),
        };
        tbs.to_der().map_err(Error::internal)
    }

    /// The extensions of the certificate.
    fn extensions(&self, ca: &Ca) -> Result<Vec<Extension>> {
        let (name, profile) = (&ca.info().name, &self.profile);
        let basic = BasicConstraints { ca: true, path_len_constraint: Some(profile.path_length()) };
        let mut extensions = vec![
            extension(NonCritical, &authority_key_identifier(&ca.facts().key_identifier)?)?,
            extension(NonCritical, &SubjectKeyIdentifier(octets(&self.key_identifier)?))?,
            extension(Critical, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
            extension(Critical, &basic)?,
            // RFC 5280 §4.2.1.10 demands that name constraints are critical.
            extension(Critical, &self.constraints)?,
        ];
        if !profile.policies().is_empty() {
            let policies = profile.policies().iter().map(policy_information);
            let policies = CertificatePolicies(policies.collect::<Result<Vec<_>>>()?);
            extensions.push(extension(NonCritical, &policies)?);
        }
        let crl_urls = profile.crl_urls(name, None);
        if !crl_urls.is_empty() {
            extensions.push(extension(NonCritical, &distribution_points(&crl_urls)?)?);
        }
        let (ocsp, ca_issuers) = (profile.ocsp_urls(name), profile.ca_issuers_urls(name));
        if !ocsp.is_empty() || !ca_issuers.is_empty() {
            extensions.push(extension(NonCritical, &authority_info_access(&ocsp, &ca_issuers)?)?);
        }
        Ok(extensions)
    }
}

/// The requested extensions that can be granted.
struct RequestedExtensions {
    /// The subject key identifier. Certificates that the other CA already issued refer to it.
    key_identifier: Option<Vec<u8>>,
}

impl RequestedExtensions {
    /// Reads the requested extensions. A sentence in `changes` names each one that is not granted as requested.
    fn read(
        wanted: &[Extension],
        profile: &Profile,
        constraints: &NameConstraints,
        changes: &mut Vec<String>,
    ) -> Result<Self> {
        let mut requested = Self { key_identifier: None };
        for extension in wanted {
            let content = extension.extn_value.as_bytes();
            let malformed = |what: &'static str| {
                move |e: der::Error| Error::malformed(format!("{what} cannot be read: {e}"))
            };
            match extension.extn_id {
                oid::BASIC_CONSTRAINTS => {
                    let basic = BasicConstraints::from_der(content)
                        .map_err(malformed("basicConstraints"))?;
                    if !basic.ca {
                        return Err(template("basicConstraints say that it is no CA"));
                    }
                    if basic.path_len_constraint != Some(profile.path_length()) {
                        changes.push(format!("the pathLenConstraint is {}", profile.path_length()));
                    }
                }
                oid::KEY_USAGE => {
                    let usage = KeyUsage::from_der(content).map_err(malformed("keyUsage"))?;
                    if !usage.0.contains(KeyUsages::KeyCertSign) {
                        return Err(template("a CA's keyUsage has keyCertSign"));
                    }
                    if usage.0 != (KeyUsages::KeyCertSign | KeyUsages::CRLSign) {
                        changes.push("the key usage is keyCertSign and cRLSign".into());
                    }
                }
                oid::NAME_CONSTRAINTS => {
                    let asked =
                        NameConstraints::from_der(content).map_err(malformed("nameConstraints"))?;
                    if asked != *constraints {
                        changes.push("the name constraints are the account's".into());
                    }
                }
                oid::SUBJECT_KEY_IDENTIFIER => {
                    let identifier = OctetString::from_der(content)
                        .map_err(malformed("subjectKeyIdentifier"))?
                        .as_bytes()
                        .to_vec();
                    if !(1..=MAX_KEY_IDENTIFIER).contains(&identifier.len()) {
                        return Err(template(format!(
                            "expected a subjectKeyIdentifier of 1 to {MAX_KEY_IDENTIFIER} octets, found {}",
                            identifier.len()
                        )));
                    }
                    requested.key_identifier = Some(identifier);
                }
                oid::AUTHORITY_KEY_IDENTIFIER => {}
                other if extension.critical => {
                    return Err(template(format!(
                        "the critical extension `{other}` is not known here; leave it out"
                    )));
                }
                other => changes.push(format!("the extension `{other}` was left out")),
            }
        }
        Ok(requested)
    }
}

/// The names that the other CA may certify: those of the account, with everything below its domains and DNs.
///
/// A kind of name without any constraint would be unlimited (RFC 5280 §4.2.1.10). Each kind by which an IKE peer can be
/// known is therefore constrained to nothing if the account has no name of it.
///
/// INVARIANT: the account has a DN identity, because the subject is one of its DNs.
fn constraints(account: &Account) -> Result<NameConstraints> {
    let identities = &account.identities;
    let has = |is_one: fn(&Identity) -> bool| identities.iter().any(is_one);
    let mut permitted = identities
        .iter()
        .map(|identity| match identity {
            Identity::Fqdn(domain) => dns(domain),
            Identity::Ip(address) => host(*address),
            Identity::Email(mailbox) => Ok(GeneralName::Rfc822Name(ia5(mailbox)?)),
            Identity::Dn(name) => Ok(GeneralName::DirectoryName(name.clone())),
        })
        .collect::<Result<Vec<_>>>()?;
    // Excluding the empty domain means "all" to OpenSSL and NSS but "none" to strongSwan, and no excluded mailbox form
    // covers all mailboxes. Permitting only a host that cannot exist means the same to all of them.
    if !has(|identity| matches!(identity, Identity::Fqdn(_))) {
        permitted.push(dns(NO_HOST)?);
    }
    if !has(|identity| matches!(identity, Identity::Email(_))) {
        permitted.push(GeneralName::Rfc822Name(ia5(NO_HOST)?));
    }
    // Each address family by itself, because strongSwan does not compare an address with constraints of the other
    // family.
    let mut excluded = Vec::new();
    if !has(|identity| matches!(identity, Identity::Ip(IpAddr::V4(_)))) {
        excluded.push(every_address(IpAddr::from([0; 4]))?);
    }
    if !has(|identity| matches!(identity, Identity::Ip(IpAddr::V6(_)))) {
        excluded.push(every_address(IpAddr::from([0; 16]))?);
    }
    let subtrees = |bases: Vec<GeneralName>| {
        let all = bases.into_iter().map(|base| GeneralSubtree { base, minimum: 0, maximum: None });
        Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    Ok(NameConstraints {
        permitted_subtrees: subtrees(permitted),
        excluded_subtrees: subtrees(excluded),
    })
}

fn dns(domain: &str) -> Result<GeneralName> {
    Ok(GeneralName::DnsName(ia5(domain)?))
}

fn ia5(text: &str) -> Result<Ia5String> {
    Ia5String::new(text).map_err(Error::internal)
}

/// The constraint that contains exactly this address.
fn host(address: IpAddr) -> Result<GeneralName> {
    subnet(address, 0xff)
}

/// The constraint that contains every address of this family.
fn every_address(of_family: IpAddr) -> Result<GeneralName> {
    subnet(of_family, 0)
}

/// An iPAddress constraint: the address, and a mask of which every octet is `mask` (RFC 5280 §4.2.1.10).
fn subnet(address: IpAddr, mask: u8) -> Result<GeneralName> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mask = vec![mask; octets.len()];
    let both = OctetString::new([octets, mask].concat()).map_err(Error::internal)?;
    Ok(GeneralName::IpAddress(both))
}

/// The pathLenConstraint of a CA's certificate (DER); `None` if it has none, so that any number of CAs may be below it.
fn path_length(certificate: &[u8]) -> Result<Option<u8>> {
    let read = x509_cert::Certificate::from_der(certificate).map_err(Error::internal)?;
    let basic = read.tbs_certificate.get::<BasicConstraints>().map_err(Error::internal)?;
    Ok(basic.and_then(|(_, basic)| basic.path_len_constraint))
}

fn template(why: impl Into<String>) -> Error {
    Error::denied(Denial::Template, why)
}
