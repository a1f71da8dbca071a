//! What an administrator notes of a user for the services that the tokens are for: named values, such as a tenant.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// How many bytes the attributes of a user have at most, as JSON.
const LONGEST: usize = 2048;
/// How many characters a name has at most.
const LONGEST_NAME: usize = 32;

/// Names that a token or an answer about one gives a meaning of its own: those of RFC 7519, section 4.1, of this server's own
/// claims, of RFC 7662, and those by which other specifications grant something or bind a token.
const RESERVED: [&str; 26] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "username",
    "roles",
    "scope",
    "client_id",
    "active",
    "token_type",
    "typ",
    "azp",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "act",
    "may_act",
    "cnf",
    "at_hash",
    "c_hash",
    "s_hash",
];

/// The named values of one user. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Option<Arc<BTreeMap<String, AttributeValue>>>);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// True or false.
    Boolean(bool),
    /// A list of texts.
    List(Vec<String>),
}

impl Attributes {
    /// The attributes that a JSON object says.
    ///
    /// # Errors
    /// Each variant of [`AttributeError`], for the reason that it names.
    pub fn parse(object: &Map<String, Value>) -> Result<Self, AttributeError> {
        if object.is_empty() {
            return Ok(Self::default());
        }
        let mut attributes = BTreeMap::new();
        for (name, value) in object {
            attributes.insert(name.clone(), AttributeValue::of(name, value)?);
        }
        Self::of(attributes)
    }

    /// Checks that an attribute can have this name.
    ///
    /// # Errors
    /// [`AttributeError::BadName`] or [`Reserved`](AttributeError::Reserved).
    pub fn check_name(name: &str) -> Result<(), AttributeError> {
        if !is_name(name) {
            Err(AttributeError::BadName)
        } else if RESERVED.contains(&name) {
            Err(AttributeError::Reserved(name.to_owned()))
        } else {
            Ok(())
        }
    }

    /// Checks that an attribute can have this name and this value.
    ///
    /// # Errors
    /// [`AttributeError::BadName`], [`Reserved`](AttributeError::Reserved) or [`BadValue`](AttributeError::BadValue).
    pub fn check(name: &str, value: &Value) -> Result<(), AttributeError> {
        AttributeValue::of(name, value).map(|_| ())
    }

    /// Those that `names` has.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let kept = self
            .iter()
            .filter(|(name, _)| names.iter().any(|one| one == name));
        let kept: BTreeMap<_, _> = kept
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        Self((!kept.is_empty()).then(|| Arc::new(kept)))
    }

    /// These, and one more or another value of one.
    ///
    /// # Errors
    /// Each variant of [`AttributeError`].
    pub fn with(&self, name: &str, value: AttributeValue) -> Result<Self, AttributeError> {
        Self::check_name(name)?;
        let mut attributes = self.0.as_deref().cloned().unwrap_or_default();
        attributes.insert(name.to_owned(), value);
        Self::of(attributes)
    }

    /// These without one.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut attributes = self.0.as_deref().cloned().unwrap_or_default();
        attributes.remove(name);
        Self((!attributes.is_empty()).then(|| Arc::new(attributes)))
    }

    fn of(attributes: BTreeMap<String, AttributeValue>) -> Result<Self, AttributeError> {
        let length = serde_json::to_vec(&attributes).map_or(usize::MAX, |json| json.len());
        if length > LONGEST {
            return Err(AttributeError::TooLong);
        }
        Ok(Self(Some(Arc::new(attributes))))
    }

    /// The value of the attribute with this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&AttributeValue> {
        self.0.as_ref()?.get(name)
    }

    /// The names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        let all = self.0.iter().flat_map(|attributes| attributes.iter());
        all.map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// A JSON object.
impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl AttributeValue {
    /// The value of an attribute with this name.
    ///
    /// # Errors
    /// [`AttributeError::BadName`], [`Reserved`](AttributeError::Reserved) or [`BadValue`](AttributeError::BadValue).
    pub fn of(name: &str, value: &Value) -> Result<Self, AttributeError> {
        Attributes::check_name(name)?;
        Self::parse(value).ok_or_else(|| AttributeError::BadValue(name.to_owned()))
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |text: &String| (!text.contains(char::is_control)).then(|| text.clone());
        match value {
            Value::String(value) => text(value).map(Self::Text),
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::Bool(value) => Some(Self::Boolean(*value)),
            Value::Array(values) => {
                let texts = values.iter().map(|value| match value {
                    Value::String(value) => text(value),
                    _ => None,
                });
                texts.collect::<Option<_>>().map(Self::List)
            }
            Value::Null | Value::Object(_) => None,
        }
    }
}

fn is_name(text: &str) -> bool {
    let goes_on_well = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(goes_on_well)
        && text.len() <= LONGEST_NAME
}

/// Why a JSON object is not the attributes of a user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A name has another form.
    #[error("The name of an attribute has 1 to {LONGEST_NAME} of a-z, 0-9 and _, and starts with a letter.")]
    BadName,
    /// A name has a meaning in tokens.
    #[error("{0} has a meaning of its own in tokens. Give the attribute another name.")]
    Reserved(String),
    /// The value of this attribute is of another kind, or has a control character.
    #[error("The value of {0} is no text, number, boolean or list of texts, or has a control character.")]
    BadValue(String),
    /// All together are too long.
    #[error("The attributes of a user have at most {LONGEST} bytes, as JSON.")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<Attributes, AttributeError> {
        Attributes::parse(value.as_object().unwrap())
    }

    #[test]
    fn attributes_are_texts_numbers_booleans_and_lists_of_texts() {
        let object =
            json!({"tenant": "north", "level": -1.5, "staff": true, "groups": ["a", "b"], "a_1": []});
        let attributes = parse(&object).unwrap();
        assert_eq!(serde_json::to_value(&attributes).unwrap(), object);
        assert_eq!(attributes.value("staff"), Some(&AttributeValue::Boolean(true)));
        assert_eq!(attributes.value("floor"), None);
        let names: Vec<_> = attributes.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a_1", "groups", "level", "staff", "tenant"]);
        assert!(parse(&json!({})).unwrap().is_empty() && !attributes.is_empty());
        assert_eq!(size_of::<Attributes>(), size_of::<usize>());
    }

    #[test]
    fn only_the_named_ones_are_shown() {
        let attributes = parse(&json!({"tenant": "north", "staff": true})).unwrap();
        let names = ["staff".to_owned(), "floor".to_owned()];
        assert_eq!(attributes.only(&names), parse(&json!({"staff": true})).unwrap());
        assert!(attributes.only(&[]).is_empty());
    }

    #[test]
    fn each_other_object_is_refused_with_the_reason() {
        for name in ["", "Tenant", "1st", "_x", "a-b", "a b", "\u{e9}", &"x".repeat(33)] {
            assert_eq!(parse(&json!({ name: 1 })), Err(AttributeError::BadName), "{name}");
        }
        for name in RESERVED {
            let refused = Err(AttributeError::Reserved(name.to_owned()));
            assert_eq!(parse(&json!({ name: 1 })), refused);
        }
        for value in [
            json!(null),
            json!({}),
            json!([1]),
            json!([["a"]]),
            json!("a\u{1b}[2J"),
            json!(["\n"]),
        ] {
            let refused = Err(AttributeError::BadValue("x".to_owned()));
            assert_eq!(parse(&json!({ "x": value })), refused);
        }
        // The name, the quotation marks, the colon and the braces are eight bytes.
        for (length, fits) in [(2048 - 8, true), (2048 - 7, false)] {
            assert_eq!(parse(&json!({"x": "y".repeat(length)})).is_ok(), fits);
        }
    }
}
