//! The arrows of ARCHITECTURE.md: which module may import which, and which file may name which crate.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A module, and what of this crate it may name.
const ARROWS: [(&str, &[&str]); 12] = [
    ("clock", &[]),
    ("domain", &["clock"]),
    ("event", &["domain", "clock"]),
    ("keys", &["domain"]),
    ("config", &["keys", "domain"]),
    ("store", &["clock", "domain"]),
    ("passwords", &["config", "domain"]),
    ("tokens", &["store", "config", "keys", "domain", "clock"]),
    ("throttle", &["store", "config", "keys", "domain", "clock"]),
    (
        "auth",
        &[
            "tokens",
            "throttle",
            "store",
            "passwords",
            "config",
            "event",
            "keys",
            "domain",
            "clock",
        ],
    ),
    ("http", &["auth", "config", "domain"]),
    ("telemetry", &["config", "store"]),
];

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
            "src/tokens/api_token.rs",
        ],
    ),
    (
        "crc32fast",
        &[
            "src/tokens/api_token.rs",
            "src/store/sled/directory.rs",
            "src/store/sled/log_file.rs",
        ],
    ),
    ("jsonwebtoken", &["src/tokens/key.rs", "src/tokens/tests.rs"]),
    ("smol_str", &["src/domain/username.rs"]),
    ("triomphe", &["src/tokens/cache/set.rs"]),
    ("warp", &["src/http/", "src/server/"]),
    ("clap", &["src/cli/"]),
    ("governor", &["src/throttle/buckets.rs"]),
    ("tracing_subscriber", &["src/telemetry.rs"]),
];

/// Every source file, with the code of it that is not a comment.
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
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let sources: Vec<_> = files
        .iter()
        .map(|path| (path.display().to_string(), code(path)))
        .collect();
    assert!(sources.len() > 40, "only {} files were found", sources.len());
    sources
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

#[test]
fn modules_import_only_what_the_arrows_allow() {
    for (module, allowed) in ARROWS {
        let folder = format!("src/{module}/");
        let single = format!("src/{module}.rs");
        let mut seen = 0;
        for (path, code) in sources() {
            if !path.starts_with(&folder) && path != single {
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

#[test]
fn each_crate_is_named_only_where_it_is_hidden() {
    for (name, owners) in OWNERS {
        let mut seen = 0;
        for (path, code) in sources() {
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
        assert!(seen > 0, "nothing names {name}");
    }
}

#[test]
fn the_layering_check_reads_every_form_of_import() {
    let code =
        "use crate::{\n    auth::{Auth, Principal},\n    domain::Role,\n};\nlet x = crate::clock::now();";
    assert_eq!(named_modules(code), ["auth", "domain", "clock"]);
}
