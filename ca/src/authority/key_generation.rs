//! Key pairs that the authority generates for peers, and the delegate that signs their private keys, the key generation
//! authority (RFC 9810 §4.5, RFC 9483 §4.1.6).

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
    /// Decides whether a key pair may be generated for this request now, of which kind, and in which form the private key is handed over.
    /// No key is generated yet. Everything that [`Self::authorize`] would refuse independently of the key is refused here.
    ///
    /// # Errors
    /// As [`Self::key_order`]; `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) if an administrator must approve the request.
    pub fn key_to_generate(
        &self,
        requester: &Requester,
        wanted: WantedKey,
        request: &CertificateRequest<()>,
    ) -> Result<KeyOrder> {
        let order = self.key_order(requester, wanted, request)?;
        // The private key of a waiting request would have to be stored, and generated keys are never stored.
        if order.needs_approval {
            return Err(Error::not_authorized(format!(
                "requests for the profile `{}` wait for an administrator, and a key that is made here cannot wait; make \
                 the key and put its public half into the template",
                requester.account().profile
            )));
        }
        Ok(order)
    }

    /// Like [`Self::key_to_generate`], for a protocol in which the client repeats the request once it is approved. The key is generated
    /// only then ([`Self::submit_for_key`]).
    ///
    /// # Errors
    /// `Denied` that says which rule of the account or the profile forbids it; otherwise as [`Self::authorize`].
    pub fn key_order(
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
        let ca = self.ca_for(account, request.ca.as_ref())?;
        let kind = wanted.under(&profile)?;
        check_use(&profile, kind)?;
        self.terms(requester, request, &profile, ca, kind, &mut Vec::new())?;
        Ok(KeyOrder { kind, form: profile.key_form(), needs_approval: profile.needs_approval() })
    }

    /// Generates a key pair of a kind that [`Self::key_to_generate`] allowed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the key pair cannot be generated.
    pub fn generate_key(&self, kind: KeyKind) -> Result<GeneratedKey> {
        GeneratedKey::generate(kind)
    }

    /// The delegate that signs private keys generated for this requester. It is certified (with extended key usage id-kp-cmKGA)
    /// by the CA that will issue the requester's certificate; `ca` is the CA that the request names, if it names one. The delegate is made
    /// at the first call, and its certificate is renewed when half of its life has passed.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) if the requester's account is for another CA than `ca`;
    /// [`Error::Unavailable`] if there is no issuing CA, or the delegate cannot be made.
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

    /// Calls `with` with the shared secret by which this requester proved its identity, and returns its result.
    ///
    /// # Errors
    /// [`Error::Internal`] if the requester used no secret, or the sealed secret is damaged.
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
