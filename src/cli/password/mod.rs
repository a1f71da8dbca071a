//! The password that a command asks a person for, or reads from standard input. It is never an argument, which other users of
//! the machine could read.

mod line;

use std::io::{self, BufRead, IsTerminal, Read};

use secrecy::{ExposeSecret, SecretString};

use super::failure::Failure;
use crate::domain::{Password, Username};

/// In bytes: longer than any password.
const LONGEST_LINE: u64 = 4096;

/// A new password for `username`. A terminal is asked twice; from anything else, one line is read. `undone` says in an error
/// what has not happened.
pub(super) fn read_new(username: &Username, undone: &str) -> Result<Password, Failure> {
    let refusal = |why: &dyn std::fmt::Display| Failure::Other(format!("{undone}. {why}"));
    let text = if io::stdin().is_terminal() {
        ask_twice(username, undone)?
    } else {
        let mut read = Vec::new();
        io::stdin()
            .lock()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut read)
            .map_err(|error| Failure::io("the password can't be read from standard input", &error))?;
        line::read(&read).map_err(|why| refusal(&why))?
    };
    Password::parse(text).map_err(|error| refusal(&error))
}

fn ask_twice(username: &Username, undone: &str) -> Result<SecretString, Failure> {
    let ask = |prompt: &str| {
        let answer = rpassword::prompt_password(prompt).map(SecretString::from);
        let answer = answer.map_err(|error| Failure::io("the password can't be read", &error))?;
        match answer.expose_secret().as_bytes() {
            // What a terminal gives has no end of line, and may be empty.
            [] => Ok(answer),
            typed => line::read(typed).map_err(|why| Failure::Other(format!("{undone}. {why}"))),
        }
    };
    let password = ask(&format!("Password for {username}: "))?;
    if ask("Once more: ")?.expose_secret() == password.expose_secret() {
        Ok(password)
    } else {
        Err(Failure::Other(format!(
            "the two passwords are not the same; {undone}"
        )))
    }
}
