//! `docs/api.md` has every route and every error code of `src/http`, and no other.

use std::collections::{BTreeMap, BTreeSet};

use warp::http::StatusCode;

use crate::{code_words, files, prose, read, rows, section};

const PAGE: &str = "docs/api.md";

/// The code below the folder `room`, without comments and tests, file by file.
fn code_below(room: &str) -> Vec<(String, String)> {
    let ours = files::all().into_iter().filter(|file| file.starts_with(room));
    let code = |file: String| {
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        (file, code)
    };
    ours.map(code).collect()
}

fn http() -> Vec<(String, String)> {
    code_below("src/http/")
}

/// The folder of the routes that have a page of their own.
const ADMINISTRATION: &str = "src/http/admin/";

/// The string literals of `code` that have no escapes, each with the code before it.
fn literals(code: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = code[at..].find('"').map(|start| at + start) {
        let Some(length) = code[start + 1..].find('"') else {
            break;
        };
        found.push((&code[..start], &code[start + 1..start + 1 + length]));
        at = start + length + 2;
    }
    found
}

/// The routes of the page, with their methods.
fn routes_of_the_page(page: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let table = rows(section(page, "## Routes"));
    let mut routes = BTreeMap::new();
    for row in table {
        let [path] = code_words(row[1])[..] else {
            panic!("{row:?} has not one path")
        };
        routes.insert(path, code_words(row[0]).into_iter().collect());
    }
    routes
}

#[test]
fn every_route_is_on_the_page_and_the_other_way_round() {
    let http = http();
    // A route's name, for the log, is the only text in `src/http` that begins with a slash.
    let public = http.iter().filter(|(file, _)| !file.starts_with(ADMINISTRATION));
    let in_code: BTreeSet<&str> = public
        .flat_map(|(_, code)| literals(code))
        .map(|(_, text)| text)
        .filter(|text| text.starts_with('/'))
        .collect();
    let page = prose(PAGE);
    let on_page: BTreeSet<&str> = routes_of_the_page(&page).into_keys().collect();
    assert_eq!(in_code, on_page);
}

#[test]
fn every_route_of_the_administration_is_on_its_page_and_the_other_way_round() {
    let code = code_below(ADMINISTRATION);
    let literals = code.iter().flat_map(|(_, code)| literals(code));
    let in_code: BTreeSet<&str> = literals
        .map(|(_, text)| text)
        .filter(|text| text.starts_with('/'))
        .collect();
    let page = prose("docs/administration.md");
    let table = rows(section(&page, "## Requests"));
    let on_page: BTreeSet<&str> = table.iter().flat_map(|row| code_words(row[1])).collect();
    assert_eq!(in_code, on_page);
}

#[test]
fn each_route_has_on_the_page_the_methods_that_it_answers() {
    // Those are compared with what the server answers by `tests/api/routes.rs`.
    let tested = read("tests/api/routes.rs");
    let page = prose(PAGE);
    let routes = routes_of_the_page(&page);
    let mut left: BTreeSet<&str> = routes.keys().copied().collect();
    for line in tested.lines().filter_map(|line| line.trim().strip_prefix("(\"/")) {
        let (path, methods) = line.split_once("\", \"").unwrap();
        let path = format!("/{path}").replace("/sessions/x", "/sessions/{id}");
        let methods = methods.trim_end_matches("\"),").split(", ");
        let methods: BTreeSet<&str> = methods.filter(|method| *method != "HEAD").collect();
        assert_eq!(routes.get(path.as_str()), Some(&methods), "{path}");
        left.remove(path.as_str());
    }
    assert!(left.is_empty(), "tests/api/routes.rs lacks {left:?}");
}

#[test]
fn every_route_has_its_section() {
    let page = prose(PAGE);
    for (path, methods) in routes_of_the_page(&page) {
        let described = |method| page.contains(&format!("\n### `{method} {path}`"));
        // `GET` and `POST` do the same where a path answers both.
        let one_is_enough = methods.contains("GET") && methods.contains("POST");
        let mut described = methods.into_iter().map(described);
        let fine = if one_is_enough {
            described.any(|yes| yes)
        } else {
            described.all(|yes| yes)
        };
        assert!(fine, "{path} has no section of its own for each method");
    }
}

