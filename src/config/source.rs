//! Where settings come from: the file, then the environment, then the flags, each over the one before.

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::Path};

use secrecy::SecretString;
use toml::de::{DeTable, DeValue};

use super::{
    error::ConfigError,
    origin::Origin,
    raw::Raw,
    setting::{AnySetting, Kind, PREFIX, SECRET_VARIABLE, Setting},
    settings,
};

/// Every value that was given, with its origin; what was not given is at its default.
#[derive(Debug, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, (Raw, Origin)>,
    secret: Option<SecretString>,
}

impl Settings {
    /// Adds what the file at `path` says.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if it can't be read (`NotFound` included), else as [`add_file`](Self::add_file).
    pub fn add_file_at(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source: match source.kind() {
                io::ErrorKind::InvalidData => io::Error::other("it is not UTF-8 text"),
                _ => source,
            },
        })?;
        self.add_file(&path.display().to_string(), &text)
    }

    /// Adds what `text`, the content of a file called `file`, says.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] if it is not TOML, [`Unknown`](ConfigError::Unknown) for a name that is no setting's,
    /// [`SecretInFile`](ConfigError::SecretInFile).
    pub fn add_file(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let line_of = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let origin = |at: usize| Origin::File {
            file: file.to_owned(),
            line: line_of(at),
        };
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            file: file.to_owned(),
            line: line_of(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        })?;
        for (section, table) in document.get_ref() {
            let DeValue::Table(entries) = table.get_ref() else {
                return Err(unknown(origin(section.span().start), section.get_ref()));
            };
            for (name, value) in entries {
                let key = format!("{}.{}", section.get_ref(), name.get_ref());
                let origin = origin(name.span().start);
                if key == "token.secret" {
                    return Err(ConfigError::SecretInFile { origin });
                }
                match settings().find(|setting| setting.key == key) {
                    Some(setting) => self.given.insert(setting.key, (Raw::of(value.get_ref()), origin)),
                    None => return Err(unknown(origin, &key)),
                };
            }
            if entries.is_empty() && !settings().any(|setting| setting.section() == section.get_ref()) {
                return Err(unknown(origin(section.span().start), section.get_ref()));
            }
        }
        Ok(())
    }

    /// Adds what those of the environment's `variables` say whose names begin with `JWT_SERVER__`.
    ///
    /// # Errors
    /// [`ConfigError::Unknown`] for a name that is no setting's, [`BadValue`](ConfigError::BadValue) for a value that is
    /// not of the setting's form.
    pub fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            // The system lets a name have line feeds, and a message is one line.
            let origin = Origin::Environment(name.escape_debug().to_string());
            let value = value.into_string();
            if name == SECRET_VARIABLE {
                // Made into text some other way, different bytes could become the same secret.
                let value = value.map_err(|_| ConfigError::BadSecret {
                    origin: origin.clone(),
                    problem:
                        "it is not UTF-8 text; put bytes into a file and name that with token.secret_file"
                            .into(),
                })?;
                self.secret = Some(value.into());
                continue;
            }
            let value = value.unwrap_or_else(|bytes| bytes.to_string_lossy().into_owned());
            let Some(setting) = settings().find(|setting| setting.variable() == name) else {
                let key = name[PREFIX.len()..].replace("__", ".").to_lowercase();
                return Err(unknown(origin, &key));
            };
            self.add_text(&setting, &value, origin)?;
        }
        Ok(())
    }

    /// Adds the value of a flag.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] if it is not of the setting's form.
    pub fn add_flag(&mut self, setting: &AnySetting, flag: &str, value: &str) -> Result<(), ConfigError> {
        self.add_text(setting, value, Origin::Flag(flag.to_owned()))
    }

    /// The value of `setting` as it would stand in the file, and where it came from.
    #[must_use]
    pub fn shown(&self, setting: &AnySetting) -> (String, Origin) {
        match self.given.get(setting.key) {
            Some((value, origin)) => (value.to_string(), origin.clone()),
            None => (setting.default.to_owned(), Origin::Default),
        }
    }

    /// The secret that the environment gave.
    pub(super) fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }

    pub(super) fn origin(&self, setting: &AnySetting) -> Origin {
        let given = self.given.get(setting.key);
        given.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The value of `setting`.
    ///
    /// Fails with [`ConfigError::BadValue`] if what was given is not accepted.
    pub(super) fn read<T>(&self, setting: &Setting<T>) -> Result<T, ConfigError> {
        let any = setting.any();
        let (value, origin) = match self.given.get(setting.key) {
            Some((value, origin)) => (value.clone(), origin.clone()),
            None => (default(&any), Origin::Default),
        };
        let parsed = setting.accepts.parse(&value);
        parsed.ok_or_else(|| any.bad_value(value.to_string(), origin))
    }

    fn add_text(&mut self, setting: &AnySetting, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let value = match setting.kind() {
            Kind::Text => Some(Raw::Text(text.to_owned())),
            Kind::Integer => text
                .parse::<i64>()
                .ok()
                .map(|number| Raw::Integer(number.to_string())),
            Kind::Boolean => text.parse().ok().map(Raw::Boolean),
            Kind::List => Some(Raw::List(
                text.split(',')
                    .map(|item| item.trim().to_owned())
                    .filter(|item| !item.is_empty())
                    .collect(),
            )),
        };
        let value = value.ok_or_else(|| setting.bad_value(format!("{text:?}"), origin.clone()))?;
        self.given.insert(setting.key, (value, origin));
        Ok(())
    }
}

