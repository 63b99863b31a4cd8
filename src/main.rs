//! The program `countersign`: certificates and revocation for IPsec peers.

mod admin;
mod api;
mod authorizer;
mod bridge;
mod cli;
mod config;
mod demo;
mod descriptors;
mod enrolment;
mod exit;
mod finding;
mod folder;
mod http;
mod https;
mod instance;
mod logging;
mod notify;
mod oidc;
mod output;
mod passphrase;
mod roles;
mod serve;
mod tasks;
mod threads;
mod watch;
mod wiped;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The allocator. An enrolment makes some hundred small allocations, many of which another thread frees; mimalloc is fast at that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                logging::failed(&failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}
