//! The URLs under which peers reach this server: the beginnings of the locations in certificates and CRLs.

use countersign_ca::profile::DefaultUrls;
use countersign_ldap_bridge::layout::Layout;

use crate::exit::Failure;

/// `http.public_url` and `ldap.public_url`, checked. Each is absent when the operator set none.
pub struct PublicUrls {
    /// The base URL, without a slash at its end.
    http: Option<String>,
    ldap: Option<LdapServer>,
}

/// A directory and the names of its entries, which together give LDAP URLs.
struct LdapServer {
    /// The base URL, without a slash at its end.
    url: String,
    layout: Layout,
}

impl PublicUrls {
    /// Checks both URLs.
    ///
    /// # Errors
    /// A URL has the wrong scheme, or parts that do not belong into a certificate.
    pub fn new(http: Option<&str>, ldap: Option<&str>, layout: &Layout) -> Result<Self, Failure> {
        let ldap = ldap.map(|url| url.trim_end_matches('/'));
        if let Some(url) = ldap.filter(|url| !is_ldap_server(url)) {
            return Err(Failure::input(format!(
                "expected ldap.public_url to be an `ldap:` URL without a DN such as `ldap://ldap.example.net`, found `{}`; IKE \
                 daemons fetch CRLs without TLS, and take `ldaps:` for `ldap:`",
                without_password(url)
            )));
        }
        let http = http.map(|url| url.trim_end_matches('/'));
        match http {
            Some(url)
                if !url.starts_with("http://") || !url.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Err(Failure::input(format!(
                    "expected http.public_url to be an `http:` URL such as `http://pki.example.net`, found `{}`; CRLs are \
                     signed, and daemons fetch them without TLS",
                    without_password(url)
                )))
            }
            // Every certificate shows this URL to everybody, and a path is appended to it.
            Some(url) if url.contains(['@', '?', '#']) => Err(Failure::input(format!(
                "expected http.public_url without user, password, query and fragment, such as `http://pki.example.net`, found `{}`; every \
                 certificate shows it, and `/crl/…` follows it",
                without_password(url)
            ))),
            _ => Ok(Self {
                http: http.map(str::to_owned),
                ldap: ldap.map(|url| LdapServer { url: url.to_owned(), layout: layout.clone() }),
            }),
        }
    }

    /// The default locations of CRLs, OCSP and CA certificates, for certificates of CAs, and for those of peers unless CRLs are
    /// partitioned. They name the full CRL.
    pub fn of_cas(&self) -> DefaultUrls {
        DefaultUrls {
            crl: self.full_crls(),
            ocsp: self.http("ocsp"),
            ca_issuers: self.both("ca/{ca}.cer", Layout::ca_url),
        }
    }

    /// The default locations for certificates of peers when CRLs are partitioned. They name the CRL of a partition.
    pub fn of_partitioned_peers(&self) -> DefaultUrls {
        DefaultUrls { crl: self.partitions(), ..self.of_cas() }
    }

    /// The URLs of a CA's full CRL, with `{ca}` for the CA's name; none if no public URL is set.
    pub fn full_crls(&self) -> Vec<String> {
        self.both("crl/{ca}.crl", Layout::crl_url)
    }

    /// The URLs of the CRL of a partition, with `{ca}` and `{partition}`; none if no public URL is set.
    pub fn partitions(&self) -> Vec<String> {
        self.both("crl/{ca}/{partition}.crl", Layout::partition_url)
    }

    /// The URLs of a CA's delta CRL, with `{ca}`; none if no public URL is set.
    pub fn deltas(&self) -> Vec<String> {
        self.both("crl/{ca}/delta.crl", Layout::delta_url)
    }

    /// The URLs at the HTTP server and in the directory, as far as their public URLs are set. HTTP comes first, because more daemons read
    /// it.
    fn both(&self, path: &str, entry: fn(&Layout, &str) -> String) -> Vec<String> {
        let ldap = self.ldap.iter().map(|server| entry(&server.layout, &server.url));
        self.http(path).into_iter().chain(ldap).collect()
    }

    fn http(&self, path: &str) -> Vec<String> {
        self.http.iter().map(|url| format!("{url}/{path}")).collect()
    }
}

/// Whether a URL names a server by `ldap:`, and no entry in it.
fn is_ldap_server(url: &str) -> bool {
    url.starts_with("ldap://")
        && url.bytes().all(|b| b.is_ascii_graphic())
        && !url.contains(['?', '@', '#'])
        && url.matches('/').count() <= 2
}

/// A URL for a message: its user and password, if it has them, are left out.
fn without_password(url: &str) -> String {
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://…@{host}{path}"))
    });
    hidden.unwrap_or_else(|| url.escape_debug().to_string())
}
