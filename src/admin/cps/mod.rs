//! A certification practice statement by the outline of RFC 3647 §6: what this instance does, from its configuration in force and its
//! records, and marks where the operator has to write the rest.

mod outline;

use std::fmt::Write as _;
use std::time::Duration;

use countersign_ca::Store;
use countersign_ca::profile::{AltNameKind, Profile};
use countersign_ca::record::CaRecord;
use countersign_ca::x509::Facts;
use der::Decode as _;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{KeyUsages, NameConstraints};

use super::answer::CpsAnswer;
use crate::config::Config;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::roles::Verb;

use outline::{OUTLINE, Section};

/// The beginning of the mark of what the operator has to write.
const MARK: &str = "[[operator: ";

/// Writes the statement.
///
/// # Errors
/// The store fails.
pub fn statement(instance: &Instance) -> Result<CpsAnswer, Failure> {
    let facts = Statement::new(instance)?;
    let mut markdown = format!(
        "# Certification practice statement\n\nThe outline is that of RFC 3647. `countersign docs cps` wrote what this instance does, as it was \
         configured on {}; `{MARK}…]]` marks what its operator has to write.\n",
        instance.now().whole_seconds()
    );
    let mut left = 0_usize;
    for (place, Section { number, title, asked }) in OUTLINE.iter().enumerate() {
        let level = "#".repeat(number.matches('.').count().saturating_add(2));
        let _ = write!(markdown, "\n{level} {number} {title}\n");
        let text = facts.text(number);
        if let Some(text) = &text {
            let _ = write!(markdown, "\n{}\n", text.trim_end());
        }
        let next = OUTLINE.get(place.saturating_add(1));
        let has_parts = next.is_some_and(|next| next.number.starts_with(&format!("{number}.")));
        if !asked.is_empty() {
            left = left.saturating_add(1);
            let _ = write!(markdown, "\n{MARK}{asked}]]\n");
        } else if text.is_none() && !has_parts {
            return Err(Failure {
                code: 1,
                message: format!("nothing is said in section {number}"),
            });
        }
    }
    Ok(CpsAnswer { markdown, sections: OUTLINE.len(), left })
}

/// What the sections are filled from.
struct Statement<'a> {
    config: &'a Config,
    cas: Vec<(CaRecord, Facts)>,
    profiles: Vec<Profile>,
    default_ca: Option<String>,
    roles: String,
    revoking: String,
    vendors: Vec<String>,
}

impl<'a> Statement<'a> {
    fn new(instance: &'a Instance) -> Result<Self, Failure> {
        let cas = instance.store.cas()?.into_iter().map(|ca| {
            let facts = Facts::of(&ca.certificate)?;
            Ok((ca, facts))
        });
        let (mut roles, mut revoking) = (String::new(), String::new());
        for (name, verbs, line) in instance.config.admin.roles.iter() {
            let verbs: Vec<&str> = verbs.iter().map(|verb| verb.name()).collect();
            let line = line.map_or_else(|| verbs.join(", "), str::to_owned);
            let _ = writeln!(roles, "- `{name}`: {line}.");
            if verbs.contains(&Verb::CertRevoke.name()) {
                let _ = writeln!(revoking, "- `{name}`");
            }
        }
        let vendors = instance.store.vendors()?.into_iter().map(|vendor| vendor.name.to_string());
        Ok(Self {
            config: &instance.config,
            cas: cas.collect::<Result<_, Failure>>()?,
            profiles: instance.profiles().iter().cloned().collect(),
            default_ca: instance.default_ca()?.map(|name| name.to_string()),
            roles,
            revoking,
            vendors: vendors.collect(),
        })
    }

