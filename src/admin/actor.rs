//! The name of a local administrator in the journal.

use std::fs;
use std::net::IpAddr;

/// No user logged in, such as for a service (`AUDIT_UID_UNSET` in the kernel's audit).
const UNSET: u32 = u32::MAX;

/// The user who runs this process.
pub fn own() -> String {
    local(rustix::process::getuid().as_raw(), i32::try_from(std::process::id()).ok())
}

/// A user of the operating system: `uid 0`, or `uid 0 (login 1000)` if the user who logged in is another one. `sudo` and `su` do not
/// change who logged in, and only a process with CAP_AUDIT_CONTROL can. `process` is the process that asks, if it is known.
pub fn local(uid: u32, process: Option<i32>) -> String {
    let login = process.and_then(login_of).filter(|login| *login != uid);
    match login {
        Some(login) => format!("uid {uid} (login {login})"),
        None => format!("uid {uid}"),
    }
}

/// The person whom an actor's text names: for an administrator, the name without proof and address; for a local user, the user who logged
/// in, or else the user. One person counts once where several must agree.
pub fn person(actor: &str) -> String {
    let local =
        actor.strip_prefix("uid ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match local {
        Some(user) => {
            let login = user.split_once(" (login ").and_then(|(_, rest)| rest.strip_suffix(')'));
            format!("uid {}", login.unwrap_or(user))
        }
        // A name has no blank.
        None => actor.split(' ').next().unwrap_or(actor).to_owned(),
    }
}

/// How an administrator of another machine was authenticated, such as `certificate 01ab`, and the address, by the actor's text; `None` for
/// another actor.
pub fn proof_of(actor: &str) -> Option<(String, IpAddr)> {
    // A name has no blank.
    let (_, rest) = actor.split_once(' ')?;
    let (proof, address) = rest.strip_prefix('(')?.strip_suffix(')')?.rsplit_once(", from ")?;
    Some((proof.to_owned(), address.parse().ok()?))
}

/// The user who logged in, and from whose session the process comes (proc_pid_loginuid(5)).
fn login_of(process: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|login| *login != UNSET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_by_whatever_proof() {
        assert_eq!(person("alice (certificate 01, from 192.0.2.1)"), "alice");
        assert_eq!(person("alice (token ci, from 192.0.2.2)"), "alice");
        assert_eq!(person("uid 0 (login 1000)"), "uid 1000");
        assert_eq!(person("uid 998 (login 1000)"), "uid 1000");
        assert_eq!(person("uid 0"), "uid 0");
        assert_eq!(person("alice (oidc 7@https://id.example.net, from 192.0.2.1)"), "alice");
        let user = "oidc:7%20x@https://id.example.net";
        assert_eq!(person(&format!("{user} (oidc, from 192.0.2.1)")), user);
        // An administrator may have this name.
        assert_eq!(person("uid (token ci, from 192.0.2.2)"), "uid");
    }

    #[test]
    fn a_proof_and_an_address_are_those_of_another_machine() {
        let parts = |actor: &str| proof_of(actor).map(|(proof, from)| format!("{proof}|{from}"));
        for (actor, expected) in [
            ("alice (certificate 01ab, from 192.0.2.1)", Some("certificate 01ab|192.0.2.1")),
            ("alice (token ci, from 2001:db8::1)", Some("token ci|2001:db8::1")),
            ("oidc:7@https://id.example.net (oidc, from 192.0.2.1)", Some("oidc|192.0.2.1")),
            ("uid 0", None),
            ("uid 0 (login 1000)", None),
            ("uid (token ci, from 192.0.2.2)", Some("token ci|192.0.2.2")),
            ("alice (token ci, from somewhere)", None),
            ("instance", None),
        ] {
            assert_eq!(parts(actor).as_deref(), expected, "{actor}");
        }
    }

    #[test]
    fn whoever_logged_in_is_named_beside_another_user() {
        let own = i32::try_from(std::process::id()).unwrap();
        let expected = match login_of(own) {
            Some(login) => format!("uid 4711 (login {login})"),
            None => "uid 4711".to_owned(),
        };
        assert_eq!(local(4711, Some(own)), expected);
        assert_eq!(local(0, None), "uid 0");
        if let Some(login) = login_of(own) {
            assert_eq!(local(login, Some(own)), format!("uid {login}"));
        }
    }
}
