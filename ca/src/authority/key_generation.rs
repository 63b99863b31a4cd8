//! Keys for peers that have theirs made here, and who signs for them: the key generation authority (RFC 9480 §2.2,
//! RFC 9483 §4.1.6).

use std::sync::{Arc, PoisonError};

use zeroize::Zeroizing;

use super::appointments::DELEGATE_VALIDITY;
use super::authorize::{check_credential, check_use};
use super::delegate::{Delegate, Role};
use super::request::{CertificateRequest, Credential, Requester};
use super::state::Authority;
use crate::error::{Error, Result};
use crate::key::{GeneratedKey, KeyKind};
use crate::profile::{KeyOrder, WantedKey};
use crate::record::{Label, Permission};

impl Authority {
    /// Whether this requester may have a key made for this request, of which kind it will be, and in which form it is handed over.
    /// Nothing is made yet, and what [`Self::authorize`] refuses whatever the key is refused here.
    ///
    /// # Errors
    /// `Denied` that says which rule of the account or of the profile forbids it.
    pub fn key_to_generate(
        &self,
        requester: &Requester,
        wanted: WantedKey,
        request: &CertificateRequest<()>,
    ) -> Result<KeyOrder> {
        let account = requester.account();
        if !account.permissions.contains(&Permission::KeyGeneration) {
            return Err(Error::not_authorized(format!(
                "no keys are made for the account `{}`; make the key and put its public half into the template, or have \
                 the administrator allow `key-generation`",
                account.name
            )));
        }
        check_credential(requester, request.updates.as_ref(), self.now())?;
        let profile = self.profile_for(account, request.profile.as_ref())?;
        // The private half is not kept while an administrator thinks about it.
        if profile.needs_approval() {
            return Err(Error::not_authorized(format!(
                "requests for the profile `{}` wait for an administrator, and a key that is made here cannot wait; make \
                 the key and put its public half into the template",
                profile.name()
            )));
        }
        let ca = self.ca_for(account, request.ca.as_ref())?;
        let kind = wanted.under(&profile)?;
        check_use(&profile, kind)?;
        self.terms(requester, request, &profile, ca, kind, &mut Vec::new())?;
        Ok(KeyOrder { kind, form: profile.key_form() })
    }

    /// Makes a key of a kind that [`Self::key_to_generate`] allowed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no randomness.
    pub fn generate_key(&self, kind: KeyKind) -> Result<GeneratedKey> {
        GeneratedKey::generate(kind)
    }

    /// What signs keys that are made for this requester: extended key usage cmKGA, of the CA that will issue the
    /// certificate. It is made at the first call, and anew when half its life is over.
    ///
    /// # Errors
    /// As [`Self::authorize`] for the CA; [`Error::Unavailable`] when it cannot be had.
    pub fn key_generation_signer(
        &self,
        requester: &Requester,
        ca: Option<&Label>,
    ) -> Result<Arc<Delegate>> {
        let ca = self.ca_for(requester.account(), ca)?;
        let mut state = ca.key_generator.lock().unwrap_or_else(PoisonError::into_inner);
        self.renew(ca, &mut state, &Role::KGA, DELEGATE_VALIDITY, self.now());
        state.at(self.now(), &ca.info().name)
    }

    /// Lets `with` use the shared secret by which this requester proved who it is.
    ///
    /// # Errors
    /// [`Error::Internal`] when it used none; [`Error::Unauthenticated`] when it cannot be opened.
    pub fn with_secret<T>(
        &self,
        requester: &Requester,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let secret = match (requester.credential(), &requester.account().secret) {
            (Credential::Secret, Some(secret)) => secret,
            _ => return Err(Error::internal("a requester with a certificate used no secret")),
        };
        let clear: Zeroizing<Vec<u8>> =
            self.opener.open(&secret.sealed, secret.reference.as_bytes())?;
        Ok(with(&clear))
    }
}
