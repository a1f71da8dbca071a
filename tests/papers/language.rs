//! The language of the pages: they name the actor.

use crate::{files, prose};

/// Words that stand for an actor without naming one.
const NO_ACTOR: [&str; 6] = ["nobody", "whoever", "anybody", "somebody", "whomever", "no-one"];

/// `text` without what stands between backticks: names of tests are of the code.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

#[test]
fn every_page_names_the_actor() {
    for page in files::pages() {
        let text = without_code(&prose(&page)).to_lowercase();
        for word in text.split(|c: char| !c.is_alphabetic() && c != '-') {
            assert!(!NO_ACTOR.contains(&word), "{page} says {word:?}: name the actor");
        }
    }
}
