//! The files of the repository, and those that the papers mention.

use std::{fs, path::Path};

use crate::prose;

/// Folders that are made by tools, or are not this project's.
const NOT_OURS: [&str; 7] = [
    ".git",
    "target",
    "data",
    "corpus",
    "artifacts",
    "node_modules",
    "proptest-regressions",
];

/// The path of every file of the repository, from its top.
pub(crate) fn all() -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !NOT_OURS.contains(&name.as_str()) {
                    collect(&path, files);
                }
            } else {
                files.push(path.strip_prefix(".").unwrap().display().to_string());
            }
        }
    }
    let mut files = Vec::new();
    collect(Path::new("."), &mut files);
    files.sort();
    files
}

/// Every page in Markdown.
pub(crate) fn pages() -> Vec<String> {
    let is_page = |file: &String| Path::new(file).extension().is_some_and(|end| end == "md");
    all().into_iter().filter(is_page).collect()
}

/// The names of files in `text`: what has a known ending.
fn mentioned(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./{}*<>".contains(c);
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches('.'));
    let known = [".rs", ".md", ".toml", ".py", ".lua"];
    words
        .filter(|word| {
            known
                .iter()
                .any(|end| word.ends_with(end) && word.len() > end.len())
        })
        // Neither patterns nor other people's pages.
        .filter(|word| !word.contains(['*', '{', '<']) && !word.contains("//"))
        .collect()
}

#[test]
fn no_paper_mentions_a_file_that_does_not_exist() {
    let files = all();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for name in mentioned(&text) {
            let name = name.trim_start_matches(['.', '/']);
            let end = format!("/{name}");
            let exists = files.iter().any(|file| file == name || file.ends_with(&end));
            assert!(exists, "{page} mentions {name}, which does not exist");
        }
    }
}

#[test]
fn no_paper_mentions_a_folder_that_does_not_exist() {
    for page in pages() {
        for word in crate::code_words(&prose(&page)) {
            let tops = [
                "src/",
                "tests/",
                "docs/",
                "benches/",
                "fuzz/",
                "examples/",
                ".ci/",
            ];
            let is_path = tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '*', '<']);
            // What a run of the fuzzer finds is not checked in, and a model's failure only with its fix.
            let is_made = ["fuzz/corpus", "fuzz/artifacts", "tests/model.regressions"].contains(&word);
            // `file.rs::test` names a test.
            let path = word.split("::").next().unwrap();
            if is_path && !is_made {
                assert!(
                    Path::new(path).exists(),
                    "{page} mentions {word}, which does not exist"
                );
            }
        }
    }
}

#[test]
fn names_of_files_are_found_in_prose_and_in_a_map() {
    let text = "see `src/clock.rs`, DESIGN.md. outage.rs    a disk\nuse std::fs; x.rs_ *_record.rs";
    assert_eq!(mentioned(text), ["src/clock.rs", "DESIGN.md", "outage.rs"]);
}
