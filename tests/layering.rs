//! The arrows of ARCHITECTURE.md, read from the sources: which room may import which, which file may name which crate, and
//! that no two files need each other.
//!
//! A file needs another one if it imports or names an item that the other one defines; a path is followed through re-exports
//! to the file of the item. So a `mod.rs` that declares its children and re-exports what they define needs none of them. But
//! one that uses a child, while the child uses an item of the `mod.rs` itself, is a circle: the item belongs in a file of its
//! own. A name that is both re-exported and used counts as used. Code that only tests compile is left out of circles, because
//! a test may build on anything in its room.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

#[path = "layering/circles.rs"]
mod circles;
#[path = "layering/code.rs"]
mod code;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::circles::{Need, circles, needs};

/// A room, and what of this crate it may name.
const ARROWS: [(&str, &[&str]); 14] = [
    ("clock", &[]),
    ("domain", &["clock"]),
    ("event", &["domain", "clock"]),
    ("keys", &["domain", "clock"]),
    ("transfer", &["domain", "clock"]),
    ("config", &["keys", "domain"]),
    ("passwords", &["config", "domain"]),
    ("store", &["config", "domain", "clock", "event"]),
    ("tokens", &["store", "config", "keys", "domain", "clock"]),
    ("throttle", &["store", "config", "keys", "domain", "clock"]),
    (
        "auth",
        &[
            "throttle",
            "tokens",
            "transfer",
            "store",
            "passwords",
            "config",
            "keys",
            "event",
            "domain",
            "clock",
        ],
    ),
    ("http", &["auth", "config", "domain", "event"]),
    ("telemetry", &["config", "event"]),
    ("server", &["http", "config", "domain", "clock"]),
];

/// A room, another one, and all that the first may name of the second.
const PARTS: [(&str, &str, &[&str]); 1] = [(
    "server",
    "http",
    &[
        "ApiError",
        "Credential",
        "Noted",
        "Traced",
        "client",
        "has_credential",
        "set_client",
        "set_only_credential",
        "set_peer_uid",
        "take_noted",
    ],
)];

/// The folder of a store's backend, and the only file outside of it that may name it.
const BACKENDS: [(&str, &str); 1] = [("src/store/sled/", "src/store/open.rs")];

/// A crate, and the only places that may name it.
const OWNERS: [(&str, &[&str]); 12] = [
    ("sled", &["src/store/sled/"]),
    ("bcrypt", &["src/passwords/hash.rs"]),
    ("zxcvbn", &["src/passwords/strength.rs"]),
    (
        "aws_lc_rs",
        &[
            "src/keys/pair.rs",
            "src/keys/digest.rs",
            "src/tokens/refresh_token.rs",
            "src/tokens/checked_text.rs",
        ],
    ),
    (
        "crc32fast",
        &[
            "src/tokens/checked_text.rs",
            "src/store/sled/file/directory.rs",
            "src/store/sled/file/log_file.rs",
        ],
    ),
    ("jsonwebtoken", &["src/tokens/key.rs", "src/tokens/tests/keys.rs"]),
    ("smol_str", &["src/domain/username.rs"]),
    ("triomphe", &["src/tokens/cache/set.rs"]),
    ("warp", &["src/http/", "src/server/"]),
    ("clap", &["src/cli/"]),
    ("governor", &["src/throttle/buckets.rs"]),
    ("tracing_subscriber", &["src/telemetry/"]),
];

/// Needs that are part of a circle and are to go: the first file needs the second. Remove an entry when its circle is gone,
/// and never add one.
const KNOWN: &[(&str, &str)] = &[];

/// Every source file and its text.
fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    let read = |path: &PathBuf| (path.display().to_string(), fs::read_to_string(path).unwrap());
    let sources: Vec<_> = files.iter().map(read).collect();
    assert!(sources.len() > 40, "only {} files were found", sources.len());
    sources
}

/// Every source file, with the code of it that is not a comment.
fn sources_without_comments() -> Vec<(String, String)> {
    let code = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let sources = sources().into_iter();
    sources.map(|(path, text)| (path, code(&text))).collect()
}