    /// The text of a section; `None` if the instance has nothing to say there.
    fn text(&self, number: &str) -> Option<String> {
        let file = &self.config.file;
        Some(match number {
            "1.1" => format!(
                "This PKI certifies the public keys of gateways, hosts and users for IPsec (RFC 4945), by {} root and {} issuing CAs.",
                self.cas.iter().filter(|(ca, _)| ca.is_root).count(),
                self.cas.iter().filter(|(ca, _)| !ca.is_root).count()
            ),
            "1.2" => self.policies(),
            "1.3.1" => self.table_of_cas(),
            "1.3.2" => {
                let names: Vec<String> = self.named(Profile::is_for_registrars);
                format!("An account with a profile for registration authorities ({}) may ask for accounts of its CA; it vouches for them by its certificate.", names.join(", "))
            }
            "1.3.3" => "Each subscriber has an account, which an administrator adds. The account has the identities that certificates may contain, and a profile.".into(),
            "2.1" => match &file.http.public_url {
                Some(url) => format!("Certificates of CAs, CRLs and OCSP answers are at `{url}`: `/ca/CA.cer`, `/crl/CA.crl`, `/ocsp`.{}", self.directories()),
                None => format!("Certificates of CAs, CRLs and OCSP answers are at the HTTP server of the instance, `{}`. Certificates name no location, as `http.public_url` is not set.{}", file.http.listen, self.directories()),
            },
            "2.2" => "The repositories have the certificates of the CAs, their CRLs and, unless the subscriber declined, the certificates that are in use.".into(),
            "2.3" => format!("A certificate is published once its holder has confirmed it, and a CRL as soon as it is signed. {}", self.crl_frequency()),
            "2.4" => "Everybody may read. Nobody writes but the instance itself.".into(),
            "3.1.1" => {
                let mut text = "The subject is a distinguished name, and the subjectAltName has the identities.\n\n| profile | subject | alternative names |\n| --- | --- | --- |\n".to_owned();
                for profile in &self.profiles {
                    let names: Vec<&str> = [("fqdn", AltNameKind::Fqdn), ("ip", AltNameKind::Ip), ("email", AltNameKind::Email)]
                        .into_iter()
                        .filter(|(_, kind)| profile.takes(*kind))
                        .map(|(name, _)| name)
                        .collect();
                    let _ = writeln!(text, "| `{}` | `{}` | {} |", profile.name(), profile.subject(), names.join(", "));
                }
                text + "\n`{id}` is the first identity of the account, and `{name}` the account's name."
            }
            "3.1.4" => "Names are compared as RFC 5280 §7.1 says; host names and the domains of mail addresses ignore case.".into(),
            "3.1.5" => "An account's name is unique. An identity may be held by several accounts; whoever adds the second one is warned. The serial number of a certificate is unique for its CA, and has 128 random bits.".into(),
            "3.2.1" => "The applicant signs the request with the private key (PKCS #10, or CRMF, RFC 4211 §4.1). A key that cannot sign is proven by decryption, or by the confirmation of a certificate that was encrypted for it (RFC 4211 §4.2, §4.3). A registration authority may vouch for the possession.".into(),
            "3.2.3" => self.authentication(),
            "3.2.4" => "A certificate has no name that the account has not: what a request asks for beyond it is refused, or replaced and told to the subscriber.".into(),
            "3.3.1" => "The subscriber signs the request with the key of the present certificate (CMP kur, EST /simplereenroll, SCEP RenewalReq), which must be valid and not revoked.".into(),
            "3.3.2" => "A revoked certificate signs nothing. An administrator gives the account a new secret.".into(),
            "3.4" => "A subscriber signs the request (CMP rr) with the certificate's key or another one of the account, or protects it with the account's secret. An administrator proves identity as section 5.2.3 says.".into(),
            "4.1.1" => "Whoever holds an account: by its secret, by a certificate of its own, by the vendor's certificate of its device, or through a registration authority.".into(),
            "4.2.1" => self.authentication(),
            "4.2.2" => self.approval(),
            "4.3.1" => "The CA takes a serial number that was recorded before, checks the certificate against RFC 5280 and RFC 4945, signs it, and records it durably before it leaves.".into(),
            "4.3.2" | "4.6.4" | "4.7.4" | "4.8.4" => "The answer to the request has the certificate.".into(),
            "4.4.1" | "4.6.5" | "4.7.5" | "4.8.5" => "Over CMP, the subscriber confirms the certificate (certConf), unless both sides agreed that this is implied; one that is not confirmed in time is revoked. Over EST and SCEP, the subscriber has the certificate accepted when it is handed over.".into(),
            "4.4.2" | "4.6.6" | "4.7.6" | "4.8.6" => "As section 2.2 says.".into(),
            "4.6.7" | "4.7.7" | "4.8.7" => "As section 4.4.3 says.".into(),
            "4.6.1" => "A certificate may be renewed for the same key or a new one, while it is valid.".into(),
            "4.7.1" => "As for a renewal. `countersign enroll` makes a new key each time, unless it is told to keep it.".into(),
            "4.6.2" | "4.7.2" => "Its subscriber.".into(),
            "4.6.3" | "4.7.3" => format!("As section 3.3.1 says; the new certificate keeps the names of the old one.\n\n{}", self.supersede()),
            "4.8.1" => "A change of names is a change of the account, which an administrator makes; the subscriber then asks for a new certificate.".into(),
            "4.8.2" => "The subscriber, once an administrator has changed the account.".into(),
            "4.8.3" => "As a first application, section 4.2.".into(),
            "4.9.2" => format!("The subscriber, a registration authority of the same CA for its subscribers, and an administrator with one of these roles:\n\n{}", self.revoking),
            "4.9.3" => "Over CMP (rr), by `countersign cert revoke`, or over the administration API.".into(),
            "4.9.5" => "A revocation is recorded when it is asked for; OCSP tells it in the next answer, and a new CRL is signed at once.".into(),
            "4.9.7" => self.crl_frequency(),
            "4.9.8" => "A CRL is at the repositories as soon as it is signed.".into(),
            "4.9.9" => format!("An OCSP responder (RFC 6960) is at `/ocsp`. Its answers are valid for {}.", file.ocsp.validity),
            "4.9.12" => "A revocation for keyCompromise counts at once for every request to the CA. It may have an invalidity date.".into(),
            "4.9.14" => "Who may have a certificate revoked (section 4.9.2); a subscriber cannot have it released.".into(),
            "4.9.15" => "`countersign cert revoke --reason certificateHold`, and `cert release`.".into(),
            "4.10.1" => "CRLs over HTTP and LDAP, and OCSP, as sections 4.9.7 and 4.9.9 say.".into(),
            "4.10.3" => format!(
                "Delta CRLs: {}. Partitions of CRLs: {}. `extendedRevoked` of OCSP: {}.",
                yes(file.crl.delta), file.crl.partitions, yes(file.ocsp.extended_revoked)
            ),
            "4.11" => "An administrator removes the account. Its certificates stay valid until they expire, unless they are revoked with it.".into(),
            "4.12.1" => "The CA keeps no private key of a subscriber. A key that it generates for one leaves encrypted, and is forgotten.".into(),
            "4.12.2" => "None.".into(),
            "5.2.1" => format!("Roles of administrators:\n\n{}", self.roles),
            "5.2.2" => self.approvals(),
            "5.2.3" => match &self.config.admin.listener {
                Some(_) => {
                    let mut text = "At the server: root and the server's user. From other machines, over TLS: by a client certificate of the profile `administrator`, or by a token of which only the hash is kept.".to_owned();
                    if let Some(oidc) = &self.config.admin.oidc {
                        let _ = write!(
                            text,
                            " In a browser, by a session, which begins when the OpenID provider `{}` says who logged in (OpenID Connect Core 1.0), and ends after {} without a request and after {} at most.",
                            oidc.issuer,
                            lasting(oidc.session_idle),
                            lasting(oidc.session_lifetime)
                        );
                        if !oidc.grants.is_empty() {
                            let groups: Vec<String> = oidc.grants.keys().map(|group| format!("`{group}`")).collect();
                            let _ = write!(text, " Members of these groups of the provider need no record here: {}.", groups.join(", "));
                        }
                    }
                    text
                }
                None => "At the server: root and the server's user. The administration API is off.".into(),
            },
            "5.2.4" => "Nobody decides about a request of the own account. The role `administrator` does not approve requests.".into(),
            "5.4.1" => "Every certificate, confirmation, revocation, hold and CRL; every change of accounts, vendors, CAs and administrators; requests, approvals and rejections; backups, restores, changes of the passphrase; refused requests of administrators. Each with the time, who asked, how that was proven, and from which address.".into(),
            "5.4.3" | "5.5.2" => "The journal has every entry since the instance was founded; none is ever removed.".into(),
            "5.4.4" => "The journal is a Merkle tree (RFC 9162), whose head is signed with a key of its own each second in which it grew. A change of an entry, and a journal that was cut, are found with a head that was kept elsewhere.".into(),
            "5.4.5" => "`countersign backup` copies the journal, the keys and the configuration, while the server runs.".into(),
            "5.4.6" => "The instance itself.".into(),
            "5.5.1" => "The journal, with every certificate.".into(),
            "5.5.5" => "Each entry has the time of the server's clock; the instance refuses to sign when that went backwards.".into(),
            "5.5.7" => "`countersign audit export`, `audit report`, `audit verify`, `audit proof`.".into(),
            "5.6" => "`countersign ca roll` makes the next key of a CA, which is a CA with a name of its own. For a root, certificates connect the old key and the new one (RFC 9810 §4.4).".into(),
            "5.7.2" => "The index is built again from the journal. A damaged journal is restored from a backup; `countersign cert import` records what was signed since.".into(),
            "5.7.3" => "A subscriber's certificate is revoked. The certificate of a CA below an intact root is revoked by the root.".into(),
            "6.1.1" => "The instance generates the keys of its CAs, with the operating system's random numbers. Subscribers generate their own keys; for accounts with the permission `key-generation`, the CA does on request.".into(),
            "6.1.2" => "A key that the CA generates leaves encrypted for the subscriber: for a key of the subscriber's, or under a secret (RFC 9483 §4.1.6, RFC 7030 §4.4).".into(),
            "6.1.3" => "In the request, which the private key signs.".into(),
            "6.1.4" => "At the repositories, and over CMP (caCerts, rootCaCert), EST (/cacerts) and SCEP (GetCACert).".into(),
            "6.1.5" => {
                let mut text = "| CA | key |\n| --- | --- |\n".to_owned();
                for (ca, facts) in &self.cas {
                    let _ = writeln!(text, "| `{}` | {} |", ca.name, facts.key.kind());
                }
                text.push_str("\n| profile | accepted keys |\n| --- | --- |\n");
                for profile in &self.profiles {
                    let keys: Vec<String> = profile.keys().iter().map(|kind| kind.to_string().replace("RSA-", "RSA from ")).collect();
                    let _ = writeln!(text, "| `{}` | {} |", profile.name(), keys.join(", "));
                }
                text
            }
            "6.1.6" => "Keys must be points of the named curves, or RSA moduli of an accepted length with an odd public exponent. Keys of the CAs themselves are refused.".into(),
            "6.1.7" => self.usages(),
            "6.2.1" => "The keys are in files, encrypted under a passphrase (PKCS #8, PBES2 with scrypt). Signatures are made in software.".into(),
            "6.2.2" => "The instance knows one passphrase.".into(),
            "6.2.3" | "6.2.6" => "None.".into(),
            "6.2.4" => "A backup has the key files, encrypted as they are.".into(),
            "6.2.7" => "The keys are in no module.".into(),
            "6.2.8" => "The server opens the keys at its start, with the passphrase from a file, a credential of systemd, or a terminal.".into(),
            "6.2.9" => "The keys are closed, and wiped from memory, when the server stops.".into(),
            "6.3.1" => "The journal has every certificate.".into(),
            "6.3.2" => self.periods(),
            "6.4.1" => "The passphrase of the keys; `countersign init` makes a random one unless the operator gives one. Secrets of accounts have 160 random bits.".into(),
            "6.4.2" => "Secrets of accounts are sealed for the instance's key, and shown once.".into(),
            "6.4.3" => "`countersign passphrase change` encrypts the keys under another passphrase.".into(),
            "6.7" => self.listeners(),
            "6.8" => "Entries of the journal, certificates and CRLs have the time of the server's clock. The instance is no time-stamping authority.".into(),
            "7.1.1" => "Version 3.".into(),
            "7.1.2" => format!("basicConstraints (in certificates of CAs), keyUsage, extendedKeyUsage, subjectAltName, subjectKeyIdentifier, authorityKeyIdentifier, and where configured certificatePolicies, cRLDistributionPoints and authorityInfoAccess.\n\n{}", self.usages()),
            "7.1.3" => self.algorithms(),
            "7.1.4" => "As section 3.1.1 says.".into(),
            "7.1.5" => self.constraints(),
            "7.1.6" => self.policies(),
            "7.1.7" => "Not used.".into(),
            "7.1.8" => match self.profiles.iter().flat_map(Profile::policies).filter_map(|policy| policy.cps.as_deref()).collect::<Vec<_>>() {
                urls if urls.is_empty() => "None.".into(),
                urls => format!("CPS pointers: {}.", urls.join(", ")),
            },
            "7.1.9" => "The extension is not critical.".into(),
            "7.2.1" => "Version 2.".into(),
            "7.2.2" => format!(
                "cRLNumber and authorityKeyIdentifier; {}{}in entries reasonCode, and invalidityDate where one was given.",
                if file.crl.delta { "freshestCRL, and deltaCRLIndicator in delta CRLs; " } else { "" },
                if file.crl.partitions > 0 { "issuingDistributionPoint in partitions; " } else { "" }
            ),
            "7.3.1" => "Version 1.".into(),
            "7.3.2" => format!("The nonce (RFC 9654). The archive cutoff: {}.", file.ocsp.archive_cutoff),
            _ => return None,
        })
    }

