//! Founds an instance: its own keys, its root, and its issuing CAs. If a step is interrupted, it can be repeated.

use std::fs;
use std::sync::Arc;

use super::ca_certificate::{self, CaOptions};
use super::ca_subject;
use crate::clock::Clock;
use crate::durable_file::write_atomically;
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::key::{FileKey, KeyAlgorithm, KeyFolder, Opener, Passphrase, Sealer};
use crate::lint::{self, Purpose, Severity};
use crate::record::{CaRecord, Label, Serial, Succession};
use crate::signed::{HandedOut, refuse};
use crate::store::Store;
use crate::x509::{Facts, to_pem};

/// The name of the key file with the key that opens the sealed shared secrets of accounts.
pub const SEAL_KEY: &str = "_seal";
/// The name of the key file with the key that signs the tree heads of the journal.
pub const AUDIT_KEY: &str = "_audit";

/// The parts from which an instance is founded and opened.
#[derive(Clone)]
pub struct Foundation {
    /// The store of the instance's records.
    pub store: Arc<dyn Store>,
    /// The folder with the instance's private keys.
    pub keys: KeyFolder,
    /// The passphrase of the private keys.
    pub passphrase: Passphrase,
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Foundation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foundation").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Foundation {
    /// Makes the sealing key and the audit key, unless they exist, and writes their public halves beside them.
    ///
    /// # Errors
    /// As [`KeyFolder::save`]; [`Error::Unauthenticated`] if they exist under another passphrase.
    pub fn create_own_keys(&self) -> Result<()> {
        let opener = if self.keys.contains(SEAL_KEY) {
            Opener::load(&self.keys, SEAL_KEY, &self.passphrase)?
        } else {
            Opener::create(&self.keys, SEAL_KEY, &self.passphrase, self.entropy.as_ref())?
        };
        self.publish(&format!("{SEAL_KEY}.pub"), "PUBLIC KEY", &opener.sealer().to_der()?)?;
        let audit = self.key(AUDIT_KEY, KeyAlgorithm::Ed25519)?;
        self.publish(&format!("{AUDIT_KEY}.pub"), "PUBLIC KEY", audit.public().der())
    }

    /// Makes the root's key and certificate, and records the root under the name `root`.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there already is one, or the subject is taken; with [`Denial::Template`] if the lint
    /// finds an error.
    pub fn create_root(&self, options: &CaOptions, algorithm: KeyAlgorithm) -> Result<CaRecord> {
        let name = root_label()?;
        self.refuse_existing(&name)?;
        ca_subject::refuse_taken(&options.subject, &self.store.cas()?)?;
        let key = self.ca_key(&name, algorithm)?;
        let serial = self.reserve(&name)?;
        let certificate = ca_certificate::root(options, &key, serial, self.clock.now())?;
        self.record(CaRecord {
            name,
            is_root: true,
            certificate,
            chain: Vec::new(),
            succeeds: None,
        })
    }

    /// Makes the key and certificate of an issuing CA below the root, and records the CA.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if the name or the subject is taken, or the root is kept elsewhere; with [`Denial::Template`]
    /// if the lint finds an error; [`Error::Malformed`] if the name is reserved for the instance's own keys.
    pub fn create_issuing(
        &self,
        name: &Label,
        options: &CaOptions,
        algorithm: KeyAlgorithm,
    ) -> Result<CaRecord> {
        self.refuse_existing(name)?;
        ca_subject::refuse_taken(&options.subject, &self.store.cas()?)?;
        let root = self.signing_root()?;
        let root_key = self.keys.load(root.name.as_str(), &self.passphrase)?;
        let key = self.ca_key(name, algorithm)?;
        let serial = self.reserve(&root.name)?;
        let certificate = ca_certificate::issuing(
            options,
            key.public(),
            &root.certificate,
            &root_key,
            serial,
            self.clock.now(),
        )?;
        self.record(CaRecord {
            name: name.clone(),
            is_root: false,
            certificate,
            chain: vec![root.certificate],
            succeeds: None,
        })
    }

