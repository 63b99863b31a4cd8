//! The rule that a daemon must reach CRLs and OCSP responders before the tunnel is up.

use std::net::{IpAddr, ToSocketAddrs};

use super::findings::{Findings, names};
use super::side::Side;
use crate::gateway::abilities::StatusSource;
use crate::gateway::description::Revocation;
use crate::gateway::error::GatewayError;
use crate::gateway::facts::Facts;

/// Gives the addresses of a host by its name, and none for an unknown name. The caller passes this function in, so that the rules do no
/// I/O.
pub type Resolve<'r> = &'r dyn Fn(&str) -> Vec<IpAddr>;

/// The addresses of a host by the system's resolver, as a [`Resolve`] for commands.
pub fn system_addresses(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map(|all| all.map(|at| at.ip()).collect()).unwrap_or_default()
}

impl Findings<'_> {
    /// A CRL or OCSP responder in a network behind the tunnel can be reached only once the tunnel is up, which needs the status first.
    pub(super) fn reachable(
        &mut self,
        Side { gateway: own, material }: Side<'_>,
        Side { gateway: peer, material: shown }: Side<'_>,
        resolve: Resolve<'_>,
    ) -> Result<(), GatewayError> {
        let asked: Vec<Vec<String>> = match own.daemon.abilities().status {
            StatusSource::PeerPath => shown
                .sent_path()
                .map(|der| Facts::of(der).map(|facts| [facts.crl_urls, facts.ocsp_urls].concat()))
                .collect::<Result<_, _>>()?,
            // Its database has the CAs of its peers as well.
            StatusSource::OwnDatabase => std::iter::once(&material.certificate)
                .chain(shown.chain.iter().map(|ca| &ca.der))
                .map(|der| Facts::of(der).map(|facts| facts.crl_urls))
                .collect::<Result<_, _>>()?,
            StatusSource::Files => return Ok(()),
        };
        let behind = |url: &String| {
            addresses(url, resolve)
                .iter()
                .any(|address| peer.networks.iter().any(|network| network.holds(*address)))
        };
        for urls in asked {
            let (through, free): (Vec<&String>, Vec<&String>) =
                urls.iter().partition(|url| behind(url));
            if through.is_empty() {
                continue;
            }
            let message = format!(
                "`{}` would fetch {} through the tunnel that it is to decide about: the host is in a network of `{}`",
                own.name,
                names(through.into_iter().map(String::as_str)),
                peer.name
            );
            if free.is_empty() && own.revocation == Revocation::Strict {
                let advice = "publish the CRL where it is reached without, or the tunnel ends with the CRL that was exported";
                self.error("crl-behind-tunnel", format!("{message}; {advice}"));
            } else {
                self.warning("crl-behind-tunnel", message);
            }
        }
        Ok(())
    }
}

/// The addresses of a URL's host.
fn addresses(url: &str, resolve: Resolve<'_>) -> Vec<IpAddr> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host.parse().map_or_else(|_| resolve(host), |address| vec![address])
}
