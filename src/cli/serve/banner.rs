//! What the server prints at its start: where it listens, what it found in the database, and the warnings.

use std::fmt;

use super::{
    super::output::counted,
    risks::{directory_risk, risks},
};
use crate::{
    auth::KeyStatus,
    config::{Config, ListenAddress},
};

/// What the server found when it started. Its `Display` is the banner.
pub(super) struct Banner<'a> {
    pub(super) config: &'a Config,
    /// What was found wrong with the settings, and does not stop the server.
    pub(super) warnings: &'a [String],
    /// The addresses on which the server listens.
    pub(super) addresses: Vec<ListenAddress>,
    pub(super) users: u64,
    /// Whether an enabled user has the role ADMIN.
    pub(super) has_administrator: bool,
    /// The live sessions; `None` while the server still reads them.
    pub(super) sessions: Option<usize>,
    pub(super) key: &'a KeyStatus,
    /// How many files the process needs to have open at once.
    pub(super) files_needed: usize,
    /// How many the system allows it to have; `None` if that is not known.
    pub(super) files_allowed: Option<u64>,
}

impl Banner<'_> {
    /// Says in the log that the server starts, and of which version it is.
    pub(super) fn log(&self) {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            addresses = addresses.join(" "),
            database = %self.config.store.path.display(),
            users = self.users,
            kid = self.key.id.as_str(),
            "started"
        );
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, database) = (self.key, self.config.store.path.display());
        let users = counted(self.users, "user");
        let sessions = self.sessions.map_or_else(
            || "live sessions still to be read".to_owned(),
            |sessions| counted(sessions as u64, "live session"),
        );
        let source = key
            .given_by
            .as_ref()
            .map_or("made by this server, kept in its database".to_owned(), |origin| {
                format!("from {origin}")
            });
        writeln!(f, "jwt-server {}", env!("CARGO_PKG_VERSION"))?;
        for address in &self.addresses {
            let scheme = match address {
                ListenAddress::Unix(_) => "",
                _ => "http://",
            };
            writeln!(f, "  listening on  {scheme}{address}")?;
        }
        writeln!(f, "  database      {database} ({users}, {sessions})")?;
        writeln!(f, "  signing key   {source} ({}, kid {})", key.algorithm, key.id)?;
        if let Some(next) = &key.next {
            let (algorithm, id, from) = (next.algorithm, &next.id, next.signs_from);
            writeln!(f, "  next key      signs from {from} ({algorithm}, kid {id})")?;
        }
        if !self.has_administrator {
            writeln!(f, "  administrator none yet: {}", self.first_administrator())?;
        }
        if let Some(ended) = key.replaced {
            let ended = counted(ended as u64, "session");
            writeln!(
                f,
                "  note: the signing key is not the one of the last start: every older token is dead, and {ended} ended"
            )?;
        }
        let risks = risks(self.config, self.files_needed, self.files_allowed);
        let directory = directory_risk(&self.config.store.path);
        for warning in self.warnings.iter().chain(&risks).chain(&directory) {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

impl Banner<'_> {
    /// What to type for the first administrator, in the directory in which the server was started.
    fn first_administrator(&self) -> String {
        let path = &self.config.store.path;
        let place = if *path == Config::default().store.path {
            String::new()
        } else {
            format!(" --store.path {}", path.display())
        };
        format!("jwt-server user add NAME --role ADMIN{place}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Origin, domain::Algorithm};

    #[test]
    fn the_banner_tells_what_a_start_found() {
        let config = Config::default();
        let mut key = KeyStatus {
            id: "the-kid".into(),
            algorithm: Algorithm::EdDsa,
            given_by: None,
            replaced: None,
            next: None,
        };
        let banner = |key: &KeyStatus, users, sessions| {
            let banner = Banner {
                config: &config,
                warnings: &["a variable is not read".into()],
                addresses: ["127.0.0.1:4321", "[::1]:4321", "unix:/run/x"]
                    .map(|address| address.parse().unwrap())
                    .to_vec(),
                users,
                has_administrator: users > 1,
                sessions,
                key,
                files_needed: 5000,
                files_allowed: Some(4096),
            };
            banner.to_string()
        };
        let first = banner(&key, 1, None);
        for line in [
            "  listening on  http://127.0.0.1:4321\n  listening on  http://[::1]:4321\n  listening on  unix:/run/x\n",
            "  database      data (1 user, live sessions still to be read)\n",
            "  signing key   made by this server, kept in its database (EdDSA, kid the-kid)\n",
            "  warning: a variable is not read\n",
            "  warning: server.max_connections 4096 needs 5000 open files, and the system allows 4096",
        ] {
            assert!(first.contains(line), "{line} is not in {first}");
        }
        let advice = "  administrator none yet: jwt-server user add NAME --role ADMIN\n";
        assert!(first.contains(advice) && !first.contains("note:"), "{first}");

        key.given_by = Some(Origin::KeyFile("key.pem".into()));
        key.replaced = Some(1);
        let second = banner(&key, 2, Some(0));
        for line in [
            "  database      data (2 users, 0 live sessions)\n",
            "  signing key   from key file key.pem (EdDSA, kid the-kid)\n",
            "every older token is dead, and 1 session ended\n",
        ] {
            assert!(second.contains(line), "{line} is not in {second}");
        }
        assert!(!second.contains("ADMIN"), "{second}");
    }
}
