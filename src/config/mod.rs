//! The configuration: parsed from `countersign.toml` ([`ConfigFile`]), and then checked as a whole ([`Config`]). No other part of the
//! program checks its values again.
//!
//! Each section has a file here, with its settings as the operator writes them, their defaults and their bounds.

mod admin;
mod authorizer;
mod cmp;
mod crl;
mod est;
mod file;
mod gateways;
mod http;
mod ldap;
mod notify;
mod ocsp;
mod oidc;
mod scep;
mod tls;
mod urls;
mod values;

use std::fs;
use std::path::Path;

use countersign_ca::authority::Settings;
use countersign_ca::profile::{DefaultUrls, Profiles};

use urls::PublicUrls;

use crate::exit::Failure;
use crate::folder::DataFolder;

pub use admin::AdminConfig;
pub use authorizer::{AuthorizerConfig, TrustSettings};
pub use cmp::CmpConfig;
pub use est::EstConfig;
pub use file::{ConfigFile, TEMPLATE};
pub use gateways::GatewayFile;
pub use http::HttpConfig;
pub use ldap::LdapConfig;
pub use notify::{Channel, Mail, MailTls, NotifyConfig, ReceiverConfig, Wants, Webhook};
pub use ocsp::OcspConfig;
pub use oidc::{OidcConfig, is_secure};
pub use scep::ScepConfig;
pub use tls::{ServerCertificate, TlsListener};
pub use values::{LogFormat, duration};

/// The largest configuration file, in bytes.
const MAX: u64 = 1 << 20;

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The values of the file. An option of `serve` replaces `ldap.listen` here, too.
    pub file: ConfigFile,
    /// The profiles by which certificates are made: the built-in ones and those of the file.
    pub profiles: Profiles,
    /// The settings of the authority: the default CA, CRLs, locks, and the OCSP responder's certificate.
    pub authority: Settings,
    /// The settings of the HTTP server.
    pub http: HttpConfig,
    /// The settings of the OCSP responder.
    pub ocsp: OcspConfig,
    /// The settings of the built-in directory, and of the directories that are published to.
    pub ldap: LdapConfig,
    /// The settings of the CMP service.
    pub cmp: CmpConfig,
    /// The settings of the SCEP service.
    pub scep: ScepConfig,
    /// The settings of the EST server.
    pub est: EstConfig,
    /// The settings of the administration API.
    pub admin: AdminConfig,
    /// The settings of notifications.
    pub notify: NotifyConfig,
    /// The settings of the authorizer.
    pub authorizer: AuthorizerConfig,
    /// The URLs of CRL, OCSP and CA certificates in the certificates of CAs, with `{ca}` for the name of the issuer.
    pub ca_urls: DefaultUrls,
}