    /// Makes an issuing CA's key, and returns a PKCS #10 request (PEM) to a root that is kept elsewhere. Nothing is recorded yet.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if the name or the subject is taken; [`Error::Malformed`] if the name is reserved for the
    /// instance's own keys.
    pub fn request_issuing(
        &self,
        name: &Label,
        options: &CaOptions,
        algorithm: KeyAlgorithm,
    ) -> Result<String> {
        self.refuse_existing(name)?;
        ca_subject::refuse_taken(&options.subject, &self.store.cas()?)?;
        let key = self.ca_key(name, algorithm)?;
        to_pem("CERTIFICATE REQUEST", &ca_certificate::request(options, &key)?)
    }

    /// Installs the certificate that a root elsewhere issued for the CA `name`, with all certificates above it (DER, root last), and
    /// records the CA and, if it is new, the root.
    ///
    /// # Errors
    /// `Denied` that says what is wrong with the chain, or with [`Denial::Conflict`] if the name or the subject is taken;
    /// [`Error::Malformed`] if a certificate cannot be read; [`Error::Unavailable`] if the CA's key is missing.
    pub fn install_issuing(&self, name: &Label, chain: &[Vec<u8>]) -> Result<CaRecord> {
        self.refuse_existing(name)?;
        self.install(name, chain, None)
    }

    /// Like [`Self::install_issuing`], also for a CA with the next key of the CA `succeeds`. It does not check whether the name is taken.
    pub(crate) fn install(
        &self,
        name: &Label,
        chain: &[Vec<u8>],
        succeeds: Option<Succession>,
    ) -> Result<CaRecord> {
        let key = self.keys.load(name.as_str(), &self.passphrase)?;
        ca_certificate::check_chain(chain, &key, self.clock.now())?;
        let (certificate, above) =
            chain.split_first().ok_or_else(|| Error::malformed("expected a certificate"))?;
        ca_subject::refuse_taken(&Facts::of(certificate)?.subject, &self.store.cas()?)?;
        let findings = lint::certificate(certificate, Some(Purpose::IssuingCa));
        if let Some(finding) = findings.iter().find(|finding| finding.severity == Severity::Error) {
            return Err(refuse(finding));
        }
        // Refuses a chain below which no verifier would accept anything.
        HandedOut::of(chain)?.probe(self.clock.now())?;
        self.record_root_above(name, above)?;
        self.record(CaRecord {
            name: name.clone(),
            is_root: false,
            certificate: certificate.clone(),
            chain: above.to_vec(),
            succeeds,
        })
    }

    /// The public sealing key, from its file beside the private keys. No passphrase is needed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file is missing or cannot be read.
    pub fn sealer(keys: &KeyFolder) -> Result<Sealer> {
        Sealer::from_der(&read_public(keys, SEAL_KEY)?)
    }

    /// The public audit key, as a DER SubjectPublicKeyInfo, from its file beside the private keys. No passphrase is needed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file is missing or cannot be read.
    pub fn audit_public_key(keys: &KeyFolder) -> Result<Vec<u8>> {
        read_public(keys, AUDIT_KEY)
    }

    /// Draws a serial number for a certificate that `ca` will sign, and records it durably. It is recorded before anything is signed with
    /// it, so that a power cut leaves a trace of a certificate that may exist.
    pub(crate) fn reserve(&self, ca: &Label) -> Result<Serial> {
        let serial = Serial::random(self.entropy.as_ref())?;
        self.store.reserve_serials(self.clock.now(), ca, &[serial])?;
        Ok(serial)
    }

    /// The private key in the file with this name. A key of the kind `algorithm` is generated if there is no file; an existing key may be
    /// of another kind.
    pub(crate) fn key(&self, name: &str, algorithm: KeyAlgorithm) -> Result<FileKey> {
        if self.keys.contains(name) {
            return self.keys.load(name, &self.passphrase);
        }
        let key = FileKey::generate(algorithm)?;
        self.keys.save(name, &key, &self.passphrase, self.entropy.as_ref())?;
        Ok(key)
    }

