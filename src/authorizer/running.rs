//! An authorizer that serves its socket.

use std::sync::Arc;

use countersign_ca::{Authority, SystemClock, Timestamp};
use countersign_ike_plugin::decide::Authorizer;
use countersign_ike_plugin::decision_log::DecisionLog;
use countersign_ike_plugin::policy::Policy;
use countersign_ike_plugin::server::AuthorizerServer;

use super::trust;
use crate::config::AuthorizerConfig;
use crate::exit::Failure;

/// An authorizer that serves its socket until it is dropped.
pub struct Running {
    authorizer: Arc<Authorizer>,
    _server: AuthorizerServer,
}

impl Running {
    /// Starts the authorizer. With an authority, the authority's roots are trust anchors, and its store knows which of its certificates are
    /// revoked.
    ///
    /// # Errors
    /// The policy, a trust anchor, the decision log or the socket cannot be used.
    pub fn start(
        config: &AuthorizerConfig,
        authority: Option<&Arc<Authority>>,
    ) -> Result<Self, Failure> {
        if config.files.policies.is_empty() {
            return Err(Failure::input(
                "expected authorizer.policy to name a file of KeyNote policy, found none: without one nobody is let in; \
                 docs/authorizer.md shows one",
            ));
        }
        let trust = trust::start(&config.trust, authority)?;
        let policy = Policy::load(config.files.clone()).map_err(Failure::input)?;
        let log = DecisionLog::open(&config.decisions)
            .map_err(|e| Failure::unavailable(format!("`{}`: {e}", config.decisions.display())))?;
        let authorizer = Authorizer::new(
            trust,
            policy,
            config.mapping.clone(),
            Arc::new(SystemClock),
            log,
            config.max_kept,
        );
        let authorizer = authorizer.map_err(Failure::unavailable)?;
        let authorizer = Arc::new(authorizer.with_address_ids(config.address_ids));
        let path = config.socket.path.display();
        let server = AuthorizerServer::start(Arc::clone(&authorizer), &config.socket)
            .map_err(|e| Failure::unavailable(format!("`{path}`: {e}")))?;
        tracing::info!(socket = %path, policy = %authorizer.policy().digest(), "daemons may ask");
        Ok(Self { authorizer, _server: server })
    }

    /// Loads the policy again. A policy that cannot be read is refused, and the old one stays in force.
    pub fn reload(&self) {
        match self.authorizer.reload() {
            Ok(policy) => {
                tracing::info!(policy = %policy.digest(), assertions = policy.len(), "the policy was loaded again");
            }
            Err(why) => tracing::error!("the policy is not taken, and the old one stays: {why}"),
        }
    }

    /// Warnings of future faults, such as CRLs that are about to expire and because of which peers would be refused.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let warning = |why: String| format!("the authorizer: {why}");
        self.authorizer.troubles(now).into_iter().map(warning).collect()
    }

    /// The authorizer itself.
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }
}