fn unknown(origin: Origin, key: &str) -> ConfigError {
    // A name without its section is as near as the name is.
    let likeness = |setting: &AnySetting| {
        let whole = strsim::normalized_damerau_levenshtein(setting.key, key);
        whole.max(strsim::normalized_damerau_levenshtein(setting.name(), key))
    };
    let nearest = settings().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    ConfigError::Unknown {
        origin,
        key: key.escape_debug().to_string(),
        nearest: nearest.filter(|s| likeness(s) > 0.5).map(|setting| setting.key),
    }
}

fn default(setting: &AnySetting) -> Raw {
    DeValue::parse(setting.default).map_or_else(
        |_| Raw::Other(setting.default.to_owned()),
        |value| Raw::of(value.get_ref()),
    )
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStringExt, time::Duration};

    use super::*;
    use crate::config::Config;

    fn file(text: &str) -> Result<Config, String> {
        let mut settings = Settings::default();
        let added = settings.add_file("jwt-server.toml", text);
        added
            .and_then(|()| Config::read(&settings))
            .map_err(|error| error.to_string())
    }

    fn environment(name: &str, value: &str) -> Result<Config, String> {
        let mut settings = Settings::default();
        let added = settings.add_environment([(name.into(), value.into())].into_iter());
        added
            .and_then(|()| Config::read(&settings))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_wins_over_the_file_and_a_flag_over_both() {
        let mut settings = Settings::default();
        settings
            .add_file(
                "f",
                "[token]\nlifetime = \"1m\"\nrefresh_window = \"7s\"\nissuer = \"file\"",
            )
            .unwrap();
        let variables = [
            ("JWT_SERVER__TOKEN__LIFETIME", "2m"),
            ("JWT_SERVER__TOKEN__ISSUER", "environment"),
            ("PATH", "/bin"),
        ];
        settings
            .add_environment(
                variables
                    .map(|(name, value)| (name.into(), value.into()))
                    .into_iter(),
            )
            .unwrap();
        let issuer = settings_named("token.issuer");
        settings.add_flag(&issuer, "--token.issuer", "flag").unwrap();

        let config = Config::read(&settings).unwrap();
        assert_eq!(config.token.policy.refresh_window, Duration::from_secs(7));
        assert_eq!(config.token.policy.lifetime, Duration::from_mins(2));
        assert_eq!(config.token.issuer, "flag");
        assert_eq!(
            settings.shown(&issuer),
            ("\"flag\"".into(), Origin::Flag("--token.issuer".into()))
        );
        let window = settings.origin(&settings_named("token.refresh_window"));
        assert_eq!(
            window,
            Origin::File {
                file: "f".into(),
                line: 3
            }
        );
    }

    fn settings_named(key: &str) -> AnySetting {
        settings().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_place_and_the_nearest_known_one() {
        for (given, message) in [
            (
                file("# a comment\n[token]\nlifetme = \"5m\""),
                "jwt-server.toml, line 3: there is no setting token.lifetme; did you mean token.lifetime?",
            ),
            (
                file("[nonsense]\nxyzzy = 1"),
                "jwt-server.toml, line 2: there is no setting nonsense.xyzzy",
            ),
            (
                file("[nonsense]"),
                "jwt-server.toml, line 1: there is no setting nonsense",
            ),
            (
                file("listen = \"127.0.0.1:1\""),
                "jwt-server.toml, line 1: there is no setting listen; did you mean server.listen?",
            ),
            (
                environment("JWT_SERVER__SERVER__LISTN", "127.0.0.1:1"),
                "environment variable JWT_SERVER__SERVER__LISTN: there is no setting server.listn; did you mean server.listen?",
            ),
        ] {
            assert!(given.clone().unwrap_err().starts_with(message), "{given:?}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_and_what_is_accepted() {
        for (given, message) in [
            (
                file("[token]\nlifetime = \"5 parsecs\""),
                "jwt-server.toml, line 2: token.lifetime can't be \"5 parsecs\"; accepted: a time in whole seconds",
            ),
            (
                file("[token]\nlifetime = 300"),
                "jwt-server.toml, line 2: token.lifetime can't be 300; accepted:",
            ),
            (
                file("[token]\nlifetime = \"0s\""),
                "jwt-server.toml, line 2: token.lifetime can't be \"0s\"",
            ),
            (
                file("[token]\nlifetime = \"1500ms\""),
                "jwt-server.toml, line 2: token.lifetime can't be",
            ),
            (
                file("[server]\nbody_timeout = \"500000000y\""),
                "jwt-server.toml, line 2: server.body_timeout can't be",
            ),
            (
                file("[password]\nbcrypt_cost = 17"),
                "jwt-server.toml, line 2: password.bcrypt_cost can't be 17",
            ),
            (
                file("[password]\nbcrypt_cost = \"12\""),
                "jwt-server.toml, line 2: password.bcrypt_cost can't be \"12\"",
            ),
            (
                file("[signup]\nroles = [1]"),
                "jwt-server.toml, line 2: signup.roles can't be a list of other",
            ),
            (
                file("[signup]\nroles = [\"admin\"]"),
                "jwt-server.toml, line 2: signup.roles can't be [\"admin\"]",
            ),
            (
                file("[server]\nlisten = \"localhost\""),
                "jwt-server.toml, line 2: server.listen can't be \"localhost\"",
            ),
            (
                environment("JWT_SERVER__SIGNUP__ENABLED", "yes"),
                "environment variable JWT_SERVER__SIGNUP__ENABLED: signup.enabled can't be \"yes\"; accepted: true or false",
            ),
        ] {
            assert!(given.clone().unwrap_err().starts_with(message), "{given:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_a_variable_is_called() {
        let error = environment("JWT_SERVER__A\nB\u{1b}", "1").unwrap_err();
        assert!(
            error.starts_with("environment variable JWT_SERVER__A\\nB\\u{1b}: there is no setting "),
            "{error}"
        );
    }

    #[test]
    fn what_is_shown_is_toml_and_reads_back_as_the_same() {
        let odd = "\0\u{7f}\u{85}\u{1b}[2J \"'\\ \r\n\u{202e}\u{301}é🙂";
        for (key, given) in [("token.issuer", odd), ("token.audience", "a\u{7f},b\\")] {
            let setting = settings_named(key);
            let mut settings = Settings::default();
            settings.add_flag(&setting, key, given).unwrap();
            let (shown, _) = settings.shown(&setting);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");

            let mut again = Settings::default();
            again.add_file("f", &format!("{key} = {shown}")).unwrap();
            let (was, is) = (Config::read(&settings).unwrap(), Config::read(&again).unwrap());
            assert_eq!(is.token.issuer, was.token.issuer, "{shown}");
            assert_eq!(is.token.audience, was.token.audience, "{shown}");
        }
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        let error = file("[token]\nlifetime = ").unwrap_err();
        assert!(error.starts_with("jwt-server.toml, line 2: "), "{error}");
        let twice = file("[token]\nissuer = \"a\"\nissuer = \"b\"").unwrap_err();
        assert!(twice.starts_with("jwt-server.toml, line 3: "), "{twice}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let error = file("[token]\nlifetime = \"30s\"\nrefresh_window = \"31s\"").unwrap_err();
        assert!(
            error.contains("token.refresh_window") && error.contains("token.lifetime"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_is_never_read_from_the_file_and_never_shown() {
        let error = file("[token]\nsecret = \"do-not-print-me-do-not-print-me-do\"").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("token.secret_file"),
            "{error}"
        );
        assert!(!error.contains("do-not-print-me"), "{error}");

        let short = environment(SECRET_VARIABLE, "do-not-print-me").unwrap_err();
        assert!(
            short.contains("32 bytes") && !short.contains("do-not-print-me"),
            "{short}"
        );

        for key in [
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI",
            "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\"}",
        ] {
            let error = environment(SECRET_VARIABLE, key).unwrap_err();
            assert!(
                error.contains("not a secret") && !error.contains("MFkw"),
                "{error}"
            );
        }
        let bytes: OsString = OsStringExt::from_vec(vec![0xff; 40]);
        let error = Settings::default().add_environment([(SECRET_VARIABLE.into(), bytes)].into_iter());
        assert!(matches!(error, Err(ConfigError::BadSecret { .. })));

        let good = environment(SECRET_VARIABLE, "do-not-print-me-do-not-print-me-do").unwrap();
        assert!(good.token.secret.is_some());
        assert!(!format!("{good:?}").contains("do-not-print-me"));
    }

    #[test]
    fn keys_and_their_rotation_must_fit_together() {
        for (text, named) in [
            (
                "algorithm = \"HS384\"",
                "token.algorithm can't be \"HS384\"; accepted: HS256, EdDSA, ES256 or RS256",
            ),
            ("algorithm = \"none\"", "token.algorithm"),
            (
                "rotate_every = \"59s\"",
                "token.rotate_every can't be \"59s\"; accepted: off, or",
            ),
            (
                "rotate_every = \"14m\"",
                "can't be shorter than token.publish_ahead",
            ),
            (
                "rotate_every = \"1h\"\nlifetime = \"2h\"",
                "can't be shorter than token.lifetime",
            ),
            (
                "key_file = \"tests/keys/ed25519.pem\"",
                "token.algorithm is HS256",
            ),
            (
                "algorithm = \"EdDSA\"\nkey_file = \"tests/keys/ed25519.pem\"\nrotate_every = \"30d\"",
                "comes from the settings (key file tests/keys/ed25519.pem)",
            ),
        ] {
            let error = file(&format!("[token]\n{text}")).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
        let good =
            "[token]\nalgorithm = \"ES256\"\nkey_file = \"tests/keys/ec-sec1.pem\"\npublish_ahead = \"1h\"";
        assert!(file(good).unwrap().token.key_file.is_some());
        let good = file("[token]\nrotate_every = \"90d\"").unwrap();
        assert_eq!(good.token.rotate_every, Some(Duration::from_hours(90 * 24)));
        assert_eq!(Config::default().token.rotate_every, None);
    }

    #[test]
    fn a_key_file_that_is_none_is_named_with_what_it_is() {
        let error = |algorithm: &str, file_name: &str| {
            let text = format!("[token]\nalgorithm = \"{algorithm}\"\nkey_file = {file_name:?}");
            let error = file(&text).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
            error
        };
        for (algorithm, name, why) in [
            (
                "RS256",
                "rsa-1024.pem",
                "an RSA key of 1024 bits; from 2048 to 8192 are accepted",
            ),
            (
                "RS256",
                "rsa-public.pem",
                "it holds a public key; to sign, the private key is needed",
            ),
            (
                "ES256",
                "rsa-pkcs8.pem",
                "it holds an RSA key, and ES256 takes an EC key on P-256",
            ),
            ("EdDSA", "README.md", "it is no PEM file"),
        ] {
            let said = error(algorithm, &format!("tests/keys/{name}"));
            assert!(
                said.starts_with(&format!("key file tests/keys/{name}: ")) && said.contains(why),
                "{said}"
            );
        }
        let missing = error("EdDSA", "tests/keys/nothing.pem");
        assert!(
            missing.contains("token.key_file") && missing.contains("tests/keys/nothing.pem"),
            "{missing}"
        );
        let pasted = error("EdDSA", "-----BEGIN PRIVATE KEY-----\nMC4CAQ");
        assert!(!pasted.contains("MC4CAQ"), "{pasted}");
    }

    #[test]
    fn a_list_from_the_environment_is_separated_by_commas() {
        let config = environment("JWT_SERVER__SIGNUP__ROLES", "CLIENT, EDITOR").unwrap();
        assert_eq!(config.signup.roles.to_string(), "CLIENT EDITOR");
        let config = environment("JWT_SERVER__SIGNUP__ROLES", "").unwrap();
        assert_eq!(config.signup.roles.to_string(), "");
    }
}
