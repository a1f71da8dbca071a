//! Users moving in and out: reads users from JSON lines, CSV and htpasswd, and writes them as JSON lines. It knows no store and
//! no command. What it gives is a checked [`Entry`], or the reason why a line is none.

mod columns;
mod entry;
mod fields;
mod format;
mod hash;
mod lines;
mod problem;
mod reader;

#[cfg(test)]
mod tests;

pub use self::{
    entry::Entry,
    fields::write_line,
    format::Format,
    hash::{HashProblem, MAX_COST},
    problem::{Problem, ReadError},
    reader::{Line, Reader},
};