    fn table_of_cas(&self) -> String {
        let mut text =
            "| CA | kind | subject | key | valid |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for (ca, facts) in &self.cas {
            let kind = if ca.is_root { "root" } else { "issuing" };
            let (from, until) = (facts.not_before, facts.not_after);
            let _ = writeln!(
                text,
                "| `{}` | {kind} | `{}` | {} | {from} to {until} |",
                ca.name,
                facts.subject,
                facts.key.kind()
            );
        }
        match &self.default_ca {
            Some(name) => text + &format!("\n`{name}` issues for accounts that name no CA."),
            None => text,
        }
    }

    fn directories(&self) -> String {
        let ldap = &self.config.file.ldap;
        let mut text = match &self.config.ldap.directory {
            Some(_) => format!(
                " The built-in LDAP directory is at `{}`, below `{}`.",
                ldap.listen, ldap.base
            ),
            None => String::new(),
        };
        for directory in &ldap.directories {
            let _ = write!(text, " The instance publishes to the directory `{}`.", directory.name);
        }
        text
    }

    fn crl_frequency(&self) -> String {
        let crl = &self.config.file.crl;
        let interval = match &crl.interval {
            Some(interval) => format!("every {interval}"),
            None => "after a quarter of that".to_owned(),
        };
        format!(
            "The CRL of an issuing CA is valid for {}, and the next one is signed {interval} and after each revocation; that of a root is valid \
             for {}, and signed again after a quarter of that.",
            crl.validity, crl.root_validity
        )
    }

    fn authentication(&self) -> String {
        let file = &self.config.file;
        let mut text =
            "| protocol | state | a first application is proven by |\n| --- | --- | --- |\n"
                .to_owned();
        let _ = writeln!(
            text,
            "| CMP (RFC 9810, RFC 9483) | on | the account's secret (MAC), a certificate of the account, or a registration authority |"
        );
        let est = if self.config.est.listener.is_some() { "on" } else { "off" };
        let _ = writeln!(
            text,
            "| EST (RFC 7030) | {est} | the account's secret (HTTP Basic over TLS), or a certificate of the account |"
        );
        let scep = if file.scep.enabled { "on" } else { "off" };
        let _ = writeln!(
            text,
            "| SCEP (RFC 8894) | {scep} | the account's secret (challengePassword) |"
        );
        let _ = match self.vendors.as_slice() {
            [] => writeln!(text, "\nNo vendor's certificates are trusted for first applications."),
            names => writeln!(
                text,
                "\nDevices of these vendors may apply with the vendor's certificate: {}.",
                names.join(", ")
            ),
        };
        text
    }

    fn approval(&self) -> String {
        let mut text = "| profile | approval by people |\n| --- | --- |\n".to_owned();
        for profile in &self.profiles {
            let needed = match (profile.needs_approval(), profile.approvals()) {
                (false, _) => "none: the account suffices".to_owned(),
                (true, 1) => "one".to_owned(),
                (true, more) => format!("{more} people"),
            };
            let _ = writeln!(text, "| `{}` | {needed} |", profile.name());
        }
        text
    }

    fn approvals(&self) -> String {
        let several = self
            .profiles
            .iter()
            .filter(|profile| profile.needs_approval() && profile.approvals() > 1);
        let several: Vec<String> =
            several.map(|of| format!("`{}` ({})", of.name(), of.approvals())).collect();
        match several.is_empty() {
            true => "No profile requires the approval of several people.".into(),
            false => format!(
                "Requests under these profiles need the approval of several people: {}.",
                several.join(", ")
            ),
        }
    }

    fn supersede(&self) -> String {
        let mut text = "| profile | the replaced certificate |\n| --- | --- |\n".to_owned();
        for profile in &self.profiles {
            let what = match profile.supersede() {
                Some(after) => {
                    format!("is revoked {} after the confirmation of the new one", lasting(after))
                }
                None => "stays valid until it expires".to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {what} |", profile.name());
        }
        text
    }

    fn usages(&self) -> String {
        let mut text =
            "| profile | key usage | extended key usage |\n| --- | --- | --- |\n".to_owned();
        for profile in &self.profiles {
            let known = [
                (KeyUsages::DigitalSignature, "digitalSignature"),
                (KeyUsages::NonRepudiation, "nonRepudiation"),
                (KeyUsages::KeyEncipherment, "keyEncipherment"),
                (KeyUsages::KeyAgreement, "keyAgreement"),
            ];
            let has = |usage: KeyUsages| profile.key_usage().0.contains(usage);
            let usages: Vec<&str> =
                known.into_iter().filter(|(usage, _)| has(*usage)).map(|(_, name)| name).collect();
            let extended: Vec<String> = profile
                .extended_key_usage()
                .iter()
                .map(|oid| purpose(&oid.to_string()).map_or_else(|| oid.to_string(), str::to_owned))
                .collect();
            let extended = if extended.is_empty() { "–".to_owned() } else { extended.join(", ") };
            let _ = writeln!(text, "| `{}` | {} | {extended} |", profile.name(), usages.join(", "));
        }
        text + "\nCertificates of CAs have keyCertSign and cRLSign."
    }

    fn periods(&self) -> String {
        let mut text = "| profile | validity at most |\n| --- | --- |\n".to_owned();
        for profile in &self.profiles {
            let _ = writeln!(text, "| `{}` | {} |", profile.name(), lasting(profile.validity()));
        }
        text + "\nNo certificate outlives that of its CA; the table in section 1.3.1 has the periods of the CAs."
    }

    fn algorithms(&self) -> String {
        let mut text = "| CA | signature algorithm |\n| --- | --- |\n".to_owned();
        for (ca, facts) in &self.cas {
            let algorithm = countersign_ca::key::signature_algorithm(facts.key.kind()).oid;
            let _ = writeln!(
                text,
                "| `{}` | {} ({algorithm}) |",
                ca.name,
                signature(&algorithm.to_string())
            );
        }
        text
    }

    fn constraints(&self) -> String {
        let mut text = String::new();
        for (ca, _) in &self.cas {
            let read = x509_cert::Certificate::from_der(&ca.certificate);
            let found =
                read.ok().and_then(|of| of.tbs_certificate.get::<NameConstraints>().ok().flatten());
            if let Some((_, constraints)) = found {
                let permitted = subtrees(constraints.permitted_subtrees.as_deref());
                let excluded = subtrees(constraints.excluded_subtrees.as_deref());
                let _ =
                    writeln!(text, "- `{}`: permitted {permitted}; excluded {excluded}.", ca.name);
            }
        }
        if text.is_empty() { "No CA has name constraints.".into() } else { text }
    }

    fn policies(&self) -> String {
        let mut text = String::new();
        for profile in &self.profiles {
            for policy in profile.policies() {
                let _ = writeln!(
                    text,
                    "- Certificates of the profile `{}` have the policy {}.",
                    profile.name(),
                    policy.oid
                );
            }
        }
        match text.is_empty() {
            true => "Certificates name no policy, as no profile has `policies`.".into(),
            false => text,
        }
    }

    fn listeners(&self) -> String {
        let file = &self.config.file;
        let mut text = format!("- HTTP (CMP, SCEP, CRLs, OCSP): `{}`\n", file.http.listen);
        for (what, listen) in [
            ("EST", file.est.listen),
            ("administration API", file.admin.listen),
            ("LDAP over TLS", file.ldap.tls_listen),
        ] {
            let _ = match listen {
                Some(listen) => writeln!(text, "- {what}: `{listen}`"),
                None => writeln!(text, "- {what}: off"),
            };
        }
        text + &format!("- LDAP: `{}`\n", file.ldap.listen)
    }

    fn named(&self, wanted: impl Fn(&Profile) -> bool) -> Vec<String> {
        let wanted = self.profiles.iter().filter(|profile| wanted(profile));
        wanted.map(|profile| format!("`{}`", profile.name())).collect()
    }
}

