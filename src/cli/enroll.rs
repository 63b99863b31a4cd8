//! `countersign enroll`: its options. The enrolment itself is in `enrolment/`.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_ca::KeyAlgorithm;
use countersign_ca::record::Reason;
use countersign_enroll::client::Anchors;
use countersign_enroll::cmp::client::Information;
use countersign_ike_plugin::gateway::Layout;
use serde_json::Value;

use super::context::Context;
use crate::enrolment::{
    self, First, Overrides, Protocol, Settings, Source, Start, Trust, certificates, default_name,
    key_from_pem, query, revoke, unfit,
};
use crate::exit::Failure;
use crate::output;

/// The identifiers, in clap, of the options that only a first enrolment takes. A renewal reads their values from `enrolment.toml`.
const FIRST_ONLY: [&str; 25] = [
    "protocol",
    "tls_trust",
    "ca_fingerprint",
    "recipient",
    "signer",
    "trust",
    "trust_from_answer",
    "reference",
    "secret_file",
    "mac",
    "mac_iterations",
    "certificate",
    "certificate_key",
    "extra_certs",
    "ids",
    "subject",
    "profile",
    "days",
    "key_kind",
    "key",
    "implicit_confirm",
    "layout",
    "name",
    "keep",
    "replace",
];

/// `countersign enroll`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:\n  \
countersign enroll --server http://pki.example.net:8829 --reference REF --secret-file secret --trust root.crt \\\n    \
--id fqdn:gw1.example.net --for strongswan --out /etc/swanctl --then 'swanctl --load-creds'\n  \
countersign enroll --protocol est --server https://pki.example.net:8443 --reference REF --secret-file secret --trust root.crt \\\n    \
--id fqdn:gw1.example.net --out /etc/gw1\n  \
countersign enroll --renew --out /etc/swanctl\n  \
countersign enroll --revoke --reason superseded --out /etc/swanctl\n  \
countersign enroll --info caCerts,currentCRL --out /etc/swanctl\n\n\
--renew takes from the command line only --server, --timeout, --patience, --then, --renew-before, --now and --abandon; the rest stands in \
enrolment.toml, or is set by a new enrolment with --replace. --revoke and --info with --out take the first three of these.\n\n\
Exit codes of --renew: 0 renewed; 6 not due; 7 the CA has not decided, and the next run asks again; any other: failed.\n\
docs/enrolment.md has units for systemd.")]
pub struct Enroll {
    /// Renew the certificate, if it is due, with a new key
    #[arg(long, group = "mode", conflicts_with_all = FIRST_ONLY)]
    renew: bool,
    /// Ask the CA to revoke the certificate
    #[arg(long, group = "mode")]
    revoke: bool,
    /// Ask the CA for information, with commas: caCerts, currentCRL, rootCaUpdate, certReqTemplate, signKeyPairTypes, encKeyPairTypes,
    /// preferredSymmAlg, caProtEncCert
    #[arg(long, group = "mode", value_name = "LIST", value_delimiter = ',')]
    info: Vec<Information>,
    /// The folder of the enrolment: the daemon's own, such as /etc/swanctl, or any other
    #[arg(long, value_name = "DIR", required_unless_present_any = ["info", "revoke"])]
    out: Option<PathBuf>,

