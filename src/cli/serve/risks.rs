//! The settings that are not safe everywhere: a warning each in the banner.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::config::{Config, ListenAddress, Origin, TokenConfig};

/// bcrypt costs below this are for tests.
const LEAST_SAFE_COST: u32 = 10;

/// The warnings about `config`.
///
/// The process needs to have `needed` files open, and the system allows `allowed`; `None` if that is not known.
pub(super) fn risks(config: &Config, needed: usize, allowed: Option<u64>) -> Vec<String> {
    let mut risks = Vec::new();
    let wide = config.server.listen.iter();
    let wide = wide.filter(|address| address.is_reachable_from_elsewhere());
    let wide: Vec<_> = wide.map(ToString::to_string).collect();
    if !wide.is_empty() && config.server.trusted_proxies.is_empty() {
        risks.push(format!(
            "server.listen {} is reachable from other machines without TLS or a trusted proxy: other machines can read passwords and tokens on the way. Put a TLS proxy in front, and listen on loopback",
            wide.join(", ")
        ));
    }
    let has_unix = config
        .server
        .listen
        .iter()
        .any(|address| matches!(address, ListenAddress::Unix(_)));
    if has_unix && config.server.unix_mode & 0o002 != 0 {
        risks.push(format!(
            "server.unix_mode {:o} lets every user of this machine who reaches the socket count as a trusted proxy, and choose the client address of each request",
            config.server.unix_mode
        ));
    }
    let cost = config.password.bcrypt_cost;
    if cost < LEAST_SAFE_COST {
        risks.push(format!(
            "password.bcrypt_cost {cost} is below {LEAST_SAFE_COST}: stolen password hashes are cheap to guess"
        ));
    }
    if config.password.min_strength == 0 {
        risks.push("password.min_strength 0 lets users choose a password such as \"password\"".into());
    }
    risks.extend(key_risks(&config.token));
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed as u64) {
        risks.push(format!(
            "server.max_connections {} needs {needed} open files, and the system allows {allowed}: the connections beyond that have to wait",
            config.server.max_connections
        ));
    }
    risks
}

/// The warning about a database directory that could not be made private: it is another user's, or its file system has no modes.
pub(super) fn directory_risk(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let (mode, owner) = (found.permissions().mode() & 0o7777, found.uid());
    (mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!(
            "the directory {path} (store.path) belongs to user {owner} and has mode {mode:o}, which this process could not change: other users who reach it may replace the database. Its files are private"
        )
    })
}

/// The warnings about the secret and the private key that were given.
fn key_risks(token: &TokenConfig) -> Vec<String> {
    let mut risks = Vec::new();
    let secret = token.secret.as_ref().map(|secret| &secret.origin);
    let file = token.key_file.as_ref().map(|file| &file.origin);
    for origin in [secret, file].into_iter().flatten() {
        let (Origin::SecretFile(path) | Origin::KeyFile(path)) = origin else {
            continue;
        };
        let mode = fs::metadata(path).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            risks.push(format!(
                "{origin} can be read by other users of this machine, who could sign tokens with it: chmod 600 {path}"
            ));
        }
    }
    if let Some(origin) = secret.filter(|_| token.algorithm.has_public_keys()) {
        risks.push(format!(
            "token.algorithm is {}, so the secret from {origin} only verifies what it has signed before: leave it out once `jwt-server key list` shows no HS256 key",
            token.algorithm
        ));
    }
    risks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, domain::Algorithm};

    fn of(set: fn(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        set(&mut config);
        risks(&config, 5000, Some(5000))
    }

    #[test]
    fn the_defaults_have_no_risks() {
        assert_eq!(of(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn each_unsafe_setting_is_one_warning_that_names_it() {
        let wide = of(|config| config.server.listen = vec!["0.0.0.0:80".parse().unwrap()]);
        let open = of(|config| {
            config.server.listen.push("unix:socket".parse().unwrap());
            config.server.unix_mode = 0o666;
        });
        let cheap = of(|config| config.password.bcrypt_cost = 9);
        let weak = of(|config| config.password.min_strength = 0);
        for (risks, named) in [
            (wide, "server.listen 0.0.0.0:80 is"),
            (open, "server.unix_mode 666"),
            (cheap, "password.bcrypt_cost 9 is below 10"),
            (weak, "password.min_strength 0"),
        ] {
            assert_eq!(risks.len(), 1, "{risks:?}");
            assert!(risks[0].starts_with(named), "{risks:?}");
        }
    }

    #[test]
    fn a_warning_names_every_wide_address_and_no_other() {
        let risks = of(|config| {
            let texts = ["0.0.0.0:80", "localhost:81", "unix:socket", "[::]:80"];
            config.server.listen = texts.map(|text| text.parse().unwrap()).to_vec();
        });
        assert_eq!(risks.len(), 1, "{risks:?}");
        assert!(
            risks[0].starts_with("server.listen 0.0.0.0:80, [::]:80 is"),
            "{risks:?}"
        );
    }

    #[test]
    fn behind_a_trusted_proxy_a_wide_address_is_no_risk() {
        let risks = of(|config| {
            config.server.listen = vec!["0.0.0.0:80".parse().unwrap()];
            config.server.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        });
        assert_eq!(risks, Vec::<String>::new());
    }

    #[test]
    fn too_few_allowed_files_are_a_risk_and_unknown_ones_are_not() {
        let config = Config::default();
        let few = risks(&config, 5000, Some(4999));
        assert!(
            few[0].contains("needs 5000 open files, and the system allows 4999"),
            "{few:?}"
        );
        assert_eq!(risks(&config, 5000, None), Vec::<String>::new());
    }

    #[test]
    fn a_secret_beside_another_algorithm_only_verifies() {
        let risks = of(|config| {
            config.token.algorithm = Algorithm::EdDsa;
            config.token.secret = Some(Secret {
                bytes: vec![7; 32].into(),
                origin: Origin::Environment("THE_VARIABLE".into()),
            });
        });
        assert_eq!(risks.len(), 1, "{risks:?}");
        assert!(
            risks[0].contains("token.algorithm is EdDSA") && risks[0].contains("THE_VARIABLE"),
            "{risks:?}"
        );
    }

    #[test]
    fn a_secret_file_that_others_can_read_is_a_risk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        let mut config = Config::default();
        config.token.secret = Some(Secret {
            bytes: vec![7; 32].into(),
            origin: Origin::SecretFile(path.clone()),
        });
        for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let risks = risks(&config, 0, None);
            let named = risks
                .iter()
                .any(|risk| risk.ends_with(&format!("chmod 600 {path}")));
            assert_eq!(named, warned, "{mode:o}: {risks:?}");
        }
    }
}
