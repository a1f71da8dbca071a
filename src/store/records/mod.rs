//! What the server remembers, as records that any backend can read and write. They are JSON, so that a field can be added, and
//! are read through the domain's own constructors, so that no invalid value gets in from a disk. Each has a
//! [version](format::Version): a record of a newer version is refused, never guessed at.

pub(crate) mod api_token;
pub(crate) mod attempts;
pub(crate) mod event;
pub(crate) mod format;
pub(crate) mod invitation;
pub(crate) mod key_ring;
mod maker;
pub(crate) mod session;
pub(crate) mod staged_user;
pub(crate) mod user;

#[cfg(test)]
mod tests;