/// Names of subtrees (RFC 5280 §4.2.1.10), as `ca add --permit` takes them.
fn subtrees(trees: Option<&[GeneralSubtree]>) -> String {
    let names = trees.unwrap_or_default().iter().map(|tree| match &tree.base {
        GeneralName::DnsName(name) => format!("`dns:{}`", name.as_str()),
        GeneralName::Rfc822Name(name) => format!("`email:{}`", name.as_str()),
        GeneralName::DirectoryName(name) => format!("`dn:{name}`"),
        GeneralName::IpAddress(octets) => {
            format!("`ip:{}`", data_encoding::HEXLOWER.encode(octets.as_bytes()))
        }
        _ => "a name of another kind".to_owned(),
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn lasting(time: Duration) -> String {
    let days = time.as_secs() / 86_400;
    match days > 0 && time.as_secs().is_multiple_of(86_400) {
        true => format!("{days} days"),
        false => humantime::format_duration(time).to_string(),
    }
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// The name of an extended key usage (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12, RFC 6402 §2.10).
fn purpose(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "1.3.6.1.5.5.7.3.17" => "ipsecIKE",
        "1.3.6.1.5.5.7.3.1" => "serverAuth",
        "1.3.6.1.5.5.7.3.2" => "clientAuth",
        "1.3.6.1.5.5.7.3.28" => "cmcRA",
        "1.3.6.1.5.5.8.2.2" => "iKEIntermediate",
        _ => return None,
    })
}

/// The name of a signature algorithm (RFC 5758, RFC 8410, RFC 8017).
fn signature(oid: &str) -> &'static str {
    match oid {
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "Ed25519",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        _ => "unknown",
    }
}
