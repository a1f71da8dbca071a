//! What a user may have meant by a name that no setting has, or by an environment variable that is not read.

use super::{
    origin::{PREFIX, SECRET_VARIABLE},
    table::settings,
};

/// The key of the setting that is most similar to `key`. Returns `None` if none is similar.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    // `listen` is as similar to `server.listen` as the whole key is.
    let likeness = |known: &&str| {
        let name = known.split_once('.').map_or(*known, |(_, name)| name);
        likeness(known, key).max(likeness(name, key))
    };
    most_alike(settings().map(|setting| setting.key), likeness, 0.5)
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
        let whole = likeness(&plain(&variable[PREFIX.len()..]), &rest);
        whole.max(likeness(&plain(name), &rest))
    };
    let variables = settings().map(|setting| setting.variable());
    let variables = variables.chain([SECRET_VARIABLE.to_owned()]);
    let meant = most_alike(variables, likeness, 0.7)?;
    Some(format!(
        "environment variable {} is not read; did you mean {meant}?",
        name.escape_debug()
    ))
}

/// The candidate with the greatest likeness above `least`.
fn most_alike<T>(candidates: impl Iterator<Item = T>, likeness: impl Fn(&T) -> f64, least: f64) -> Option<T> {
    let rated = candidates.map(|candidate| (likeness(&candidate), candidate));
    let alike = rated.filter(|(likeness, _)| *likeness > least);
    let most = alike.max_by(|(a, _), (b, _)| a.total_cmp(b));
    most.map(|(_, candidate)| candidate)
}

/// How alike two names are, from 0 to 1. Below a half, 0 may stand for it: a name that is more than twice as long as the other is
/// not compared, because the time is that of both lengths multiplied.
fn likeness(known: &str, given: &str) -> f64 {
    let (known_length, length) = (known.chars().count(), given.chars().count());
    if length > 2 * known_length || known_length > 2 * length {
        return 0.0;
    }
    strsim::normalized_damerau_levenshtein(known, given)
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
    fn a_name_is_only_compared_with_those_that_can_be_alike() {
        for setting in settings() {
            let (_, name) = setting.key.split_once('.').unwrap();
            for length in 1..200 {
                let given = name.chars().cycle().take(length).collect::<String>();
                let whole = strsim::normalized_damerau_levenshtein(setting.key, &given);
                let compared = likeness(setting.key, &given);
                assert!(
                    compared.total_cmp(&whole).is_eq() || whole < 0.5,
                    "{given}: {whole}"
                );
            }
            let long = setting.key.repeat(10_000);
            assert_eq!(likeness(setting.key, &long).to_bits(), 0);
        }
        // Compared with every setting, this would take minutes.
        assert_eq!(nearest(&"x".repeat(1 << 20)), None);
        assert_eq!(ignored(&format!("JWT_SERVER_{}", "X".repeat(1 << 20))), None);
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
