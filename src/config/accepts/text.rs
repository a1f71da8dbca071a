//! Switches, names to choose from, texts of a form of their own, and lists of those.

use super::form::{Accepts, Form};
use crate::config::raw::{Kind, Raw};
use crate::domain::{Role, Roles};

/// `true` or `false`.
pub(in crate::config) struct Boolean;

impl Form for Boolean {
    fn kind(&self) -> Kind {
        Kind::Boolean
    }

    fn describe(&self) -> String {
        "true or false".into()
    }
}

impl Accepts<bool> for Boolean {
    fn parse(&self, raw: &Raw) -> Option<bool> {
        match raw {
            Raw::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    fn contains(&self, _: &bool) -> bool {
        true
    }
}

/// One of these names, each with what it stands for.
pub(in crate::config) struct Choice<T: 'static>(pub(in crate::config) &'static [(&'static str, T)]);

impl<T: Sync> Form for Choice<T> {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => names.concat(),
        }
    }
}

impl<T: Clone + PartialEq + Sync> Accepts<T> for Choice<T> {
    fn parse(&self, raw: &Raw) -> Option<T> {
        let given = raw.text()?;
        let found = self.0.iter().find(|(name, _)| *name == given);
        found.map(|(_, value)| value.clone())
    }

    fn contains(&self, value: &T) -> bool {
        self.0.iter().any(|(_, known)| known == value)
    }
}

/// A text that `parse` accepts. `valid` says of a value whether some text could have been it.
pub(in crate::config) struct Text<T> {
    /// What the text is: completes "accepted: …".
    pub(in crate::config) what: &'static str,
    pub(in crate::config) parse: fn(&str) -> Option<T>,
    pub(in crate::config) valid: fn(&T) -> bool,
}

impl<T> Form for Text<T> {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        self.what.into()
    }
}

impl<T> Accepts<T> for Text<T> {
    fn parse(&self, raw: &Raw) -> Option<T> {
        raw.text().and_then(self.parse)
    }

    fn contains(&self, value: &T) -> bool {
        (self.valid)(value)
    }
}

/// A list of `least` texts or more, each as [`Text`] has it.
pub(in crate::config) struct List<T> {
    pub(in crate::config) least: usize,
    /// What the items are: completes "accepted: a list of …".
    pub(in crate::config) what: &'static str,
    pub(in crate::config) parse: fn(&str) -> Option<T>,
    pub(in crate::config) valid: fn(&T) -> bool,
}

impl List<Role> {
    /// A list of `least` roles or more.
    pub(in crate::config) const fn of_roles(least: usize) -> Self {
        Self {
            least,
            what: "roles, each of A-Z, 0-9, _ and -, starting with a letter",
            parse: |text| Role::parse(text).ok(),
            valid: |_| true,
        }
    }
}

impl<T> Form for List<T> {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn describe(&self) -> String {
        match self.least {
            0 => format!("a list of {}", self.what),
            least => format!("a list of {least} or more {}", self.what),
        }
    }
}

impl<T> Accepts<Vec<T>> for List<T> {
    fn parse(&self, raw: &Raw) -> Option<Vec<T>> {
        let Raw::List(items) = raw else { return None };
        let items: Option<Vec<T>> = items.iter().map(|item| (self.parse)(item)).collect();
        items.filter(|items| items.len() >= self.least)
    }

    fn contains(&self, value: &Vec<T>) -> bool {
        value.len() >= self.least && value.iter().all(self.valid)
    }
}

impl Accepts<Roles> for List<Role> {
    fn parse(&self, raw: &Raw) -> Option<Roles> {
        let roles: Vec<Role> = self.parse(raw)?;
        Some(roles.into_iter().collect())
    }

    fn contains(&self, value: &Roles) -> bool {
        value.iter().count() >= self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_of_its_names_in_their_only_spelling() {
        let choice = Choice(&[("text", 1), ("json", 2), ("none", 3)]);
        assert_eq!(choice.describe(), "text, json or none");
        assert_eq!(choice.parse(&Raw::Text("json".into())), Some(2));
        assert_eq!(choice.parse(&Raw::Text("JSON".into())), None);
        assert!(choice.contains(&3) && !choice.contains(&4));
        assert_eq!(Choice(&[("text", 1)]).describe(), "text");
    }

    #[test]
    fn a_list_has_its_least_number_of_good_items() {
        let list = |texts: &[&str]| Raw::List(texts.iter().map(|text| (*text).to_owned()).collect());
        let roles = List::of_roles(1);
        let parsed: Option<Vec<Role>> = roles.parse(&list(&["ADMIN", "GATE"]));
        assert_eq!(parsed.unwrap().len(), 2);
        for bad in [list(&[]), list(&["GATE", ""]), Raw::Text("GATE".into())] {
            let parsed: Option<Vec<Role>> = roles.parse(&bad);
            assert_eq!(parsed, None, "{bad:?}");
        }
        assert!(!roles.contains(&Vec::new()) && !roles.contains(&Roles::default()));
        assert!(List::of_roles(0).contains(&Roles::default()));
        assert!(roles.describe().starts_with("a list of 1 or more roles, "));
        assert!(List::of_roles(0).describe().starts_with("a list of roles, "));
    }
}
