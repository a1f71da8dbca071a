//! The control socket: where a running server takes the commands of its operator.

use std::{convert::Infallible, future, path::PathBuf};

use crate::{
    auth::Accounts,
    config::{Config, ListenAddress, ServerConfig},
    http::Administration,
    server::{Listeners, serve},
};

/// For the owner of the server alone, and root.
const MODE: u32 = 0o600;
/// How many commands may speak to the server at a time.
const MAX_CONNECTIONS: usize = 32;
/// The longest body of a command's request, in bytes. Files that are imported come piece by piece, and are not bounded.
const MAX_BODY: usize = 1 << 20;

/// The socket of the server that has this database.
pub(super) fn path(config: &Config) -> PathBuf {
    config.store.path.join("control.sock")
}

/// The administration of `accounts`, as it is served here and called by a command.
pub(super) fn administration(accounts: Accounts, config: &Config) -> Administration {
    let config = Config {
        server: limits(config),
        ..config.clone()
    };
    Administration::new(accounts, &config, rustix::process::geteuid().as_raw())
}

/// Serves the control socket until it is dropped. A server without one still serves its clients, so a failure is a warning.
pub(super) async fn run(accounts: Accounts, config: &Config) -> Infallible {
    let limits = limits(config);
    let app = administration(accounts, config).app();
    match Listeners::bind(&limits) {
        Ok(listeners) => {
            if let Err(error) = serve(listeners, app, &limits, future::pending()).await {
                tracing::warn!(%error, "commands can't reach this server any more");
            }
        }
        Err(error) => {
            tracing::warn!(%error, "commands such as `jwt-server user list` can't reach this server");
        }
    }
    future::pending().await
}

fn limits(config: &Config) -> ServerConfig {
    ServerConfig {
        listen: vec![ListenAddress::Unix(path(config))],
        unix_mode: MODE,
        max_connections: MAX_CONNECTIONS,
        max_connections_per_address: MAX_CONNECTIONS,
        max_body: MAX_BODY,
        trusted_proxies: Vec::new(),
        cors_origins: Vec::new(),
        ..config.server.clone()
    }
}
