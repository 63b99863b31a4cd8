//! Acts on an authenticated message. Each kind of body has a file of its own; this one has the parts that they share.

pub mod confirm;
pub mod cross;
pub mod delivery;
pub mod general;
pub mod grant;
pub mod issued;
pub mod keygen;
pub mod poll;
pub mod possession;
pub mod registration;
pub mod request;
pub mod revoke;
pub mod transaction;

use countersign_ca::authority::TransactionDraft;
use countersign_ca::record::{Label, Serial};
use countersign_ca::{Credential, Denial, Error, Registrar, Requester, Timestamp};
use der::asn1::{Int, OctetString};
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::server::sender::original::Original;
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::context::{
    Context, Protection, certificate_name, credential_hash, secret_name,
};
use crate::cmp::server::service::route::Route;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::oid;
use crate::cmp::wire::popo::PkMacValue;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};
use crate::transport::pool::Pool;

/// One authenticated message, with everything that is needed to act on it.
pub struct Exchange<'a> {
    /// The server.
    pub service: &'a CmpService,
    /// The path of the message's HTTP request, and the client's address.
    pub route: &'a Route,
    /// The message.
    pub message: &'a Message,
    /// The sender of the message.
    pub requester: &'a Requester,
    /// How the message is protected.
    pub protection: Protection,
    /// The senderNonce of the answer.
    pub nonce: &'a [u8; 16],
    /// A publicKeyMAC in the request that was verified with the sender's secret.
    pub public_key_mac: Option<PkMacValue>,
    /// The sender, if it is a registration authority; else `None`.
    pub registrar: Option<&'a Registrar>,
    /// The registration authority that added its protection to the message.
    pub forwarder: Option<&'a Registrar>,
    /// The end entity's message that a registration authority changed into this one, if the registration authority sent it along.
    pub original: Option<Original>,
    /// The CA that answers; `None` means the default CA.
    pub ca: Option<Label>,
    /// The kind of thread that works on the message.
    pub pool: Pool,
}

/// A CRMF request whose key is not proven yet.
pub struct CrmfRequest {
    /// The kind of body that answers: that of ip, cp or kup.
    pub answer: u8,
    /// The certReqId.
    pub id: Int,
    /// The request.
    pub message: CertReqMsg,
    /// For a kur: the serial number of the certificate that it updates. `None` for any other request.
    pub updates: Option<Serial>,
}

/// A certificate that this authority issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateId {
    /// The CA that issued the certificate.
    pub ca: Label,
    /// The serial number of the certificate.
    pub serial: Serial,
}

