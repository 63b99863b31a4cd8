//! A pending request: its key, and the state of its transaction. Both outlast the run.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use countersign_ca::FileKey;
use countersign_enroll::client::{Confirmation, Issued};
use countersign_enroll::cmp::client::Waiting;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::folder::{Folder, failure_at, read, remove, sync, write_over};
use super::material::{key_from_pem, key_pem};
use super::settings::Protocol;
use crate::exit::Failure;

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A first certificate, under a secret or the vendor's certificate.
    First,
    /// The renewal of the present certificate.
    Renewal,
}

/// The state of the transaction of a pending request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The request may have been sent, and no answer came. The next run sends a request for the same key: in CMP a new one, in EST and SCEP
    /// the same one.
    Sent,
    /// The CA has not decided. The next run polls by this transaction of CMP.
    Waiting(Waiting),
    /// The CA has not decided. The next run sends the same request of EST, or polls by SCEP.
    Undecided,
    /// The certificate came, and is good. The certConf may have been sent.
    Issued(Box<Issued>),
    /// The CA acknowledged the certConf.
    Confirmed(Box<Issued>),
}

/// A request, as it was begun. It stays the same in each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The protocol of the request.
    pub protocol: Protocol,
    /// The octets that have to be the same whenever the request is sent, DER: in EST the request itself, in SCEP the certificate that the
    /// gateway made to sign its messages. Empty before they are made, and if there are none.
    pub fixed: Vec<u8>,
}

/// A request for a certificate that is not finished.
pub struct Pending {
    /// The request as it was begun.
    pub begun: Begun,
    /// The private key of the requested certificate.
    pub key: FileKey,
    /// The state of the request's transaction.
    pub state: State,
}

/// The content of `transaction.toml`. transactionID and nonce are hexadecimal; certificates and requests are DER in base64.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    version: u32,
    purpose: Option<Purpose>,
    protocol: Protocol,
    fixed: String,
    state: String,
    transaction: String,
    nonce: String,
    certificate: String,
    path: Vec<String>,
    anchors: Vec<String>,
    changes: Vec<String>,
    certificates: Vec<String>,
}

impl Folder {
    /// The pending request; `None` if there is none.
    pub fn pending(&self) -> Result<Option<Pending>, Failure> {
        let transaction = self.pending_transaction();
        let Some(text) = read(&transaction)? else { return Ok(None) };
        let damaged = |why: String| {
            Failure::unavailable(format!(
                "`{}` cannot be used: {why}; `--abandon` gives up what is on its way",
                transaction.display()
            ))
        };
        let written: Written =
            toml::from_str(&String::from_utf8_lossy(&text)).map_err(|e| damaged(e.to_string()))?;
        let (begun, state) = written.state().ok_or_else(|| damaged("it is damaged".into()))?;
        Ok(Some(Pending { begun, key: key_from_pem(&self.pending_key())?, state }))
    }

