//! `ARCHITECTURE.md` has the arrows that `tests/layering.rs` holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{code_words, prose, read, rows, section};

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