#[test]
fn every_problem_code_is_on_the_page_with_its_status() {
    let http = http();
    let mut in_code = BTreeSet::new();
    for (before, code) in http.iter().flat_map(|(_, code)| literals(code)) {
        let before = before.trim_end();
        let Some((_, status)) = before
            .strip_suffix(',')
            .and_then(|before| before.rsplit_once("StatusCode::"))
        else {
            continue;
        };
        if status.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            in_code.insert((status.to_owned(), code));
        }
    }
    let page = prose(PAGE);
    let mut on_page = BTreeSet::new();
    for row in rows(section(&page, "### Problem codes")) {
        let status: StatusCode = row[0].parse().unwrap();
        let name = status
            .canonical_reason()
            .unwrap()
            .to_uppercase()
            .replace(' ', "_");
        on_page.insert((name, code_words(row[1])[0]));
    }
    assert_eq!(in_code, on_page);
}

#[test]
fn the_failures_of_a_route_are_problem_codes() {
    let page = prose(PAGE);
    let problems = rows(section(&page, "### Problem codes"));
    let known: BTreeSet<(&str, &str)> = problems
        .iter()
        .map(|row| (row[0], code_words(row[1])[0]))
        .collect();
    for row in rows(section(&page, "## Routes")) {
        for failure in row[4].split([',', ';', ':']).filter(|part| part.contains('_')) {
            let (before, code) = failure.trim().trim_end_matches('`').split_once('`').unwrap();
            let status = before.trim().rsplit(' ').next().unwrap();
            assert!(known.contains(&(status, code)), "{} fails with {failure}", row[1]);
        }
    }
}

#[test]
fn every_field_code_is_on_the_page_and_the_other_way_round() {
    let http = http();
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let mut in_code = BTreeSet::new();
    for (_, code) in &http {
        // The codes of errors of the domain, each in a `fn code`.
        for block in code.split("fn code(&self) -> &'static str {").skip(1) {
            let block = block.split("\n    }").next().unwrap();
            in_code.extend(
                literals(block)
                    .into_iter()
                    .map(|(_, text)| text)
                    .filter(|text| is_word(text)),
            );
        }
        // Those of a body that is taken apart: `code: "…"`, or a pair of a code and a detail.
        for (before, text) in literals(code) {
            let before = before.trim_end();
            let names_one = before.ends_with(" code:") || before.ends_with("=> (");
            if names_one && is_word(text) {
                in_code.insert(text);
            }
        }
    }
    let page = prose(PAGE);
    let on_page: BTreeSet<&str> = rows(section(&page, "### Field codes"))
        .iter()
        .map(|row| code_words(row[0])[0])
        .collect();
    assert_eq!(in_code, on_page);
}

#[test]
fn the_problems_that_the_page_shows_are_those_of_the_code() {
    let sources: Vec<String> = ["src/http/", "src/domain/", "src/auth/", "src/passwords/"]
        .iter()
        .flat_map(|room| code_below(room))
        .map(|(_, code)| code)
        .collect();
    let texts: Vec<&str> = sources
        .iter()
        .flat_map(|code| literals(code))
        .map(|(_, text)| text)
        .collect();
    // A text of the code may have gaps: what stands before the first one is compared.
    let is_known = |shown: &str| {
        let mut beginnings = texts.iter().map(|text| text.split('{').next().unwrap());
        beginnings.any(|text| text.len() > 8 && shown.starts_with(text))
    };
    let page = read(PAGE);
    let shown = page
        .lines()
        .filter(|line| line.contains("urn:problem-type:jwt-server:"));
    let mut seen = 0;
    for line in shown {
        let problem: serde_json::Value = serde_json::from_str(line).unwrap();
        let title = problem["title"].as_str().unwrap();
        assert!(texts.contains(&title), "no problem has the title {title:?}");
        let faults = problem["errors"].as_array().into_iter().flatten();
        for part in faults.chain([&problem]) {
            let detail = part["detail"].as_str().unwrap();
            assert!(is_known(detail), "no problem has the detail {detail:?}");
        }
        seen += 1;
    }
    assert!(seen > 2, "only {seen} problems were found");
}
