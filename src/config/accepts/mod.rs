//! What settings accept: each type here reads a value, checks one that was set in code, and describes both for people.

mod form;
mod listen;
mod number;
mod text;
mod time;

#[cfg(test)]
pub(super) use self::form::Ends;
pub(super) use self::{
    form::{Accepts, Form},
    listen::{Addresses, Mode},
    number::{Size, Whole},
    text::{Boolean, Choice, List, Text},
    time::{CENTURY, OrOff, Seconds, Time},
};
