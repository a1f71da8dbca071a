//! `SECURITY.md` names the tests that hold its promises, and each of them is there.

use std::collections::BTreeMap;

use crate::{code_words, files, prose, read, rows};

/// The names of the tests of each file: functions below `#[test]`, `#[tokio::test]` or `proptest!`, and files of fuzz targets.
fn tests() -> BTreeMap<String, Vec<String>> {
    let is_test = |file: &String| {
        let rust = std::path::Path::new(file)
            .extension()
            .is_some_and(|end| end == "rs");
        rust && ["src/", "tests/", "fuzz/"]
            .iter()
            .any(|top| file.starts_with(top))
    };
    let names = |file: String| {
        let text = read(&file);
        let functions = text.split("fn ").skip(1);
        let name = |rest: &str| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        let names = functions.map(name).collect();
        (file, names)
    };
    files::all().into_iter().filter(is_test).map(names).collect()
}

/// Whether `path`, such as `api::routes` or `tests/clients/run`, is a test or a file of tests: its last name is a function in a
/// file that the names before it lead to, or all of them lead to a file.
fn exists(path: &str, tests: &BTreeMap<String, Vec<String>>) -> bool {
    if path.contains('/') {
        return std::path::Path::new(path).exists();
    }
    let parts: Vec<&str> = path.split("::").collect();
    let (last, folders) = parts.split_last().unwrap();
    let leads_to = |file: &str, parts: &[&str]| {
        let file = file
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .trim_end_matches("/main");
        let names: Vec<&str> = file
            .split('/')
            .filter(|name| *name != "tests" && *name != "src")
            .collect();
        names.ends_with(parts) || names.ends_with(&[parts, &["contract"]].concat())
    };
    tests.iter().any(|(file, names)| {
        leads_to(file, &parts) || (leads_to(file, folders) && names.iter().any(|name| name == last))
    })
}

#[test]
fn every_test_that_security_names_exists() {
    let tests = tests();
    let page = prose("SECURITY.md");
    let mut seen = 0;
    let mut missing = Vec::new();
    for row in rows(crate::section(&page, "## Promises, and the test that holds each")) {
        let named = code_words(row[1]);
        assert!(!named.is_empty(), "no test holds this promise: {}", row[0]);
        seen += named.len();
        missing.extend(named.into_iter().filter(|name| !exists(name, &tests)));
    }
    assert!(
        missing.is_empty(),
        "SECURITY.md names tests that do not exist: {missing:#?}"
    );
    assert!(seen > 80, "only {seen} tests were found");
}

#[test]
fn a_test_is_found_by_its_file_and_its_name() {
    let tests = tests();
    for name in [
        "api::routes",
        "api::routes::head_answers_as_get_does",
        "tests/clients/run",
        "process::kill",
    ] {
        assert!(exists(name, &tests), "{name}");
    }
    for name in ["api::routes::nothing", "api::nothing", "tests/nothing", "nothing"] {
        assert!(!exists(name, &tests), "{name}");
    }
}
