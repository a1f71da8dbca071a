//! Settings from each source, and the messages about bad ones.

use std::{os::unix::ffi::OsStringExt, time::Duration};

use secrecy::ExposeSecret;

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
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
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
fn a_message_is_one_line_for_any_name_of_a_variable() {
    let error = environment("JWT_SERVER__A\nB\u{1b}", "1").unwrap_err();
    assert!(
        error.starts_with("environment variable JWT_SERVER__A\\nB\\u{1b}: there is no setting "),
        "{error}"
    );
}

#[test]
fn a_shown_value_is_toml_that_reads_back_as_the_same() {
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
fn a_number_may_have_any_form_that_toml_knows() {
    for number in ["12", "+12", "1_2", "0x0C", "0x0c", "0o14", "0b1100"] {
        let config = file(&format!("[password]\nbcrypt_cost = {number}")).unwrap();
        assert_eq!(config.password.bcrypt_cost, 12, "{number}");
    }
    assert_eq!(
        file("password.hash_threads = -0").unwrap().password.hash_threads,
        0
    );
    for number in ["0x11", "-12", "0xffffffffffffffffffff", "12.0"] {
        let error = file(&format!("[password]\nbcrypt_cost = {number}")).unwrap_err();
        assert!(
            error.contains("password.bcrypt_cost can't be "),
            "{number}: {error}"
        );
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
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
fn a_bad_key_file_is_named_with_what_it_holds() {
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
            "it holds a public key; to sign, the server needs the private key",
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

#[test]
fn a_file_that_can_not_be_read_as_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let error = || Settings::default().add_file_at(&path).unwrap_err().to_string();
    let missing = error();
    assert!(
        missing.contains("settings.toml: the configuration file can't be read"),
        "{missing}"
    );
    std::fs::write(&path, [0xff, b'a']).unwrap();
    let bytes = error();
    assert!(bytes.ends_with("it is not UTF-8 text"), "{bytes}");
}

#[test]
fn a_secret_comes_from_the_file_or_the_environment_but_not_from_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let read = |variable: bool| {
        let mut settings = Settings::default();
        settings
            .add_flag(
                &settings_named("token.secret_file"),
                "--token.secret_file",
                path.to_str().unwrap(),
            )
            .unwrap();
        if variable {
            let given = (
                SECRET_VARIABLE.into(),
                "do-not-print-me-do-not-print-me-do".into(),
            );
            settings.add_environment([given].into_iter()).unwrap();
        }
        Config::read(&settings).map(|config| config.token.secret.unwrap())
    };
    for ending in ["", "\n", "\r\n"] {
        std::fs::write(&path, format!("{}{ending}", "a".repeat(32))).unwrap();
        let secret = read(false).unwrap();
        assert_eq!(secret.bytes.expose_secret(), [b'a'; 32]);
        assert_eq!(secret.origin, Origin::SecretFile(path.display().to_string()));
    }
    let both = read(true).unwrap_err().to_string();
    assert!(
        both.contains("are both set") && !both.contains("do-not-print-me"),
        "{both}"
    );
    // The end of the line does not count, and a shorter secret is refused.
    std::fs::write(&path, format!("{}\n", "a".repeat(31))).unwrap();
    let short = read(false).unwrap_err().to_string();
    assert!(
        short.starts_with("secret file ") && short.contains("this one has 31"),
        "{short}"
    );
}

#[test]
fn a_flag_of_the_wrong_form_is_refused_before_it_is_read() {
    let mut settings = Settings::default();
    for (key, value) in [("password.min_length", "eight"), ("signup.enabled", "yes")] {
        let error = settings.add_flag(&settings_named(key), key, value).unwrap_err();
        let ConfigError::BadValue {
            origin, key: named, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((origin, named), (Origin::Flag(key.into()), key));
    }
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let mut settings = Settings::default();
    let text = "[token]\nlifetime = \"x\"\nlifetme = 1\nsecret = \"s\"\n[log]\nformat = \"xml\"\n[nonsense]\nxyzzy = 1";
    let in_file = settings.add_file("f", text).unwrap_err();
    let variables = [
        ("JWT_SERVER__LOG__LEVL", "info"),
        ("JWT_SERVER__SIGNUP__ENABLED", "yes"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let in_environment = settings.add_environment(variables.into_iter()).unwrap_err();
    let read = Config::read(&settings).unwrap_err();

    let mut errors = Errors::default();
    for error in [in_file, in_environment, read] {
        errors.add(error);
    }
    let said = errors.into_error().to_string();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 7, "{said}");
    for (line, named) in lines.iter().zip([
        "f, line 2: token.lifetime can't be",
        "f, line 3: there is no setting token.lifetme",
        "f, line 4: a secret is never read",
        "f, line 6: log.format can't be",
        "f, line 8: there is no setting nonsense.xyzzy",
        "environment variable JWT_SERVER__LOG__LEVL",
        "environment variable JWT_SERVER__SIGNUP__ENABLED",
    ]) {
        assert!(line.starts_with(named), "{named} is not in {said}");
    }
}

#[test]
fn contradictions_are_named_together() {
    let said =
        file("[token]\nlifetime = \"2h\"\nrefresh_window = \"3h\"\nrotate_every = \"1m\"").unwrap_err();
    assert_eq!(said.lines().count(), 3, "{said}");
    let secrets = file("[token]\nsecret_file = \"nowhere\"\nalgorithm = \"EdDSA\"\nkey_file = \"nowhere\"");
    let said = secrets.unwrap_err();
    assert!(
        said.contains("token.secret_file") && said.contains("token.key_file"),
        "{said}"
    );
}

#[test]
fn a_variable_with_one_underscore_is_warned_of() {
    let mut settings = Settings::default();
    let variables = ["JWT_SERVER_LISTEN", "JWT_SERVER__LOG__LEVEL", "PATH"];
    let variables = variables.map(|name| (name.into(), "info".into()));
    settings.add_environment(variables.into_iter()).unwrap();
    let [warning] = settings.ignored() else {
        panic!("{:?}", settings.ignored())
    };
    assert!(
        warning.ends_with("did you mean JWT_SERVER__SERVER__LISTEN?"),
        "{warning}"
    );
}

#[test]
fn a_variable_whose_name_is_not_text_is_not_passed_over() {
    let name: OsString = OsStringExt::from_vec(b"JWT_SERVER__LOG__LEVEL\xff".to_vec());
    let added = Settings::default().add_environment([(name, "info".into())].into_iter());
    assert!(matches!(added, Err(ConfigError::Unknown { .. })), "{added:?}");
}

#[test]
fn a_file_that_can_not_be_followed_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (link, looped) = (folder.path().join("link.toml"), folder.path().join("loop.toml"));
    std::os::unix::fs::symlink("nowhere.toml", &link).unwrap();
    std::os::unix::fs::symlink("loop.toml", &looped).unwrap();
    for (path, why) in [
        (
            link.as_path(),
            "a symbolic link to \"nowhere.toml\", which does not exist",
        ),
        (&looped, "symbolic links"),
        (folder.path(), "directory"),
    ] {
        let said = Settings::default().add_file_at(path).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_secret_is_the_same_from_a_file_and_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for ending in ["", "\n", "\r\n", "\n\n", " \n", "\r"] {
        let text = format!("{}{ending}", "a".repeat(32));
        std::fs::write(&path, &text).unwrap();
        let mut settings = Settings::default();
        settings
            .add_flag(
                &settings_named("token.secret_file"),
                "--token.secret_file",
                path.to_str().unwrap(),
            )
            .unwrap();
        let from_file = Config::read(&settings).unwrap().token.secret.unwrap();
        let from_environment = environment(SECRET_VARIABLE, &text).unwrap().token.secret.unwrap();
        assert_eq!(
            from_file.bytes.expose_secret(),
            from_environment.bytes.expose_secret(),
            "{ending:?}"
        );
    }
    let short = environment(SECRET_VARIABLE, &format!("{}\n", "a".repeat(31))).unwrap_err();
    assert!(short.contains("this one has 31"), "{short}");
}

#[test]
fn addresses_to_listen_on_are_written_as_a_list_or_with_commas() {
    let both = ["127.0.0.1:1", "unix:/run/x"];
    for given in [
        file("[server]\nlisten = [\"127.0.0.1:1\", \"unix:/run/x\"]"),
        file("[server]\nlisten = \"127.0.0.1:1,unix:/run/x\""),
        environment("JWT_SERVER__SERVER__LISTEN", "127.0.0.1:1, unix:/run/x"),
    ] {
        let listen = given.unwrap().server.listen;
        let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, both);
    }
    let one = file("[server]\nlisten = \"[::1]:80\"").unwrap().server.listen;
    assert_eq!(one, ["[::1]:80".parse().unwrap()]);
    for bad in ["[]", "\"\"", "[\"\"]", "8000", "[\"a:80\"]"] {
        let error = file(&format!("[server]\nlisten = {bad}")).unwrap_err();
        assert!(
            error.starts_with("jwt-server.toml, line 2: server.listen can't be"),
            "{error}"
        );
    }
}
