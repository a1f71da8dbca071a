//! Which file needs which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Code, read};

/// That a file needs another one, and by which path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) path: String,
    /// The room that the path names: the item may come from another one, which that room re-exports.
    pub(crate) room: String,
}

/// The modules of a crate, each in a file of its own.
struct Crate {
    /// By the path of the module: the path of its file and what stands there.
    modules: BTreeMap<Vec<String>, (String, Code)>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Module(Vec<String>),
    /// An item of the module.
    Item(Vec<String>),
    /// Something of another crate, or nothing that can be told.
    Elsewhere,
}

/// Every need between two of these files: paths below `src/` and their texts.
pub(crate) fn needs(files: &[(String, String)]) -> BTreeSet<Need> {
    let modules = files.iter().filter_map(|(path, text)| {
        let module = module_of(path)?;
        Some((module, (path.clone(), read(text))))
    });
    let mut all = Crate {
        modules: modules.collect(),
    };
    all.drop_tests();
    let mut needs = BTreeSet::new();
    for (module, (file, code)) in &all.modules {
        let mut add = |within: &[String], path: &[String]| {
            if let Target::Item(owner) = all.target(module, within, path) {
                let to = &all.modules[&owner].0;
                if to != file {
                    needs.insert(Need {
                        from: file.clone(),
                        to: to.clone(),
                        path: path.join("::"),
                        room: all.room(module, within, path),
                    });
                }
            }
        };
        for import in &code.imports {
            // A re-export is no use, unless the file itself uses the name as well.
            if import.public && !code.words.contains(&import.name) {
                continue;
            }
            add(&import.within, &import.path);
        }
        for mention in &code.mentions {
            add(&mention.within, &mention.path);
        }
    }
    needs
}

/// The circles among `needs`: each is the set of the files that need each other, in the order of their paths.
pub(crate) fn circles(needs: &BTreeSet<Need>) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for need in needs {
        next.entry(&need.from).or_default().insert(&need.to);
    }
    let reached = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = next.get(from).into_iter().flatten().copied().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(next.get(file).into_iter().flatten());
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reached(file))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (file, seen) in &reach {
        if !seen.contains(file) || circles.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let back = seen
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|seen| seen.contains(file)));
        circles.push(back.map(|file| (*file).to_owned()).collect());
    }
    circles
}

/// The module that the file at `path` is; `None` if it is none of the library's.
fn module_of(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    if path == "main" {
        return None;
    }
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    Some(module)
}

impl Crate {
    /// Leaves out the modules that only tests compile, with all that is below them.
    fn drop_tests(&mut self) {
        let tests: Vec<Vec<String>> = self
            .modules
            .iter()
            .flat_map(|(module, (_, code))| {
                code.test_modules
                    .iter()
                    .map(|name| [&module[..], std::slice::from_ref(name)].concat())
            })
            .collect();
        self.modules
            .retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    }

    /// What `path` leads to, as it stands in `module`, `within` inline modules of it.
    fn target(&self, module: &[String], within: &[String], path: &[String]) -> Target {
        let (Some(absolute), false) = (self.absolute(module, within, path), path.is_empty()) else {
            return Target::Elsewhere;
        };
        self.resolve(&absolute, 0)
    }

    /// The first module of `path` from the root of the crate, behind what the root re-exports.
    fn room(&self, module: &[String], within: &[String], path: &[String]) -> String {
        let Some(first) = self
            .absolute(module, within, path)
            .and_then(|path| path.first().cloned())
        else {
            return String::new();
        };
        let root = self.modules.get(&Vec::new());
        let import = root.and_then(|(_, code)| code.imports.iter().find(|import| import.name == first));
        match import {
            Some(import) if !self.modules.contains_key(std::slice::from_ref(&first)) => {
                self.room(&[], &import.within, &import.path)
            }
            _ => first,
        }
    }

