//! Founds an instance: its keys, its root, and the issuing CAs. Each step can be repeated after it was interrupted.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::signed::certificate::{Facts, to_pem};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::founding::{self, CaOptions};
use crate::founding::generation;
use crate::signed::handed_out::HandedOut;
use crate::key::{FileKey, KeyAlgorithm, KeyFolder, Passphrase};
use crate::record::{CaRecord, Label, Serial, Succession};
use crate::key::seal::{Opener, Sealer};
use crate::store::Store;

/// The name of the key that opens sealed secrets.
pub const SEAL_KEY: &str = "_seal";
/// The name of the key that signs the journal's tree heads.
pub const AUDIT_KEY: &str = "_audit";

/// What an instance stands on.
#[derive(Clone)]
pub struct Foundation {
    /// The records.
    pub store: Arc<dyn Store>,
    /// The keys.
    pub keys: KeyFolder,
    /// What opens the keys.
    pub passphrase: Passphrase,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Foundation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foundation").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Foundation {
    /// Makes the sealing key and the audit key, unless they exist.
    ///
    /// # Errors
    /// As [`KeyFolder::save`]; [`Error::Unauthenticated`] when they exist under another passphrase.
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

    /// Makes the root.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is one.
    pub fn create_root(&self, options: &CaOptions, algorithm: KeyAlgorithm) -> Result<CaRecord> {
        let name = founding::root_label()?;
        self.refuse_existing(&name)?;
        generation::refuse_taken(&options.subject, &self.store.cas()?)?;
        let key = self.ca_key(&name, algorithm)?;
        let serial = self.reserve(&name)?;
        let certificate = founding::root(options, &key, serial, self.clock.now())?;
        self.record(CaRecord {
            name,
            is_root: true,
            certificate,
            chain: Vec::new(),
            succeeds: None,
        })
    }

