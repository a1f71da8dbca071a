//! Bodies in JSON and queries, taken apart field by field, so that one answer tells a client everything that is wrong with one.

use std::{convert::Infallible, fmt, time::Duration};

use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use warp::{Filter, Rejection};

use super::{
    body,
    error::ApiError,
    field::{FieldError, FieldProblem},
    pairs::{MAX_FIELDS, pairs},
    settings::CurrentSettings,
};
use crate::domain::{Role, Roles};

/// The fields of the JSON object in the request's body.
pub(super) fn fields(
    settings: &CurrentSettings,
) -> impl Filter<Extract = (Result<Fields, ApiError>,), Error = Rejection> + Clone + use<> {
    body::bytes("application/json", settings).map(|body: Result<Bytes, ApiError>| Fields::parse(&body?))
}

/// The parameters of the request's query, as fields.
pub(super) fn query() -> impl Filter<Extract = (Result<Fields, ApiError>,), Error = Infallible> + Clone {
    let given = warp::query::raw().map(|query: String| Fields::of_query(&query));
    let none = warp::any().map(|| Fields::of_query(""));
    given.or(none).unify()
}

/// The fields that no `take…` has taken yet, and the errors of those that one has.
#[derive(Debug)]
pub(super) struct Fields {
    left: Vec<(String, Value)>,
    errors: Vec<FieldError>,
    /// The errors that are reported only beside others.
    beside: Vec<FieldError>,
}

