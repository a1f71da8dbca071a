//! What settings accept: each of these reads a value, checks one that was set in code, and describes both for people.

mod number;
mod text;
mod time;

pub(super) use self::{
    number::{Size, Whole},
    text::{Boolean, Choice, List, Text},
    time::{CENTURY, OrOff, Seconds, Time},
};
use super::{raw::Raw, setting::Kind};

/// What people are told of the values of a setting.
pub(super) trait Form: Sync {
    /// How a value is written.
    fn kind(&self) -> Kind;

    /// What is accepted: completes "accepted: …".
    fn describe(&self) -> String;
}

/// Which values of the type `T` a setting accepts.
pub(super) trait Accepts<T>: Form {
    /// The value that was written. Returns `None` if that is not a `T`, or if `contains` refuses it.
    fn parse(&self, raw: &Raw) -> Option<T>;

    /// Whether `value` is accepted.
    fn contains(&self, value: &T) -> bool;
}
