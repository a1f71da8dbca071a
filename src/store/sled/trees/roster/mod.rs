//! The roster: the users in the order of their usernames, in lists. A list has all users, or those with one role; one list has
//! the enabled ones and another one the disabled ones. So each filter of a page of users reads only what belongs to the page.
//!
//! A list is packed into parts, because small entries are expensive: see ARCHITECTURE.md. A part is one entry of the tree `roster`:
//!
//! | key | value |
//! |---|---|
//! | the list, and the least username that belongs in the part | the members of the part, in order |
//!
//! | list | its users |
//! |---|---|
//! | `e`, a role or nothing, 0 | the enabled users, those with the role |
//! | `d`, a role or nothing, 0 | the disabled ones |
//! | `a`, 0 | the administrators who can act, by the rule of the domain |
//!
//! A member is the length of its username, 1 byte, the username, and the user's id, 16 bytes. The first part of a list begins
//! at the empty name. The roster has nothing that the users' records do not have, so it is made anew if it is in doubt.

pub(crate) mod change;
mod list;
mod part;
mod rebuild;
#[cfg(test)]
mod tests;
mod walk;