impl Fields {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let malformed = |detail: String| ApiError::MalformedJson { detail };
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(malformed(
                "The body must be a JSON object, such as {\"username\": …}.".to_owned(),
            ));
        }
        let Object { members, fault } = serde_json::from_slice(body).map_err(|error| {
            malformed(format!(
                "The body is not valid JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))
        })?;
        if let Some(fault) = fault {
            return Err(malformed(fault.to_owned()));
        }
        Ok(Self {
            left: members,
            errors: Vec::new(),
            beside: Vec::new(),
        })
    }

    /// The parameters of a query, each of which is a string.
    fn of_query(query: &str) -> Result<Self, ApiError> {
        let given = pairs(query.as_bytes(), "query")?.into_iter();
        Ok(Self {
            left: given.map(|(name, value)| (name, Value::String(value))).collect(),
            errors: Vec::new(),
            beside: Vec::new(),
        })
    }

    /// Takes the field `name` as [`take`](Self::take) does, if there is one.
    pub(super) fn take_if_given<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        if self.has(name) {
            self.take(name, parse)
        } else {
            None
        }
    }

    /// Takes the field `name`, which must be a string that `parse` accepts. Otherwise returns `None`, and
    /// [`finish`](Self::finish) reports the error.
    pub(super) fn take<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.take_text(name)?;
        parse(text)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// Notes an error of the field `name`, which has been taken. [`finish`](Self::finish) reports it.
    pub(super) fn refuse(&mut self, name: &'static str, problem: &impl FieldProblem) {
        self.errors.push(FieldError::new(name, problem));
    }

    /// Notes why the verb is going to refuse the field `name`, which has a value of the right form. [`finish`](Self::finish)
    /// reports it beside other errors. Without another one, the verb refuses the value and emits its event.
    pub(super) fn expect_refusal(&mut self, name: &'static str, problem: Option<&impl FieldProblem>) {
        self.beside
            .extend(problem.map(|problem| FieldError::new(name, problem)));
    }

    /// Whether there is a field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(field, _)| field == name)
    }

    /// Takes the field `name`, which must be a string.
    pub(super) fn take_text(&mut self, name: &'static str) -> Option<String> {
        self.take_value(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// Takes the field `name` if it is `null`, and returns whether it is.
    pub(super) fn take_null(&mut self, name: &str) -> bool {
        let is_it = |(field, value): &(String, Value)| field == name && value.is_null();
        let place = self.left.iter().position(is_it);
        place.map(|place| self.left.swap_remove(place)).is_some()
    }

    /// Takes the field `name`, which must be a string or `null`. Returns `None` if it is `null`, or if there is none.
    pub(super) fn take_optional_text(&mut self, name: &'static str) -> Option<String> {
        if self.take_null(name) || !self.has(name) {
            return None;
        }
        self.take_text(name)
    }

    /// As [`take`](Self::take), for a list of strings.
    pub(super) fn take_list<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(Vec<String>) -> Result<T, E>,
    ) -> Option<T> {
        let texts = self.take_value(name, "a list of strings", |value| {
            serde_json::from_value(value).ok()
        })?;
        parse(texts)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// As [`take`](Self::take), for a value of any type.
    pub(super) fn take_any<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take_value(name, "a value", Some)?;
        parse(&value)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// As [`take`](Self::take), for an object.
    pub(super) fn take_object<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Map<String, Value>) -> Result<T, E>,
    ) -> Option<T> {
        let object = self.take_value(name, "an object", |value| match value {
            Value::Object(members) => Some(members),
            _ => None,
        })?;
        parse(&object)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// Takes the field `name`, which must be a list of names of roles.
    pub(super) fn take_roles(&mut self, name: &'static str) -> Option<Roles> {
        self.take_list(name, |names| names.iter().map(|name| Role::parse(name)).collect())
    }

    /// Takes all of these fields that are there but the first, each as an error.
    pub(super) fn take_all_but_one_of(&mut self, names: &[&'static str]) {
        let given: Vec<_> = names.iter().filter(|name| self.has(name)).collect();
        for name in given.into_iter().skip(1) {
            self.left.retain(|(field, _)| field != *name);
            self.errors.push(FieldError {
                field: (*name).to_owned(),
                code: "one_at_a_time",
                detail: format!("Send {name} in a request of its own."),
            });
        }
    }

    /// Takes the field `name`, which must be a whole number of seconds.
    pub(super) fn take_seconds(&mut self, name: &'static str) -> Option<Duration> {
        let seconds = self.take_value(name, "a whole number of seconds", |value| value.as_u64());
        seconds.map(Duration::from_secs)
    }

    /// Takes the field `name`, which must be `true` or `false`. Returns `false` if there is none.
    pub(super) fn take_flag(&mut self, name: &'static str) -> Option<bool> {
        if !self.has(name) {
            return Some(false);
        }
        self.take_value(name, "true or false", |value| value.as_bool())
    }

    /// Takes the field `name` and converts it with `read`. `what` describes the values that `read` accepts.
    fn take_value<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let place = self.left.iter().position(|(field, _)| field == name);
        let value = place.map(|place| self.left.swap_remove(place).1);
        let (code, detail) = match value.map(read) {
            Some(Some(value)) => return Some(value),
            Some(None) => ("wrong_type", format!("This field must be {what}.")),
            None => ("required", "This field is required.".to_owned()),
        };
        self.errors.push(FieldError {
            field: name.to_owned(),
            code,
            detail,
        });
        None
    }

    /// Returns `taken`. Fails with `InvalidFields` if a field had an error, or if a field was not taken.
    pub(super) fn finish<T>(self, taken: Option<T>) -> Result<T, ApiError> {
        let mut errors = self.errors;
        let unknown = |(field, _)| FieldError {
            field,
            code: "unknown",
            detail: "This request has no such field.".to_owned(),
        };
        errors.extend(self.left.into_iter().map(unknown));
        if !errors.is_empty() {
            errors.extend(self.beside);
        }
        taken
            .filter(|_| errors.is_empty())
            .ok_or(ApiError::InvalidFields(errors))
    }
}

/// A value in which no object has a name twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueValue).map(Self)
    }
}

struct UniqueValue;

impl<'de> Visitor<'de> for UniqueValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in which no object has a name twice")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has a name twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// The members of an object in their order, and what is wrong with them. A name must not stand twice: one reader keeps the first
/// value and another one the last, so they would not agree on the request.
struct Object {
    members: Vec<(String, Value)>,
    fault: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                let mut fault = None;
                while let Some(name) = map.next_key::<String>()? {
                    if fault.is_some() {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if members.len() == MAX_FIELDS {
                        fault = Some("The body has too many fields.");
                    } else if members.iter().any(|(known, _)| *known == name) {
                        fault = Some("The body has a name twice.");
                    }
                    members.push((name, map.next_value::<Unique>()?.0));
                }
                Ok(Object { members, fault })
            }
        }
        deserializer.deserialize_map(Members)
    }
}