    /// The protocol; the folder keeps it for renewals
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value_t, help_heading = "Server")]
    protocol: Protocol,
    /// The server: `http://pki.example.net:8829/.well-known/cmp`, `https://pki.example.net:8443` for EST, `http://pki.example.net:8829/scep` for
    /// SCEP. Messages of CMP and SCEP protect themselves, so that plain HTTP is enough
    #[arg(long, value_name = "URL", help_heading = "Server")]
    server: Option<String>,
    /// The distinguished name of the CMP server, if it requires its name as the recipient of messages
    #[arg(long, value_name = "DN", help_heading = "Server")]
    recipient: Option<String>,
    /// The certificate with which the CMP server signs messages, or that of SCEP's registration authority, if it is not a CA's and lacks the
    /// key purposes cmcCA and cmcRA
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    signer: Option<PathBuf>,
    /// How long one HTTP exchange may take; 30s unless given
    #[arg(long, value_name = "TIME", help_heading = "Server")]
    timeout: Option<String>,
    /// How long to wait for a busy server, or for a CA that has to decide; 2m unless given
    #[arg(long, value_name = "TIME", help_heading = "Server")]
    patience: Option<String>,

    /// The file of the root to trust, or of several roots, PEM or DER
    #[arg(long, value_name = "FILE", conflicts_with = "trust_from_answer", help_heading = "Trust")]
    trust: Option<PathBuf>,
    /// Trust the root that the CA names in an answer that the secret protects; with EST, in one over the TLS that --tls-trust verifies
    #[arg(long, help_heading = "Trust")]
    trust_from_answer: bool,
    /// The file of the roots of the server's TLS certificate, such as /etc/ssl/certs/ca-certificates.crt, if not those of --trust
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    tls_trust: Option<PathBuf>,
    /// The fingerprint of the CA's certificate in SCEP, SHA-256 or longer; without --trust, that certificate becomes the root
    #[arg(long, value_name = "HEX", help_heading = "Trust")]
    ca_fingerprint: Option<String>,

    /// The reference by which the CA finds the secret
    #[arg(long, value_name = "REF", requires = "secret_file", help_heading = "Who this is")]
    reference: Option<String>,
    /// The file with the secret, in one line, readable by its owner only. In SCEP the challengePassword is REF:SECRET, or the secret alone
    /// without --reference
    #[arg(long, value_name = "FILE", help_heading = "Who this is")]
    secret_file: Option<PathBuf>,
    /// How the secret protects messages: pbm or pbmac1; pbm unless given
    #[arg(long, value_name = "MAC", value_parser = ["pbm", "pbmac1"], help_heading = "Who this is")]
    mac: Option<String>,
    /// The iterations of the MAC's key derivation; 10000 unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=100_000), help_heading = "Who this is")]
    mac_iterations: Option<u32>,
    /// The certificate that proves this gateway instead of the secret, such as its vendor's
    #[arg(
        long,
        value_name = "FILE",
        requires = "certificate_key",
        conflicts_with = "secret_file",
        help_heading = "Who this is"
    )]
    certificate: Option<PathBuf>,
    /// The private key of --certificate, PEM, PKCS#8
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Who this is")]
    certificate_key: Option<PathBuf>,
    /// The CA certificates above --certificate
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Who this is")]
    extra_certs: Option<PathBuf>,

    /// An identity to ask for, such as fqdn:gw1.example.net, or ip:, email:, dn: (repeatable); without any, those of the gateway's account at the CA
    #[arg(long = "id", value_name = "IDENTITY", help_heading = "What is asked for")]
    ids: Vec<String>,
    /// The subject, if not CN= and the first identity
    #[arg(long, value_name = "DN", help_heading = "What is asked for")]
    subject: Option<String>,
    /// The name of the certificate profile to ask the CA for; in EST it is the label
    #[arg(long, value_name = "NAME", help_heading = "What is asked for")]
    profile: Option<String>,
    /// The validity in days, if not the CA's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_600), help_heading = "What is asked for")]
    days: Option<u32>,
    /// The key to make: p256, p384, ed25519, rsa3072 or rsa4096; p256 unless given, and rsa3072 for SCEP
    #[arg(long, value_name = "KIND", help_heading = "What is asked for")]
    key_kind: Option<KeyAlgorithm>,
    /// The private key to use instead of making one, PEM, PKCS#8
    #[arg(long, value_name = "FILE", help_heading = "What is asked for")]
    key: Option<PathBuf>,
    /// Ask the CA to do without a certificate confirmation (implicitConfirm)
    #[arg(long, help_heading = "What is asked for")]
    implicit_confirm: bool,

    /// The file layout: that of strongswan, libreswan, iked, isakmpd, racoon or plain
    #[arg(long = "for", value_name = "DAEMON", default_value_t, help_heading = "What is written")]
    layout: Layout,
    /// The base name of files, if not from the first identity
    #[arg(long, value_name = "NAME", help_heading = "What is written")]
    name: Option<String>,
    /// How many certificates are kept to roll back to, the present one included
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..), help_heading = "What is written")]
    keep: u8,
    /// A command for /bin/sh after each new certificate, such as `swanctl --load-creds`
    #[arg(long, value_name = "COMMAND", help_heading = "What is written")]
    then: Option<String>,
    /// Enrol anew although there is a certificate
    #[arg(long, help_heading = "What is written")]
    replace: bool,
    /// Give up a request that is pending from an earlier run
    #[arg(long, help_heading = "What is written")]
    abandon: bool,

    /// How long before its end a certificate is renewed, if not a third of its validity
    #[arg(long, value_name = "TIME", help_heading = "Renewal and revocation")]
    renew_before: Option<String>,
    /// Renew the certificate although it is not due
    #[arg(long, requires = "renew", help_heading = "Renewal and revocation")]
    now: bool,
    /// The reason for the revocation: keyCompromise, superseded, cessationOfOperation, …
    #[arg(
        long,
        value_name = "REASON",
        requires = "revoke",
        default_value = "unspecified",
        help_heading = "Renewal and revocation"
    )]
    reason: Reason,
    /// Write the certificates and CRLs in the answers to this folder
    #[arg(long, value_name = "DIR", requires = "info", help_heading = "Renewal and revocation")]
    save: Option<PathBuf>,
}