impl Config {
    /// Reads and checks the file at `path`, or that of the data folder. If the data folder has none, the defaults hold.
    ///
    /// # Errors
    /// The file cannot be read or is larger than 1 MiB, has a key that does not exist, or a value is wrong.
    pub fn load(folder: &DataFolder, path: Option<&Path>) -> Result<Self, Failure> {
        let own = folder.config();
        let path = path.unwrap_or(&own);
        let text = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > MAX => {
                return Err(Failure::input(format!(
                    "`{}` is larger than {MAX} bytes",
                    path.display()
                )));
            }
            Ok(_) => fs::read_to_string(path)
                .map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?,
            Err(_) if path == own => String::new(),
            Err(e) => return Err(Failure::unavailable(format!("`{}`: {e}", path.display()))),
        };
        let file = file::parse(&text)
            .map_err(|why| Failure::input(format!("`{}`: {why}", path.display())))?;
        Self::check(file, folder)
            .map_err(|why| Failure::input(format!("`{}`: {}", path.display(), why.message)))
    }

    /// Gives the built-in directory another address, or `off`.
    ///
    /// # Errors
    /// The text is neither an address with a port nor `off`.
    pub fn set_ldap_listen(&mut self, listen: &str) -> Result<(), Failure> {
        self.file.ldap.listen = listen.to_owned();
        self.ldap = ldap::check(&self.file.ldap, self.ldap.layout.clone())?;
        Ok(())
    }

    /// Checks every value, once.
    ///
    /// # Errors
    /// A value is wrong.
    pub fn check(file: ConfigFile, folder: &DataFolder) -> Result<Self, Failure> {
        let layout = ldap::layout(&file.ldap)?;
        let (http, directory) = (&file.http.public_url, &file.ldap.public_url);
        let urls = PublicUrls::new(http.as_deref(), directory.as_deref(), &layout)?;
        let of_peers = match file.crl.partitions {
            0 => urls.of_cas(),
            _ => urls.of_partitioned_peers(),
        };
        let profiles = Profiles::new(&file.profiles, &of_peers)?;
        let crl = crl::check(&file.crl, &urls, &profiles, folder)?;
        let ocsp = ocsp::check(&file.ocsp)?;
        let ldap = ldap::check(&file.ldap, layout)?;
        let cmp = cmp::check(&file.cmp)?;
        let scep = scep::check(&file.scep, &cmp)?;
        let est = est::check(&file.est, file.http.public_url.as_deref(), &cmp)?;
        let admin = admin::check(&file.admin, file.http.public_url.as_deref())?;
        gateways::check(&file.gateways)?;
        Ok(Self {
            profiles,
            authority: Settings {
                default_ca: file.authority.default_ca.clone(),
                crl,
                locks: cmp.locks,
                responder_validity: ocsp.responder_validity,
            },
            http: http::check(&file.http)?,
            ocsp,
            ldap,
            cmp,
            scep,
            est,
            admin,
            notify: notify::check(&file.notify, file.http.public_url.as_deref())?,
            authorizer: authorizer::check(&file.authorizer, folder)?,
            ca_urls: urls.of_cas(),
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::file::parse;
    use super::*;

    #[test]
    fn values_out_of_range_are_named() {
        let folder = DataFolder::new(Path::new("x"));
        for (text, word) in [
            ("[crl]\nvalidity = \"1s\"", "crl.validity"),
            ("[crl]\ninterval = \"4d\"", "crl.interval"),
            ("[crl]\npartitions = 8", "http.public_url"),
            ("[crl]\ndelta = true", "http.public_url"),
            ("[profiles.gateway]\ncrl_urls = [\"http://x/{partition}\"]", "crl.partitions"),
            ("[ocsp]\nvalidity = \"1s\"", "ocsp.validity"),
            ("[ocsp]\nvalidity = \"16d\"", "half of ocsp.responder_validity"),
            ("[ocsp]\narchive_cutoff = \"never\"", "ocsp.archive_cutoff"),
            ("[profiles.gateway]\nocsp_urls = [\"ldap://x/?a\"]", "http:"),
            ("[ldap]\nlisten = \"nowhere\"", "ldap.listen"),
            ("[ldap]\npublic_url = \"ldaps://x\"", "ldap.public_url"),
            ("[ldap]\npublic_url = \"ldap://x/o=y\"", "ldap.public_url"),
            ("[ldap]\nca_dn = \"cn=x\"", "ldap.ca_dn"),
            ("[ldap]\nkey = \"x\"", "ldap.certificate"),
            ("[ldap]\npeer_dns = { user = \"mail={id}\" }", "peer_dns"),
            ("[[ldap.directories]]\nname = \"a\"\nurls = []", "urls"),
            ("[cmp]\nmin_iterations = 0", "cmp.min_iterations"),
            ("[cmp]\nmax_depth = 1000", "cmp.max_depth"),
            ("[cmp]\nmax_concurrent_macs = 0", "cmp.max_concurrent_macs"),
            ("[cmp]\nkey_workers = 1025", "cmp.key_workers"),
            ("[cmp]\nmax_bytes = 65536\nmax_large_bodies = 65535", "cmp.max_large_bodies"),
            ("[cmp]\nmax_per_account = 0", "cmp.max_per_account"),
            ("[cmp]\nbody_timeout = \"0s\"", "cmp.body_timeout"),
            ("[scep]\nmax_bytes = 0", "scep.max_bytes"),
            ("[scep]\nmax_concurrent = 0", "scep.max_concurrent"),
            ("[cmp]\nmax_batch = 0", "cmp.max_batch"),
            ("[cmp]\npoll_after = \"0s\"", "cmp.poll_after"),
            ("[cmp]\napproval_wait = \"1s\"", "cmp.approval_wait"),
            ("[http]\nmax_connections = 0", "http.max_connections"),
            ("[est]\nmax_bytes = 0", "est.max_bytes"),
            ("[est]\nrepeat = \"1s\"", "est.repeat"),
            ("[est]\nrenew_expired = \"10y\"", "est.renew_expired"),
            ("[est]\nnames = [\"*\"]", "est.names"),
            ("[est]\nlisten = \"0.0.0.0:8443\"", "est.names"),
            ("[est]\nkey = \"x\"", "est.certificate"),
            ("[cmp]\nprotection_algorithms = [\"hmac\"]", "cmp.protection_algorithms"),
            ("[http]\npublic_url = \"https://x\"", "http.public_url"),
            ("[http]\npublic_url = \"http://u:hidden@x\"", "http://…@x"),
            ("[http]\npublic_url = \"http://x/?a=b\"", "query"),
            ("[http]\npublic_url = \"http://x/#f\"", "fragment"),
            ("[ldap]\npublic_url = \"ldap://u:hidden@x\"", "ldap://…@x"),
            ("[profiles.gateway]\nkeys = []", "profile `gateway`"),
        ] {
            let failure = Config::check(parse(text).unwrap(), &folder).unwrap_err();
            assert!(
                failure.code == 2 && failure.message.contains(word),
                "{text}: {}",
                failure.message
            );
        }
    }
}
