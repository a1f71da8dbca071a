//! How hard a password is to guess. The only file that names zxcvbn.

use crate::domain::{Password, Username};

/// The zxcvbn score of a password, 0 to 4. The username and the words in it are guessed first.
pub(super) fn strength(password: &Password, username: &Username) -> u8 {
    let whole = username.as_str();
    let words = whole.split(|c: char| !c.is_ascii_alphanumeric());
    let known: Vec<&str> = words.chain([whole]).filter(|word| !word.is_empty()).collect();
    score(password.expose(), &known)
}

pub(super) fn score(password: &str, known: &[&str]) -> u8 {
    zxcvbn::zxcvbn(password, known).score().into()
}
