//! What settings accept: each type here reads a value, checks one that was set in code, and describes both for people.

mod form;
mod number;
mod text;
mod time;

pub(super) use self::{
    form::{Accepts, Form},
    number::{Size, Whole},
    text::{Boolean, Choice, List, Text},
    time::{CENTURY, OrOff, Seconds, Time},
};