    /// The path from the root of the crate; `None` if it is one of another crate, or begins with an item of the file.
    fn absolute(&self, module: &[String], within: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut here = [module, within].concat();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (here, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let (_, code) = self.modules.get(module)?;
                let is_child = self
                    .modules
                    .contains_key(&[&here[..], &[first.to_owned()]].concat());
                let import = code
                    .imports
                    .iter()
                    .find(|import| import.name == first && import.path != path);
                match import {
                    // The name of a module that was imported.
                    Some(import) => {
                        let target = self.target(module, &import.within, &import.path);
                        let Target::Module(module) = target else {
                            return None;
                        };
                        (here, rest) = (module, &rest[1..]);
                    }
                    None if is_child => {}
                    None => return None,
                }
            }
        }
        here.extend_from_slice(rest);
        Some(here)
    }

    /// What the path from the root leads to, through any re-exports.
    fn resolve(&self, path: &[String], depth: u8) -> Target {
        let known = (0..=path.len())
            .rev()
            .find(|length| self.modules.contains_key(&path[..*length]));
        let (Some(length), true) = (known, depth < 16) else {
            return Target::Elsewhere;
        };
        let module = path[..length].to_vec();
        let Some(name) = path.get(length) else {
            return Target::Module(module);
        };
        let (_, code) = &self.modules[&module];
        let import = code
            .imports
            .iter()
            .find(|import| import.name == *name && import.within.is_empty());
        match import.map(|import| (import, self.absolute(&module, &import.within, &import.path))) {
            // Under the name of a module of the file, which is found above.
            Some((_, Some(found))) if found == path => Target::Item(module),
            Some((_, Some(found))) => self.resolve(&[&found[..], &path[length + 1..]].concat(), depth + 1),
            Some((_, None)) => Target::Elsewhere,
            None => Target::Item(module),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, each as its files without `src/` and `.rs`.
    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (format!("src/{path}.rs"), (*text).to_owned()))
            .collect();
        let found = circles(&needs(&files));
        let short = |path: &String| path[4..path.len() - 3].to_owned();
        found
            .iter()
            .map(|circle| circle.iter().map(short).collect())
            .collect()
    }

    #[test]
    fn a_circle_of_two_files_is_found_by_any_path() {
        let b = "pub(super) struct B; fn f(_: super::a::A) {}";
        for a in [
            "use super::b::B; pub(super) struct A;",
            "use super::{b::{B as Other}}; pub(super) struct A;",
            "use crate::room::b::{self}; pub(super) struct A; fn f(_: b::B) {}",
            "use crate::room::{B, other::Thing}; pub(super) struct A;",
            "pub(super) struct A; fn f() { let _ = super::b::B::new(); }",
            "pub(super) struct A; mod inner { fn f(_: super::super::b::B) {} }",
            "pub(super) struct A; const TEXT: &str = r#\"\"/*\"#; fn f<'a>(_: &'a super::B) {}",
        ] {
            let files = [
                ("lib", "mod room;"),
                ("room/mod", "mod a; mod b; pub use b::B;"),
                ("room/a", a),
                ("room/b", b),
            ];
            assert_eq!(circles_of(&files), [["room/a", "room/b"]], "{a}");
        }
    }

    #[test]
    fn a_circle_through_three_rooms_is_found() {
        let files = [
            (
                "lib",
                "pub mod one; pub mod two; pub mod three; pub use crate::one::One;",
            ),
            ("one", "use crate::two::Two; pub struct One;"),
            ("two/mod", "mod inside; pub use self::inside::Two;"),
            ("two/inside", "pub struct Two(crate::three::Three);"),
            ("three", "use crate::One; pub struct Three;"),
        ];
        assert_eq!(circles_of(&files), [["one", "three", "two/inside"]]);
    }

    #[test]
    fn a_parent_that_only_re_exports_its_child_is_in_no_circle() {
        let child = "use super::Parent; pub struct Child(Parent);";
        let circle =
            |parent| circles_of(&[("lib", "mod room;"), ("room/mod", parent), ("room/child", child)]);
        assert_eq!(
            circle("mod child; pub use child::Child; pub struct Parent;"),
            Vec::<Vec<String>>::new()
        );
        for parent in [
            "mod child; pub use child::Child; pub struct Parent; fn f(_: Child) {}",
            "mod child; use child::Child; pub struct Parent;",
            "mod child; pub struct Parent; fn f() { child::make() }",
        ] {
            assert_eq!(circle(parent), [["room/child", "room/mod"]], "{parent}");
        }
    }

    #[test]
    fn a_sibling_that_comes_through_the_parent_is_no_need_of_it() {
        let files = [
            ("lib", "mod room;"),
            ("room/mod", "mod a; mod b; pub use a::A; use b::B; fn f(_: B) {}"),
            ("room/a", "pub struct A;"),
            ("room/b", "use super::A; pub struct B(A);"),
        ];
        assert_eq!(circles_of(&files), Vec::<Vec<String>>::new());
    }

    #[test]
    fn comments_strings_and_code_of_tests_need_nothing() {
        let a = r##"
            // use super::b::B;
            /* use super::b::B; /* nested */ */
            pub struct A;
            const QUOTE: char = '"';
            const TEXT: &str = "use super::b::B; \" super::b::B";
            const RAW: &str = r#"super::b::B "quoted" "#;
            #[cfg(test)]
            use super::b::{B, C};
            #[cfg(test)]
            #[derive(Debug)]
            struct ForTests(super::b::B);
            #[cfg(test)]
            mod tests { use super::super::b::B; fn f() { if true { } } }
            #[cfg(test)]
            mod helpers;
        "##;
        let files = [
            ("lib", "mod a; mod b;"),
            ("a", a),
            ("a/helpers", "use crate::b::B; pub struct Helper;"),
            ("b", "use super::a::A; pub struct B(A);"),
        ];
        assert_eq!(circles_of(&files), Vec::<Vec<String>>::new());
    }

    #[test]
    fn other_crates_are_no_files_of_this_one() {
        let files = [
            ("lib", "mod a; mod sled;"),
            ("a", "use ::sled::Db; use std::fmt; pub struct A(Db, fmt::Error);"),
            ("sled", "pub struct Sled(crate::a::A);"),
        ];
        assert_eq!(circles_of(&files), Vec::<Vec<String>>::new());
    }
}