    /// Makes the folder of the pending request. It is not a pending request yet: that takes a transaction.
    pub fn prepare(&self) -> Result<(), Failure> {
        let folder = self.own("pending");
        if folder.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failure_at(&folder))?;
        sync(&self.own("")).map_err(failure_at(&folder))
    }

    /// Begins a request. Its key is durable when this returns, and must be before the request is sent.
    pub fn begin(
        &self,
        purpose: Purpose,
        protocol: Protocol,
        key: FileKey,
    ) -> Result<Pending, Failure> {
        self.prepare()?;
        let key_path = self.pending_key();
        write_over(&key_path, key_pem(&key)?.as_bytes()).map_err(failure_at(&key_path))?;
        let begun = Begun { purpose, protocol, fixed: Vec::new() };
        let pending = Pending { begun, key, state: State::Sent };
        self.save_pending(&pending)?;
        Ok(pending)
    }

    /// Writes the state of the transaction, durably.
    pub fn save_pending(&self, pending: &Pending) -> Result<(), Failure> {
        self.save_state(&pending.begun, &pending.state)
    }

    /// As [`Self::save_pending`], for a request whose key the caller has taken out of it.
    pub fn save_state(&self, begun: &Begun, state: &State) -> Result<(), Failure> {
        let path = self.pending_transaction();
        let text = toml::to_string(&Written::of(begun, state))
            .map_err(|e| Failure { code: 1, message: e.to_string() })?;
        write_over(&path, text.as_bytes()).map_err(failure_at(&path))
    }

    /// Drops the pending request. The transaction is removed first, because without it the other files mean nothing if the power fails
    /// now.
    pub fn drop_pending(&self) -> Result<(), Failure> {
        let folder = self.own("pending");
        if !folder.is_dir() {
            return Ok(());
        }
        let transaction = self.pending_transaction();
        remove(&transaction).and_then(|()| sync(&folder)).map_err(failure_at(&transaction))?;
        let removed = fs::remove_dir_all(&folder);
        removed.and_then(|()| sync(&self.own(""))).map_err(failure_at(&folder))
    }

    /// The file of the pending request's key.
    fn pending_key(&self) -> PathBuf {
        self.own("pending").join("key.pem")
    }

    /// The file of the pending request's transaction. There is a pending request only if this file exists.
    fn pending_transaction(&self) -> PathBuf {
        self.own("pending").join("transaction.toml")
    }
}

impl Written {
    fn of(begun: &Begun, state: &State) -> Self {
        let base64 = |der: &Vec<u8>| BASE64.encode(der);
        let list = |all: &[Vec<u8>]| all.iter().map(base64).collect();
        let name = match state {
            State::Sent => "sent",
            State::Waiting(_) => "waiting",
            State::Undecided => "undecided",
            State::Issued(_) => "issued",
            State::Confirmed(_) => "confirmed",
        };
        let mut written = Self {
            version: 1,
            purpose: Some(begun.purpose),
            protocol: begun.protocol,
            fixed: base64(&begun.fixed),
            state: name.into(),
            ..Self::default()
        };
        match state {
            State::Sent | State::Undecided => {}
            State::Waiting(waiting) => {
                written.transaction = HEXLOWER.encode(&waiting.transaction);
                written.nonce = HEXLOWER.encode(&waiting.nonce);
            }
            State::Issued(issued) | State::Confirmed(issued) => {
                written.certificate = base64(&issued.certificate);
                written.path = list(&issued.path);
                written.anchors = list(&issued.anchors);
                written.changes.clone_from(&issued.changes);
                if let Some(open) = &issued.confirmation {
                    written.transaction = HEXLOWER.encode(&open.transaction);
                    written.nonce = HEXLOWER.encode(&open.nonce);
                    written.certificates = list(&open.certificates);
                }
            }
        }
        written
    }

    fn state(self) -> Option<(Begun, State)> {
        let purpose = self.purpose.filter(|_| self.version == 1)?;
        let state = match self.state.as_str() {
            "sent" => State::Sent,
            "undecided" => State::Undecided,
            "waiting" => State::Waiting(Waiting {
                transaction: hex(&self.transaction)?,
                nonce: hex(&self.nonce)?,
            }),
            "issued" => State::Issued(Box::new(self.issued()?)),
            "confirmed" => State::Confirmed(Box::new(self.issued()?)),
            _ => return None,
        };
        let fixed = BASE64.decode(self.fixed.as_bytes()).ok()?;
        Some((Begun { purpose, protocol: self.protocol, fixed }, state))
    }

    fn issued(&self) -> Option<Issued> {
        let base64 = |text: &String| BASE64.decode(text.as_bytes()).ok();
        let list = |all: &[String]| all.iter().map(base64).collect::<Option<Vec<_>>>();
        let open = Confirmation {
            transaction: hex(&self.transaction)?,
            nonce: hex(&self.nonce)?,
            certificates: list(&self.certificates)?,
        };
        Some(Issued {
            certificate: base64(&self.certificate)?,
            path: list(&self.path)?,
            anchors: list(&self.anchors)?,
            changes: self.changes.clone(),
            confirmation: (!open.transaction.is_empty()).then_some(open),
        })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER.decode(text.as_bytes()).ok()
}
