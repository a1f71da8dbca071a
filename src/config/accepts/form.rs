//! The two traits of what a setting accepts.

use crate::config::raw::{Kind, Raw};

/// What people are told of the values of a setting.
pub(in crate::config) trait Form: Sync {
    /// How a value is written.
    fn kind(&self) -> Kind;

    /// What is accepted: completes "accepted: …".
    fn describe(&self) -> String;
}

/// Which values of the type `T` a setting accepts.
pub(in crate::config) trait Accepts<T>: Form {
    /// The value that was written. Returns `None` if that is not a `T`, or if `contains` refuses it.
    fn parse(&self, raw: &Raw) -> Option<T>;

    /// Whether `value` is accepted.
    fn contains(&self, value: &T) -> bool;

    /// The values at the ends of what is accepted, and others right outside: for a number or a time; else none.
    #[cfg(test)]
    fn ends(&self) -> Ends<T> {
        Ends::default()
    }
}

/// Values that a test tries.
#[cfg(test)]
pub(in crate::config) struct Ends<T> {
    pub(in crate::config) inside: Vec<T>,
    pub(in crate::config) outside: Vec<T>,
}

#[cfg(test)]
impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self {
            inside: Vec::new(),
            outside: Vec::new(),
        }
    }
}
