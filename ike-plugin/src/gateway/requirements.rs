//! Checks, before anything is written, that a daemon can do what its gateway's description asks of it.

use super::abilities::{Abilities, KeyFamily};
use super::daemon::Mode;
use super::error::GatewayError;
use super::export::Export;
use super::facts::Facts;

/// Checks a gateway and its peers by the abilities of its daemon.
///
/// # Errors
/// The daemon cannot do what is asked of it. The text says what it can do, and what to change.
pub fn check(export: &Export<'_>, abilities: &Abilities) -> Result<(), GatewayError> {
    speaks_the_mode(export, abilities)?;
    can_ask_the_authorizer(export, abilities)?;
    can_sign(export, abilities)?;
    knows_its_peers(export, abilities)
}

fn speaks_the_mode(export: &Export<'_>, abilities: &Abilities) -> Result<(), GatewayError> {
    let (own, daemon) = (export.own, abilities.daemon);
    if abilities.modes.contains(&own.mode) {
        return Ok(());
    }
    Err(GatewayError::new(match own.mode {
        Mode::Ikev2 => format!(
            "`{}` runs {daemon}, which speaks IKEv1 only, found mode `ikev2`; set `mode = \"main\"`",
            own.name
        ),
        Mode::Main | Mode::Aggressive => format!(
            "`{}` runs {daemon}, which speaks IKEv2 only, found mode `{}`",
            own.name,
            own.mode.name()
        ),
    }))
}

fn can_ask_the_authorizer(export: &Export<'_>, abilities: &Abilities) -> Result<(), GatewayError> {
    let (own, daemon) = (export.own, abilities.daemon);
    if !own.authorizer || abilities.asks_in.contains(&own.mode) {
        return Ok(());
    }
    if abilities.asks_in.is_empty() {
        return Err(GatewayError::new(format!(
            "`{}` runs {daemon}, which has no hook to ask the authorizer; set `authorizer = false`",
            own.name
        )));
    }
    Err(GatewayError::new(format!(
        "{daemon} on `{}` asks the authorizer about IKEv2 peers only, found mode `{}`; set `authorizer = false` or `mode = \"ikev2\"`",
        own.name,
        own.mode.name()
    )))
}

fn can_sign(export: &Export<'_>, abilities: &Abilities) -> Result<(), GatewayError> {
    let (own, daemon) = (export.own, abilities.daemon);
    let Some(certified) = export.certified().filter(|_| abilities.has_rsa_only()) else {
        return Ok(());
    };
    let key = Facts::of(&certified.material.certificate)?.key;
    if KeyFamily::of(key) == KeyFamily::Rsa {
        return Ok(());
    }
    Err(GatewayError::new(format!(
        "`{}` runs {daemon}, which signs with RSA only, found a certificate for {key}; enrol with an RSA key",
        own.name
    )))
}

fn knows_its_peers(export: &Export<'_>, abilities: &Abilities) -> Result<(), GatewayError> {
    let (own, daemon) = (export.own, abilities.daemon);
    if !abilities.needs_peers {
        return Ok(());
    }
    if export.peers.iter().filter(|peer| peer.address.is_none()).count() > 1 {
        return Err(GatewayError::new(format!(
            "expected at most one peer without an `address`: {daemon} on `{}` cannot tell several apart",
            own.name
        )));
    }
    if export.peers.is_empty() {
        return Err(GatewayError::new(format!(
            "expected `--peer`: {daemon} on `{}` must be told whom it talks to",
            own.name
        )));
    }
    Ok(())
}
