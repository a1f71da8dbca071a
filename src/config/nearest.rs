//! What a user may have meant by a name that no setting has, or by an environment variable that is not read.

use super::{
    origin::{PREFIX, SECRET_VARIABLE},
    table::settings,
};

/// The key of the setting that is most similar to `key`. Returns `None` if none is similar.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    // `listen` is as similar to `server.listen` as the whole key is.
    let likeness = |known: &str| {
        let name = known.split_once('.').map_or(known, |(_, name)| name);
        let whole = strsim::normalized_damerau_levenshtein(known, key);
        whole.max(strsim::normalized_damerau_levenshtein(name, key))
    };
    let keys = settings().map(|setting| setting.key);
    let nearest = keys.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.filter(|known| likeness(known) > 0.5)
}

/// A warning if the variable `name`, which is not read, looks like one of this server's.
pub(super) fn ignored(name: &str, value: &str) -> Option<String> {
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_uppercase()).collect()
    };
    let is_alike = plain(name)
        .strip_prefix(&plain(PREFIX))
        .is_some_and(|rest| !rest.is_empty());
    if !is_alike || is_of_kubernetes(name, value) {
        return None;
    }
    let similar = |variable: &String| strsim::normalized_damerau_levenshtein(&plain(variable), &plain(name));
    let whole = settings().map(|setting| setting.variable());
    let whole = whole.chain([SECRET_VARIABLE.to_owned()]);
    let whole = whole.max_by(|a, b| similar(a).total_cmp(&similar(b)));
    // `JWT_SERVER_LISTEN` has no section.
    let key = name.to_ascii_lowercase();
    let key = key.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let key = key.strip_prefix("jwt_server_").unwrap_or(key).trim_matches('_');
    let named = settings().find(|setting| setting.name() == key);
    let meant = named.map(|setting| setting.variable());
    let meant = meant.or(whole.filter(|variable| similar(variable) > 0.8));
    Some(format!(
        "environment variable {} is not read: a setting's variable is {PREFIX}SECTION__KEY{}",
        name.escape_debug(),
        meant
            .map(|variable| format!("; did you mean {variable}?"))
            .unwrap_or_default()
    ))
}

/// Whether Kubernetes sets this variable in every pod beside a service `jwt-server`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("JWT_SERVER_") else {
        return false;
    };
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || (rest == "PORT" && value.contains("://"))
        || rest
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_looks_like_a_settings_is_named_with_it() {
        for (name, meant) in [
            ("JWT_SERVER_LISTEN", "JWT_SERVER__SERVER__LISTEN"),
            ("JWT_SERVER_SERVER_LISTEN", "JWT_SERVER__SERVER__LISTEN"),
            ("JWT_SERVER_SERVER__LISTEN", "JWT_SERVER__SERVER__LISTEN"),
            ("jwt_server__server__listen", "JWT_SERVER__SERVER__LISTEN"),
            ("JWTSERVER__TOKEN__LIFETIME", "JWT_SERVER__TOKEN__LIFETIME"),
            ("JWT_SERVER_TOKEN_SECRET", SECRET_VARIABLE),
            ("JWT_SERVER_STORE_PTAH", "JWT_SERVER__STORE__PATH"),
        ] {
            let warning = ignored(name, "a value that is not shown").unwrap();
            assert!(
                warning.starts_with(&format!("environment variable {name} is not read"))
                    && warning.ends_with(&format!("did you mean {meant}?")),
                "{warning}"
            );
            assert!(!warning.contains("not shown"), "{warning}");
        }
        let odd = ignored("JWT_SERVER_\u{1b}[2J\n", "").unwrap();
        assert!(!odd.contains(char::is_control), "{odd:?}");
    }

    #[test]
    fn variables_of_other_programs_are_left_alone() {
        for (name, value) in [
            ("PATH", "/bin"),
            ("JWT_SECRET", "x"),
            ("JWT_SERVER", "/usr/bin/jwt-server"),
            ("JWT_SERVER_SERVICE_HOST", "10.0.0.1"),
            ("JWT_SERVER_SERVICE_PORT_HTTP", "80"),
            ("JWT_SERVER_PORT", "tcp://10.0.0.1:80"),
            ("JWT_SERVER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(ignored(name, value), None, "{name}");
        }
        assert!(ignored("JWT_SERVER_PORT", "8000").is_some());
    }
}
