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
}
