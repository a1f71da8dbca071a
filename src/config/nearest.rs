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

/// A warning if the variable `name`, which is not read, looks like a setting's. Other programs may have variables that begin
/// alike, so one that resembles no setting gets none.
pub(super) fn ignored(name: &str) -> Option<String> {
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_uppercase()).collect()
    };
    let rest = plain(name).strip_prefix(&plain(PREFIX))?.to_owned();
    if is_of_kubernetes(name) {
        return None;
    }
    let likeness = |variable: &String| {
        let (_, name) = variable.rsplit_once("__").unwrap_or_default();
        let whole = strsim::normalized_damerau_levenshtein(&plain(&variable[PREFIX.len()..]), &rest);
        whole.max(strsim::normalized_damerau_levenshtein(&plain(name), &rest))
    };
    let variables = settings().map(|setting| setting.variable());
    let variables = variables.chain([SECRET_VARIABLE.to_owned()]);
    let meant = variables.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&meant) > 0.7).then(|| {
        format!(
            "environment variable {} is not read; did you mean {meant}?",
            name.escape_debug()
        )
    })
}

/// Whether Kubernetes sets this variable in every pod beside a service `jwt-server`.
fn is_of_kubernetes(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("JWT_SERVER_") else {
        return false;
    };
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || rest == "PORT"
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
            let warning = ignored(name).unwrap();
            assert!(
                warning.starts_with(&format!("environment variable {name} is not read"))
                    && warning.ends_with(&format!("did you mean {meant}?")),
                "{warning}"
            );
        }
        let odd = ignored("JWT_SERVER_LISTEN\u{1b}[2\n").unwrap();
        assert!(!odd.contains(char::is_control), "{odd:?}");
    }

    #[test]
    fn variables_of_other_programs_are_left_alone() {
        for name in [
            "PATH",
            "JWT_SECRET",
            "JWT_SERVER",
            "JWT_SERVER_SERVICE_HOST",
            "JWT_SERVER_SERVICE_PORT_HTTP",
            "JWT_SERVER_PORT",
            "JWT_SERVER_PORT_80_TCP_ADDR",
            "JWT_SERVER_VECTORS",
        ] {
            assert_eq!(ignored(name), None, "{name}");
        }
    }
}