/// The modules of this crate that `code` names: after `crate::`, alone or as a group.
fn named_modules(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.push(first_word(rest));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for c in group.chars() {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            if depth == 0 || (depth == 1 && c == ',') {
                named.push(first_word(item.trim()));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The room that the file at `path` is in: the first module of its path.
fn room(path: &str) -> String {
    first_word(path.strip_prefix("src/").unwrap())
}

#[test]
fn modules_import_only_what_the_arrows_allow() {
    for (module, allowed) in ARROWS {
        let mut seen = 0;
        for (path, code) in sources_without_comments() {
            if room(&path) != module {
                continue;
            }
            seen += 1;
            for named in named_modules(&code) {
                let fine = named == module || allowed.contains(&named.as_str());
                assert!(fine, "{path} imports crate::{named}, which `{module}` may not");
            }
        }
        assert!(seen > 0, "there is no module {module}");
    }
}

/// The check above reads `crate::`. This one reads every form of path, and follows re-exports.
#[test]
fn no_path_of_any_form_goes_against_an_arrow() {
    let needs = needs(&sources());
    assert!(needs.len() > 500, "only {} needs were found", needs.len());
    for Need {
        from,
        path,
        room: there,
        ..
    } in needs
    {
        let here = room(&from);
        let Some((_, allowed)) = ARROWS.into_iter().find(|(module, _)| *module == here) else {
            continue;
        };
        let fine = here == there || allowed.contains(&there.as_str());
        assert!(fine, "{from} names {path}, of `{there}`, which `{here}` may not");
    }
}

#[test]
fn a_room_names_only_its_part_of_another_room() {
    let needs = needs(&sources());
    for (here, there, part) in PARTS {
        let within = needs
            .iter()
            .filter(|need| room(&need.from) == here && need.room == there);
        let names: BTreeSet<_> = within
            .map(|need| need.path.rsplit("::").next().unwrap_or_default())
            .collect();
        assert_eq!(
            names,
            part.iter().copied().collect(),
            "what {here} names of {there}"
        );
    }
}

#[test]
fn only_one_file_names_a_backend_of_the_store() {
    let needs = needs(&sources());
    for (backend, opener) in BACKENDS {
        let outside = needs
            .iter()
            .filter(|need| need.to.starts_with(backend) && !need.from.starts_with(backend));
        let names: BTreeSet<_> = outside.map(|need| need.from.as_str()).collect();
        assert_eq!(names, BTreeSet::from([opener]), "the files that name {backend}");
    }
}

#[test]
fn each_crate_is_named_only_where_it_is_hidden() {
    for (name, owners) in OWNERS {
        let mut seen = 0;
        for (path, code) in sources_without_comments() {
            let used = [format!("{name}::"), format!("use {name}")].iter().any(|mark| {
                code.match_indices(mark.as_str()).any(|(at, _)| {
                    // `crate::store::sled::…` and `self::sled::…` are this crate's own modules.
                    let before = code[..at].chars().next_back();
                    !before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric())
                })
            });
            if !used {
                continue;
            }
            seen += 1;
            let fine = owners.iter().any(|owner| path.starts_with(owner));
            assert!(fine, "{path} names {name}, which only {owners:?} may");
        }
        assert!(seen > 0, "no file names {name}");
    }
}

#[test]
fn no_two_files_need_each_other() {
    let needs = needs(&sources());
    let is_known = |need: &Need| KNOWN.contains(&(need.from.as_str(), need.to.as_str()));
    let unknown: BTreeSet<Need> = needs.iter().filter(|need| !is_known(need)).cloned().collect();
    let found: Vec<_> = circles(&unknown)
        .iter()
        .map(|circle| describe(circle, &unknown))
        .collect();
    assert!(
        found.is_empty(),
        "these files need each other; put what both need into a file of its own:\n{}",
        found.join("\n\n")
    );
    let is_over = |pair: &&(&str, &str)| {
        let part = |need: &&Need| (need.from.as_str(), need.to.as_str()) == **pair;
        let mut with = unknown.clone();
        with.extend(needs.iter().filter(part).cloned());
        circles(&with).is_empty()
    };
    let over: Vec<_> = KNOWN.iter().filter(is_over).collect();
    assert!(
        over.is_empty(),
        "no longer part of a circle, so remove them from KNOWN: {over:#?}"
    );
}

/// The needs within a circle, a line each.
fn describe(circle: &BTreeSet<String>, needs: &BTreeSet<Need>) -> String {
    let within = needs
        .iter()
        .filter(|need| circle.contains(&need.from) && circle.contains(&need.to));
    let lines = within.map(|Need { from, to, path, .. }| format!("  {from} names {path}, of {to}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_layering_check_reads_every_form_of_import() {
    let code =
        "use crate::{\n    auth::{Auth, Principal},\n    domain::Role,\n};\nlet x = crate::clock::now();";
    assert_eq!(named_modules(code), ["auth", "domain", "clock"]);
}