impl Enroll {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        if let Some(filter) = &context.log {
            crate::logging::LogControl::start(filter, context.log_format.unwrap_or_default())?;
        }
        let answer = match (self.renew, self.revoke, self.info.is_empty()) {
            (true, ..) => {
                let out = self.out.as_deref().unwrap_or_else(|| Path::new("."));
                enrolment::renew(out, &self.overrides(), self.abandon)?
            }
            (_, true, _) => {
                let source = self.source()?;
                revoke(&source, self.reason)?
            }
            (_, _, false) => query(&self.source()?, &self.info, self.save.as_deref())?,
            _ => {
                let out = self.out.as_deref().unwrap_or_else(|| Path::new("."));
                enrolment::enrol(out, self.start()?)?
            }
        };
        output::print(context.format, &answer);
        match answer.get("status").and_then(Value::as_str) {
            Some("not due") => Err(Failure { code: Failure::NOT_DUE, message: String::new() }),
            _ => Ok(()),
        }
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            server: self.server.clone(),
            renew_before: self.renew_before.clone(),
            then: self.then.clone(),
            patience: self.patience.clone(),
            timeout: self.timeout.clone(),
            now: self.now,
        }
    }

    /// The parameters of a first enrolment.
    fn start(&self) -> Result<Start, Failure> {
        let settings = self.settings()?;
        if settings.first.is_empty() {
            return Err(Failure::input(
                "expected what proves this gateway: `--reference` with `--secret-file`, or `--certificate` with `--certificate-key`",
            ));
        }
        let trust = self.trust()?.ok_or_else(|| {
            Failure::input(match self.protocol {
                Protocol::Cmp => {
                    "expected whom to trust: `--trust root.crt`, or `--trust-from-answer` with a secret"
                }
                Protocol::Est => {
                    "expected whom to trust: `--trust root.crt`, or `--trust-from-answer` with `--tls-trust`"
                }
                Protocol::Scep => {
                    "expected whom to trust: `--trust root.crt`, or `--ca-fingerprint` of the CA's certificate"
                }
            })
        })?;
        if trust.anchors == Anchors::FromAnswer {
            let (may, expected) = match self.protocol {
                Protocol::Cmp => (
                    settings.first.reference.is_some(),
                    "`--trust`: only an answer that a secret protects can name whom to trust",
                ),
                Protocol::Est => (
                    self.tls_trust.is_some(),
                    "`--tls-trust`: only an answer over TLS that is verified can name whom to trust",
                ),
                Protocol::Scep => (
                    self.ca_fingerprint.is_some(),
                    "`--ca-fingerprint`: nothing else proves an answer of SCEP that names whom to trust",
                ),
            };
            if !may {
                return Err(Failure::input(format!("expected {expected}")));
            }
        }
        Ok(Start {
            settings,
            trust,
            key: self.key.as_deref().map(key_from_pem).transpose()?,
            replace: self.replace,
            abandon: self.abandon,
        })
    }

    /// The sender of a query: the enrolment in a folder, or the options of the command line.
    fn source(&self) -> Result<Source, Failure> {
        match &self.out {
            Some(out) => Source::enrolled(out, &self.overrides()),
            None => {
                let settings = self.settings()?;
                let none = Trust { anchors: Anchors::FromAnswer, ..self.others()? };
                Source::given(&settings, self.trust()?.unwrap_or(none))
            }
        }
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let server = self.server.clone().ok_or_else(|| {
            Failure::input(
                "expected `--server`, such as `http://pki.example.net:8829/.well-known/cmp`",
            )
        })?;
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let settings = Settings {
            version: 1,
            protocol: self.protocol,
            server,
            name: self.name.clone().unwrap_or_else(|| default_name(&self.ids)),
            layout: self.layout.to_string(),
            key_kind: self.key_kind.unwrap_or_else(|| self.protocol.default_key()).to_string(),
            ids: self.ids.clone(),
            subject: self.subject.clone(),
            profile: self.profile.clone(),
            recipient: self.recipient.clone(),
            days: self.days,
            implicit_confirm: self.implicit_confirm,
            renew_before: self.renew_before.clone(),
            patience: self.patience.clone().unwrap_or_else(|| "2m".into()),
            timeout: self.timeout.clone().unwrap_or_else(|| "30s".into()),
            then: self.then.clone(),
            keep: self.keep.into(),
            first: First {
                reference: self.reference.clone(),
                secret_file: absolute(&self.secret_file)?,
                mac: self.mac.clone(),
                mac_iterations: self.mac_iterations,
                certificate: absolute(&self.certificate)?,
                certificate_key: absolute(&self.certificate_key)?,
                extra_certs: absolute(&self.extra_certs)?,
                ca_fingerprint: self.ca_fingerprint.clone(),
            },
        };
        settings.check()?;
        Ok(settings)
    }

    /// The trust anchors that the command line names; `None` if it names none.
    fn trust(&self) -> Result<Option<Trust>, Failure> {
        let is_from_answer = self.trust_from_answer || self.ca_fingerprint.is_some();
        let anchors = match &self.trust {
            Some(file) => Anchors::Known(certificates(file)?),
            None if is_from_answer => Anchors::FromAnswer,
            None => return Ok(None),
        };
        Ok(Some(Trust { anchors, ..self.others()? }))
    }

    /// The trust besides the anchors.
    fn others(&self) -> Result<Trust, Failure> {
        for (option, is_set, protocol) in [
            ("--signer", self.signer.is_some(), Protocol::Est),
            ("--tls-trust", self.tls_trust.is_some(), Protocol::Cmp),
        ] {
            if is_set && self.protocol == protocol {
                return Err(unfit(option, protocol));
            }
        }
        let signer = self.signer.as_deref().map(certificates).transpose()?;
        Ok(Trust {
            anchors: Anchors::FromAnswer,
            signer: signer.and_then(|list| list.into_iter().next()),
            tls: self.tls_trust.as_deref().map(certificates).transpose()?.unwrap_or_default(),
            fingerprint: self.ca_fingerprint.as_deref().map(str::parse).transpose()?,
        })
    }
}