impl Exchange<'_> {
    /// The profile that the URL's path or the header names (id-it-certProfile, RFC 9483 §3.1); `None` if neither names one.
    ///
    /// # Errors
    /// `badRequest` if the profile is unknown, if certProfile does not have exactly one name, or if path and header name different
    /// profiles; `badDataFormat` if the name in the header has characters or a length that no profile's name can have.
    pub fn profile(&self) -> Result<Option<Label>, Refusal> {
        let bad = |why: String| Refusal::new(Failure::BadRequest, why);
        let infos = self.message.header.general_info.iter().flatten();
        let Some(info) = infos.into_iter().find(|info| info.info_type == oid::CERT_PROFILE) else {
            return Ok(self.route.profile.clone());
        };
        let names =
            info.info_value.as_ref().and_then(|value| value.decode_as::<Vec<String>>().ok());
        let [name] = names.as_deref().unwrap_or_default() else {
            return Err(bad(
                "expected one profile in certProfile: one certificate is asked for".into()
            ));
        };
        let label: Label = name.parse()?;
        match &self.route.profile {
            Some(path) if *path != label => {
                Err(bad(format!("the path names the profile `{path}`, and certProfile `{label}`")))
            }
            _ if self.service.authority().is_profile(&label) => Ok(Some(label)),
            _ => Err(bad(format!("there is no profile `{label}`"))),
        }
    }

    /// Drafts the record of a new transaction, in which no confirmation is awaited yet. `until` is the time until which its last message is
    /// awaited.
    ///
    /// The transactionID is remembered longer than that, by twice `time_window`. The messageTime of a message may be one such window ahead,
    /// and the message is accepted for one window after its messageTime. A replay of it could pass the check of messageTime for so long.
    ///
    /// # Errors
    /// `transactionIdInUse`.
    pub fn draft(&self, id: &Int, until: Timestamp) -> Result<TransactionDraft, Refusal> {
        self.check_new_transaction()?;
        Ok(TransactionDraft {
            id: self.message.transaction_id().to_vec(),
            expires: until.plus(self.service.config().time_window.saturating_mul(2)),
            context: self.context(id)?.encode().map_err(encoding_failed)?,
            confirm_until: None,
            registrar: None,
            client: self.route.client,
            proof: Some(self.requester.credential().proof()),
        })
    }

    /// Checks that no message used the transactionID before.
    ///
    /// # Errors
    /// `transactionIdInUse`.
    pub fn check_new_transaction(&self) -> Result<(), Refusal> {
        let (authority, id) = (self.service.authority(), self.message.transaction_id());
        let is_challenged = self.service.challenges().contains(id, authority.now());
        match is_challenged || authority.transaction(id)?.is_some() {
            true => Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            )),
            false => Ok(()),
        }
    }

    /// The pvno of the message: 2 or 3, as the check of the header made sure.
    pub fn version(&self) -> u8 {
        self.message.header.pvno.as_bytes().last().copied().unwrap_or_default()
    }

    /// Whether the message asks for implicit confirmation (RFC 9810 §5.1.1.1).
    pub fn asks_for_implicit_confirm(&self) -> bool {
        let infos = self.message.header.general_info.iter().flatten();
        infos.into_iter().any(|info| info.info_type == oid::IMPLICIT_CONFIRM)
    }

    /// The context against which the next message of the transaction is checked. `id` is the certReqId of the request.
    pub fn context(&self, id: &Int) -> Result<Context, Refusal> {
        let peer_nonce = self.message.header.sender_nonce.clone();
        let credential = self.credential().map_err(encoding_failed)?;
        let context = Context::new(id.clone(), self.nonce, self.protection);
        Ok(context.map_err(encoding_failed)?.bound(peer_nonce, credential))
    }

    /// The hash of the name of the sender's credential: of its certificate, be it a vendor's, or of its secret together with the kind of
    /// MAC.
    pub fn credential(&self) -> der::Result<OctetString> {
        let name = match self.requester.credential() {
            Credential::Certificate(record) | Credential::Registrar(record) => {
                certificate_name(&record.ca, &record.serial)
            }
            Credential::Vendor(signed) => {
                format!("{}:{}", signed.vendor, data_encoding::HEXLOWER.encode(&signed.certificate))
            }
            Credential::Secret => {
                let algorithm = self.message.header.protection_alg.as_ref();
                let secret = self.requester.account().secret.as_ref();
                secret_name(
                    algorithm.map(|algorithm| algorithm.oid),
                    secret.map(|secret| secret.reference.as_str()).unwrap_or_default(),
                )
            }
        };
        credential_hash(&name)
    }

    /// Finds a certificate of this authority by its issuer's name and its serial number.
    ///
    /// # Errors
    /// `badCertId` if this authority issued no such certificate.
    pub fn issued_here(
        &self,
        issuer: &GeneralName,
        serial: &[u8],
    ) -> Result<CertificateId, Refusal> {
        let none = || {
            Refusal::from(Error::denied(
                Denial::NoSuchCertificate,
                "no certificate of this issuer and serial number was issued here",
            ))
        };
        let GeneralName::DirectoryName(name) = issuer else { return Err(none()) };
        let serial = Serial::from_integer(serial).ok_or_else(none)?;
        let ca = self.service.authority().ca_of(name, &serial)?.ok_or_else(none)?;
        Ok(CertificateId { ca, serial })
    }
}