    /// The key of a CA that is being founded: the key that an interrupted attempt left, or a new one.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if the existing key is of another kind.
    pub(crate) fn ca_key(&self, name: &Label, algorithm: KeyAlgorithm) -> Result<FileKey> {
        let key = self.key(name.as_str(), algorithm)?;
        match KeyAlgorithm::of(key.public().kind()) == algorithm {
            true => Ok(key),
            false => Err(Error::denied(
                Denial::Conflict,
                format!(
                    "an earlier try left a key of another kind ({}) for `{name}`; ask for that kind, or remove `{}` and try again",
                    key.public().kind(),
                    self.keys.path(name.as_str()).display()
                ),
            )),
        }
    }

    /// Writes a public object (`der`) in PEM to a file beside the keys, for people and tools. `label` is that of the PEM block.
    pub(crate) fn publish(&self, file: &str, label: &'static str, der: &[u8]) -> Result<()> {
        write_atomically(&self.keys.file(file), to_pem(label, der)?.as_bytes())
    }

    /// Refuses the name of an existing CA, and names that begin with `_` or end as the key files of delegates do, because the key files of the
    /// instance and of delegates have such names.
    pub(crate) fn refuse_existing(&self, name: &Label) -> Result<()> {
        self.refuse_reserved(name)?;
        match self.store.cas()?.iter().any(|ca| ca.name == *name) {
            true => Err(Error::denied(Denial::Conflict, format!("there is a CA `{name}` already"))),
            false => Ok(()),
        }
    }

    /// Refuses names that begin with `_` or end as the key files of delegates do.
    pub(crate) fn refuse_reserved(&self, name: &Label) -> Result<()> {
        let endings = [".cmp", ".kga", ".ocsp", ".scep-enc", ".scep-sig"];
        let of_a_delegate = endings.iter().any(|ending| name.as_str().ends_with(ending));
        if name.as_str().starts_with('_') || of_a_delegate {
            return Err(Error::malformed(format!(
                "`{name}` is a name of the instance's own; choose another"
            )));
        }
        Ok(())
    }

    /// Records the root (last in `above`) of the CA `name`, unless it is recorded. The root is recorded before the CA, so that every
    /// recorded chain ends at a recorded root.
    pub(super) fn record_root_above(&self, name: &Label, above: &[Vec<u8>]) -> Result<()> {
        let Some(root) = above.last() else { return Ok(()) };
        let cas = self.store.cas()?;
        if cas.iter().any(|ca| ca.certificate == *root) {
            return Ok(());
        }
        let label = root_label()?;
        let taken = cas.iter().any(|ca| ca.name == label);
        let label = if taken { format!("{name}.root").parse()? } else { label };
        self.record(CaRecord {
            name: label,
            is_root: true,
            certificate: root.clone(),
            chain: Vec::new(),
            succeeds: None,
        })?;
        Ok(())
    }

    /// Records a CA and writes its certificate beside the keys.
    pub(crate) fn record(&self, ca: CaRecord) -> Result<CaRecord> {
        Facts::of(&ca.certificate)?;
        self.store.record_ca(self.clock.now(), &ca)?;
        self.publish(&format!("{}.crt", ca.name), "CERTIFICATE", &ca.certificate)?;
        Ok(ca)
    }
}

/// Reads a public key from its file beside the private ones, and returns it in DER.
fn read_public(keys: &KeyFolder, name: &str) -> Result<Vec<u8>> {
    let path = keys.file(&format!("{name}.pub"));
    let pem = fs::read(&path).map_err(|e| Error::io(format!("`{}`", path.display()), &e))?;
    let (_, der) = der::pem::decode_vec(&pem)
        .map_err(|e| Error::unavailable(format!("`{}` is not a PEM file: {e}", path.display())))?;
    Ok(der)
}

/// The name under which the first root is recorded: `root`.
///
/// # Errors
/// Never in practice, because the name is a valid label.
pub fn root_label() -> Result<Label> {
    "root".parse()
}