    /// Makes an issuing CA below the root.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when the name is taken, or the root is kept elsewhere.
    pub fn create_issuing(
        &self,
        name: &Label,
        options: &CaOptions,
        algorithm: KeyAlgorithm,
    ) -> Result<CaRecord> {
        self.refuse_existing(name)?;
        generation::refuse_taken(&options.subject, &self.store.cas()?)?;
        let root = self.signing_root()?;
        let root_key = self.keys.load(root.name.as_str(), &self.passphrase)?;
        let key = self.ca_key(name, algorithm)?;
        let serial = self.reserve(&root.name)?;
        let certificate = founding::issuing(
            options,
            &key,
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

    /// Makes an issuing CA's key, and a PKCS#10 request (PEM) for a root that is kept elsewhere.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when the name is taken.
    pub fn request_issuing(
        &self,
        name: &Label,
        options: &CaOptions,
        algorithm: KeyAlgorithm,
    ) -> Result<String> {
        self.refuse_existing(name)?;
        generation::refuse_taken(&options.subject, &self.store.cas()?)?;
        let key = self.ca_key(name, algorithm)?;
        to_pem("CERTIFICATE REQUEST", &founding::request(options, &key)?)
    }

    /// Takes the certificate that a root elsewhere made, with every certificate above it, root last.
    ///
    /// # Errors
    /// `Denied` that says what is wrong with the chain; [`Error::Unavailable`] when there is no key for it.
    pub fn install_issuing(&self, name: &Label, chain: &[Vec<u8>]) -> Result<CaRecord> {
        self.refuse_existing(name)?;
        self.install(name, chain, None)
    }

    /// As [`Self::install_issuing`], for a CA that may follow another.
    pub(crate) fn install(
        &self,
        name: &Label,
        chain: &[Vec<u8>],
        succeeds: Option<Succession>,
    ) -> Result<CaRecord> {
        let key = self.keys.load(name.as_str(), &self.passphrase)?;
        founding::check_chain(chain, &key, self.clock.now())?;
        let (certificate, above) =
            chain.split_first().ok_or_else(|| Error::malformed("expected a certificate"))?;
        generation::refuse_taken(&Facts::of(certificate)?.subject, &self.store.cas()?)?;
        let findings = crate::lint::certificate(certificate, Some(crate::lint::Purpose::IssuingCa));
        if let Some(finding) =
            findings.iter().find(|finding| finding.severity == crate::lint::Severity::Error)
        {
            return Err(Error::denied(
                Denial::Template,
                format!("lint `{}` ({}): {}", finding.code, finding.section, finding.message),
            ));
        }
        // Nothing below it would verify, or it has room for peers.
        HandedOut::of(chain)?.probe(self.clock.now())?;
        if let Some(root) = above.last() {
            let label = founding::root_label()?;
            if !self.store.cas()?.iter().any(|ca| ca.certificate == *root) {
                let taken = self.store.cas()?.iter().any(|ca| ca.name == label);
                let label = if taken { format!("{name}.root").parse()? } else { label };
                self.record(CaRecord {
                    name: label,
                    is_root: true,
                    certificate: root.clone(),
                    chain: Vec::new(),
                    succeeds: None,
                })?;
            }
        }
        self.record(CaRecord {
            name: name.clone(),
            is_root: false,
            certificate: certificate.clone(),
            chain: above.to_vec(),
            succeeds,
        })
    }

    /// The public half of the sealing key, which needs no passphrase.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is missing.
    pub fn sealer(keys: &KeyFolder) -> Result<Sealer> {
        Sealer::from_der(&read_public(keys, SEAL_KEY)?)
    }

    /// The public half of the audit key, which needs no passphrase: a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is missing.
    pub fn audit_public_key(keys: &KeyFolder) -> Result<Vec<u8>> {
        read_public(keys, AUDIT_KEY)
    }

    /// A serial number that was recorded just now.
    pub(crate) fn reserve(&self, ca: &Label) -> Result<Serial> {
        let serial = random_serial(self.entropy.as_ref())?;
        self.store.reserve_serials(self.clock.now(), ca, &[serial])?;
        Ok(serial)
    }

    /// The key of this name, made if there is none.
    pub(crate) fn key(&self, name: &str, algorithm: KeyAlgorithm) -> Result<FileKey> {
        if self.keys.contains(name) {
            return self.keys.load(name, &self.passphrase);
        }
        let key = FileKey::generate(algorithm)?;
        self.keys.save(name, &key, &self.passphrase, self.entropy.as_ref())?;
        Ok(key)
    }

    /// The key of a CA that is being made: one that an interrupted try left, or a new one.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when the one that was left is of another kind.
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

    /// Writes a public object beside the keys, in PEM, for people and tools.
    pub(crate) fn publish(&self, file: &str, label: &'static str, der: &[u8]) -> Result<()> {
        write_atomically(&self.keys.file(file), to_pem(label, der)?.as_bytes())
    }

    pub(crate) fn refuse_existing(&self, name: &Label) -> Result<()> {
        let of_a_delegate = [".cmp", ".ocsp"].iter().any(|ending| name.as_str().ends_with(ending));
        if name.as_str().starts_with('_') || of_a_delegate {
            return Err(Error::malformed(format!(
                "`{name}` is a name of the instance's own; choose another"
            )));
        }
        match self.store.cas()?.iter().any(|ca| ca.name == *name) {
            true => Err(Error::denied(Denial::Conflict, format!("there is a CA `{name}` already"))),
            false => Ok(()),
        }
    }

    /// Records a CA, and publishes its certificate.
    pub(crate) fn record(&self, ca: CaRecord) -> Result<CaRecord> {
        Facts::of(&ca.certificate)?;
        self.store.record_ca(self.clock.now(), &ca)?;
        self.publish(&format!("{}.crt", ca.name), "CERTIFICATE", &ca.certificate)?;
        Ok(ca)
    }
}

/// 128 random bits.
pub(crate) fn random_serial(entropy: &dyn Entropy) -> Result<Serial> {
    let mut octets = [0; 16];
    entropy.fill(&mut octets)?;
    Serial::new(octets)
        .ok_or_else(|| Error::unavailable("the source of randomness gives only zeros"))
}

/// Replaces a file as a whole, durably: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// [`Error::Unavailable`] that names the file.
pub fn write_atomically(path: &PathBuf, content: &[u8]) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|e| failed(&e))?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|e| {
        // The old file is untouched; a half-written new one must not keep the disk full.
        drop(fs::remove_file(&temporary));
        failed(&e)
    })
}

fn read_public(keys: &KeyFolder, name: &str) -> Result<Vec<u8>> {
    let path = keys.file(&format!("{name}.pub"));
    let pem = fs::read(&path).map_err(|e| Error::io(format!("`{}`", path.display()), &e))?;
    let (_, der) = der::pem::decode_vec(&pem)
        .map_err(|e| Error::unavailable(format!("`{}` is not a PEM file: {e}", path.display())))?;
    Ok(der)
}
