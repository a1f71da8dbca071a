//! Links within the repository.

use std::path::{Component, Path, PathBuf};

use crate::{files::pages, prose, read};

/// The targets of the links in `text`: `[…](target)`.
fn targets(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .collect()
}

/// The anchors that the headings of `page` get, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// `path` without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for page in pages() {
        for target in targets(&prose(&page)) {
            // Items of rustdoc, which rustdoc checks; and other people's pages.
            let is_item = page == "docs/library.md" && !target.contains(".md") && !target.contains('#');
            if is_item || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                PathBuf::from(&page)
            } else {
                plain(&Path::new(&page).parent().unwrap().join(file))
            };
            assert!(file.exists(), "{page} links to {target}, which does not exist");
            if !anchor.is_empty() {
                let anchors = anchors(&prose(file.to_str().unwrap()));
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{page} links to {target}, and there is no such heading"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} links were found");
}

#[test]
fn no_paper_links_by_a_reference_that_is_not_defined() {
    for page in pages().iter().filter(|page| *page != "docs/library.md") {
        let text = read(page);
        for definition in text.lines().filter_map(|line| line.strip_prefix('[')) {
            if let Some((_, target)) = definition.split_once("]: ") {
                let from = Path::new(page).parent().unwrap();
                let is_there = target.contains("://") || plain(&from.join(target)).exists();
                assert!(is_there, "{page} links to {target}, which does not exist");
            }
        }
    }
}

#[test]
fn an_anchor_is_a_heading_without_punctuation() {
    let page = "# One\n## `DELETE /me/sessions/{id}`\n";
    assert_eq!(anchors(page), ["one", "delete-mesessionsid"]);
}
