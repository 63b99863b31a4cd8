//! The CSR attributes of a profile, and of an account that has it (RFC 7030 §4.5, RFC 9908).

use std::sync::Arc;

use countersign_ca::key::algorithm_identifier;
use countersign_ca::profile::Profile;
use countersign_ca::record::Label;
use countersign_ca::x509::Criticality::{Critical, NonCritical};
use countersign_ca::x509::{self, subject_alt_name};
use countersign_ca::{Error, KeyKind, Requester};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::config::ChannelBinding;
use super::service::EstService;
use crate::est::wire::csr_attributes::CsrAttributes;

impl EstService {
    /// The CSR attributes for an account, or for a stranger who names a profile, DER. `None` for a stranger who names none: the account
    /// decides about the profile.
    ///
    /// # Errors
    /// [`Error::Internal`] if the account's profile is not configured, or something cannot be encoded.
    pub(super) fn csr_attributes(
        &self,
        requester: Option<&Requester>,
        label: Option<&Label>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let authority = self.authority();
        let profile: Arc<Profile> = match (requester, label) {
            (Some(requester), _) => authority.profile_for(requester.account(), label)?,
            (None, Some(label)) => match authority.profiles().named(label) {
                Some(profile) => Arc::clone(profile),
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let names = requester.map(|requester| authority.names_for(requester.account(), &profile));
        let names = names.transpose()?;
        let mut extensions = vec![x509::extension(Critical, &profile.key_usage())?];
        if !profile.extended_key_usage().is_empty() {
            let usages = ExtendedKeyUsage(profile.extended_key_usage().to_vec());
            extensions.push(x509::extension(NonCritical, &usages)?);
        }
        if let Some(names) = names.as_ref().filter(|names| !names.alt_names.is_empty()) {
            extensions.push(subject_alt_name(&names.subject, &names.alt_names)?);
        }
        // A kind of key is named only where it is the one that is accepted (RFC 9908 §3.2). The size of an RSA key is free.
        let key = match profile.keys().as_slice() {
            [KeyKind::Rsa(_)] => None,
            [kind] => Some(algorithm_identifier(*kind)),
            _ => None,
        };
        let attributes = CsrAttributes {
            subject: names.map(|names| names.subject).filter(|subject| !subject.is_empty()),
            key,
            extensions,
            binds: self.config().channel_binding == ChannelBinding::Required,
        };
        attributes.to_der().map(Some).map_err(Error::internal)
    }
}
