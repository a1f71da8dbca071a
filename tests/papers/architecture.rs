//! `ARCHITECTURE.md` has the arrows that `tests/layering.rs` holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{code_words, files, prose, read, rows, section};

#[test]
fn the_arrows_on_the_page_are_those_that_are_held() {
    let layering = read("tests/layering.rs");
    let (_, table) = layering.split_once("const ARROWS").unwrap();
    let (_, table) = table.split_once("= [").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    let mut held: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // Each entry is a room and a list of rooms: `("room", &["room", …])`.
    for entry in table.split("&[").collect::<Vec<_>>().windows(2) {
        let room = entry[0].rsplit('"').nth(1).unwrap();
        let (list, _) = entry[1].split_once(']').unwrap();
        held.insert(room, list.split('"').skip(1).step_by(2).collect());
    }
    let page = prose("ARCHITECTURE.md");
    let mut shown = BTreeMap::new();
    for row in rows(section(&page, "## The arrows")) {
        let may: BTreeSet<&str> = code_words(row[1].split(';').next().unwrap())
            .into_iter()
            .collect();
        for room in code_words(row[0]) {
            if row[1] != "anything" {
                shown.insert(room, may.clone());
            }
        }
    }
    assert_eq!(shown, held);
}

/// Whether `source` declares a type with this name, or a variant of one.
fn declares(source: &str, name: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_declared = |start: String| {
        let mut found = source.match_indices(&start);
        found.any(|(at, _)| ends(&source[at + start.len()..]))
    };
    let kinds = ["struct", "enum", "trait", "type"];
    kinds.iter().any(|kind| is_declared(format!("{kind} {name}"))) || is_declared(format!("    {name} {{"))
}

#[test]
fn every_type_that_the_page_names_exists() {
    let sources = files::all().into_iter().filter(|file| file.starts_with("src/"));
    let sources: Vec<String> = sources.map(|file| read(&file)).collect();
    let page = prose("ARCHITECTURE.md");
    let mut seen = 0;
    for word in code_words(&page) {
        // Of `Auth::sign_in` or `store::LiveSession`, the type. What has no small letter is a role or a method of HTTP.
        let is_type = |part: &&str| part.starts_with(char::is_uppercase) && part.contains(char::is_lowercase);
        let foreign = ["Authorization", "SystemTime", "Instant"];
        let name = word.split("::").find(is_type);
        let Some(name) = name.filter(|name| !foreign.contains(name) && !name.contains(' ')) else {
            continue;
        };
        let exists = sources.iter().any(|source| declares(source, name));
        assert!(exists, "ARCHITECTURE.md names {word}, which does not exist");
        seen += 1;
    }
    assert!(seen > 15, "only {seen} types were found");
}
