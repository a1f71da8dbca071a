//! `docs/operations.md` has every command, and no other.

use std::collections::BTreeSet;

use crate::{files, read, section};

/// The names of commands and their subcommands, as `src/cli` declares them.
fn declared() -> BTreeSet<String> {
    let sources = files::all()
        .into_iter()
        .filter(|file| file.starts_with("src/cli/"));
    let mut names = BTreeSet::new();
    for source in sources {
        for rest in read(&source).split("Command::new(\"").skip(1) {
            names.insert(rest.split('"').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn every_command_is_on_the_page_and_the_other_way_round() {
    let page = read("docs/operations.md");
    let block = section(&page, "## Commands").split("```").nth(1).unwrap();
    let mut shown: BTreeSet<String> = BTreeSet::new();
    for line in block.lines().filter(|line| line.starts_with("jwt-server")) {
        let command = line.split(" #").next().unwrap();
        // Of `user add ada`, the last word is an argument. The page has this user in each command that takes one.
        let is_name = |word: &&str| !word.starts_with('-') && *word != "ada";
        let words = command.split_whitespace().take_while(is_name);
        shown.extend(words.map(str::to_owned));
    }
    // What serves is the default, and is shown without its name.
    let mut declared = declared();
    assert!(declared.remove("serve"));
    assert_eq!(shown, declared);
}
