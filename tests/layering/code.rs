//! What the layering test reads of a source file: its imports and the paths in its code. It knows the lexical grammar of Rust
//! (comments, strings, attributes) and its `use` trees, and nothing else of the language. Code that only tests compile is left
//! out.

use std::collections::BTreeSet;

/// An import: `use a::b as c;` is the path `[a, b]` under the name `c`. A glob ends in `*` and has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) name: String,
    /// Whether the import is there for other modules: it has a visibility.
    pub(crate) public: bool,
    /// The inline modules of the file that it stands in.
    pub(crate) within: Vec<String>,
}

/// A path of more than one segment in the code of a file, imports aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) within: Vec<String>,
}

/// What a file imports and mentions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) imports: Vec<Import>,
    pub(crate) mentions: Vec<Mention>,
    /// The child modules that only tests compile.
    pub(crate) test_modules: Vec<String>,
    /// Every word of the code, imports aside.
    pub(crate) words: BTreeSet<String>,
}

/// The lexical elements of `text`: words, `::`, and every other mark by itself. Comments are left out, and a literal is the mark `"`.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut index = 0;
    while index < chars.len() {
        let start = index;
        match at(index) {
            '/' if at(index + 1) == '/' => {
                while index < chars.len() && at(index) != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(index), at(index + 1)) {
                        ('/', '*') => (depth, index) = (depth + 1, index + 2),
                        ('*', '/') => (depth, index) = (depth - 1, index + 2),
                        _ => index += 1,
                    }
                    if depth == 0 || index >= chars.len() {
                        break;
                    }
                }
            }
            '"' => {
                index = after_string(&chars, index);
                tokens.push("\"".to_owned());
            }
            // A character or a lifetime.
            '\'' => {
                if at(index + 1) == '\\' {
                    index += 3;
                    while index < chars.len() && at(index) != '\'' {
                        index += 1;
                    }
                    index += 1;
                } else if at(index + 2) == '\'' {
                    index += 3;
                } else {
                    index += 1;
                }
            }
            ':' if at(index + 1) == ':' => {
                tokens.push("::".to_owned());
                index += 2;
            }
            c if is_word(c) => {
                while is_word(at(index)) {
                    index += 1;
                }
                let word: String = chars[start..index].iter().collect();
                let hashes = chars[index..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br") && at(index + hashes) == '"' {
                    index = after_raw_string(&chars, index + hashes + 1, hashes);
                    tokens.push("\"".to_owned());
                } else {
                    tokens.push(word);
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                index += 1;
            }
        }
    }
    tokens
}

