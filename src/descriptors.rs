//! File descriptors. The process raises its limit to what the system allows, and keeps a reserve that connections cannot take: for
//! administrators, files, and the server's own connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// How many descriptors the reserve has; half of the limit if that is less.
const RESERVE: usize = 256;

/// Raises the limit of the process. If it still does not suffice for the configured connections, the bounds on HTTP and LDAP connections
/// are lowered.
pub fn fit(config: &mut Config) {
    let limit = raise();
    let authorizer = match config.file.authorizer.serve {
        true => config.file.authorizer.max_connections,
        false => 0,
    };
    let directory = config.ldap.directory.as_mut().map(|directory| &mut directory.limits);
    let http = &mut config.http.max_connections;
    let ldap = directory.as_ref().map_or(0, |limits| limits.max_connections);
    let Some([http_share, ldap_share]) = shares(limit, authorizer, [*http, ldap]) else { return };
    tracing::warn!(
        limit,
        "too few file descriptors for http.max_connections and ldap.max_connections, which are {http_share} and {ldap_share} \
         instead; raise the limit (`LimitNOFILE=` in systemd's unit, `ulimit -n`)"
    );
    *http = http_share;
    if let Some(limits) = directory {
        limits.max_connections = ldap_share;
    }
}

/// Raises the soft limit to the hard one, and returns the limit.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!("the limit on file descriptors cannot be raised: {e}");
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The shares of HTTP and LDAP connections, in proportion to `wanted`, of the descriptors that the reserve and `taken` leave, where `taken`
/// counts as at most a quarter of the limit. `None` if there are enough for all.
fn shares(limit: usize, taken: usize, wanted: [usize; 2]) -> Option<[usize; 2]> {
    let room = limit.saturating_sub(RESERVE.min(limit / 2)).saturating_sub(taken.min(limit / 4));
    let all: usize = wanted.iter().sum();
    if all <= room {
        return None;
    }
    let share =
        |want: usize| want.saturating_mul(room).checked_div(all).unwrap_or(0).max(want.min(1));
    Some(wanted.map(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(shares(1 << 20, 256, [1024, 1024]), None);
        for limit in [64, 256, 1024, 2048] {
            let [http, ldap] = shares(limit, 256, [1024, 1024]).unwrap();
            assert!(
                http >= 1 && ldap == http && http + ldap <= limit - limit.min(512) / 2,
                "{limit}"
            );
        }
        assert_eq!(shares(1024, 0, [1024, 0]), Some([768, 0]));
    }
}