/// The place after the string that begins at `index`.
fn after_string(chars: &[char], mut index: usize) -> usize {
    index += 1;
    while let Some(c) = chars.get(index) {
        match c {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    index
}

/// The place after the raw string whose content begins at `index`.
fn after_raw_string(chars: &[char], mut index: usize, hashes: usize) -> usize {
    while index < chars.len() {
        let closing = &chars[index + 1..(index + 1 + hashes).min(chars.len())];
        if chars[index] == '"' && closing.len() == hashes && closing.iter().all(|c| *c == '#') {
            return index + 1 + hashes;
        }
        index += 1;
    }
    index
}

/// Reads `text`, the source of one file.
pub(crate) fn read(text: &str) -> Code {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        code: Code::default(),
        within: Vec::new(),
    };
    reader.read();
    reader.code
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    code: Code,
    /// The braces that are open: each with the name of its inline module, or `None` for any other brace.
    within: Vec<Option<String>>,
}

impl Reader<'_> {
    fn token(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn modules(&self) -> Vec<String> {
        self.within.iter().flatten().cloned().collect()
    }

    fn read(&mut self) {
        let mut public = false;
        while self.at < self.tokens.len() {
            match (self.token(0), self.token(1)) {
                ("#", "[" | "!") => {
                    if self.attribute() {
                        self.skip_test_item();
                    }
                }
                ("pub", next) => {
                    public = true;
                    self.at += if next == "(" { self.bracketed(1) } else { 1 };
                }
                ("use", next) if is_path_word(next) || next == "{" || next == "::" => {
                    self.at += 1;
                    self.import(public);
                    public = false;
                }
                ("mod", _) if self.token(2) == "{" => {
                    self.within.push(Some(self.token(1).to_owned()));
                    self.at += 3;
                    public = false;
                }
                ("{", _) => {
                    self.within.push(None);
                    self.at += 1;
                }
                ("}", _) => {
                    self.within.pop();
                    self.at += 1;
                }
                (word, _) if is_path_word(word) => {
                    public = false;
                    self.mention();
                }
                _ => self.at += 1,
            }
        }
    }

    /// How many tokens the bracket takes that opens `ahead` of here, with what is before it.
    fn bracketed(&self, ahead: usize) -> usize {
        let (mut depth, mut length) = (0, ahead);
        loop {
            match self.token(length) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "" => return length,
                _ => {}
            }
            length += 1;
            if depth == 0 {
                return length;
            }
        }
    }

    /// Passes an attribute; whether it is `#[cfg(test)]`.
    fn attribute(&mut self) -> bool {
        let open = if self.token(1) == "!" { 2 } else { 1 };
        let length = self.bracketed(open);
        let is_test = (0..6).all(|ahead| self.token(ahead + 1) == ["[", "cfg", "(", "test", ")", "]"][ahead]);
        self.at += length;
        is_test
    }

    /// Passes the item after `#[cfg(test)]`: to its semicolon, or to the end of its block.
    fn skip_test_item(&mut self) {
        while self.token(0) == "#" {
            self.attribute();
        }
        let mut is_import = false;
        loop {
            match self.token(0) {
                "" => return,
                ";" => {
                    self.at += 1;
                    return;
                }
                "mod" if self.token(2) == ";" => {
                    self.code.test_modules.push(self.token(1).to_owned());
                    self.at += 1;
                }
                "use" => {
                    is_import = true;
                    self.at += 1;
                }
                "(" | "[" => self.at += self.bracketed(0),
                "{" => {
                    self.at += self.bracketed(0);
                    if !is_import {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn import(&mut self, public: bool) {
        self.import_tree(&mut Vec::new(), public);
        while !matches!(self.token(0), ";" | "") {
            self.at += 1;
        }
        self.at += 1;
    }

    fn import_tree(&mut self, path: &mut Vec<String>, public: bool) {
        let outer = path.len();
        loop {
            match self.token(0) {
                "::" => {
                    // `::name` is a crate.
                    if path.is_empty() {
                        path.push(String::new());
                    }
                    self.at += 1;
                }
                "{" => {
                    self.at += 1;
                    while !matches!(self.token(0), "}" | "") {
                        self.import_tree(path, public);
                        if self.token(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    break;
                }
                word => {
                    let is_itself = word == "self" && !path.is_empty();
                    if !is_itself {
                        path.push(word.to_owned());
                    }
                    self.at += 1;
                    if self.token(0) == "::" {
                        continue;
                    }
                    let mut name = path.last().cloned().unwrap_or_default();
                    if self.token(0) == "as" {
                        self.token(1).clone_into(&mut name);
                        self.at += 2;
                    }
                    self.code.imports.push(Import {
                        path: path.clone(),
                        name,
                        public,
                        within: self.modules(),
                    });
                    break;
                }
            }
        }
        path.truncate(outer);
    }

    fn mention(&mut self) {
        let mut path = vec![self.token(0).to_owned()];
        self.at += 1;
        while self.token(0) == "::" && is_path_word(self.token(1)) {
            path.push(self.token(1).to_owned());
            self.at += 2;
        }
        self.code.words.extend(path.iter().cloned());
        if path.len() > 1 {
            let within = self.modules();
            self.code.mentions.push(Mention { path, within });
        }
    }
}

fn is_path_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
