//! The addresses to listen on, and the mode of Unix sockets among them.

#[cfg(test)]
use super::form::Ends;
use super::form::{Accepts, Form};
use crate::config::{
    listen::ListenAddress,
    raw::{Kind, Raw},
};

/// One address or more. The file may also have them as a string, in which commas separate them.
pub(in crate::config) struct Addresses;

impl Form for Addresses {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn describe(&self) -> String {
        format!(
            "a list of 1 or more addresses, each of them {}",
            ListenAddress::ACCEPTED
        )
    }
}

impl Accepts<Vec<ListenAddress>> for Addresses {
    fn parse(&self, raw: &Raw) -> Option<Vec<ListenAddress>> {
        let texts = match raw {
            Raw::List(items) => items.clone(),
            Raw::Text(text) => Raw::items(text),
            _ => return None,
        };
        let addresses: Option<Vec<_>> = texts.iter().map(|text| text.parse().ok()).collect();
        addresses.filter(|addresses| self.contains(addresses))
    }

    fn contains(&self, value: &Vec<ListenAddress>) -> bool {
        !value.is_empty() && value.iter().all(ListenAddress::is_possible)
    }
}

/// The mode of a file that its owner may read and write, in octal digits.
pub(in crate::config) struct Mode;

impl Form for Mode {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        "three octal digits, the first of them 6 or 7, such as 660".into()
    }
}

impl Accepts<u32> for Mode {
    fn parse(&self, raw: &Raw) -> Option<u32> {
        let digits = raw.text()?;
        let is_octal = digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = is_octal.then(|| u32::from_str_radix(digits, 8).ok())?;
        mode.filter(|mode| self.contains(mode))
    }

    fn contains(&self, value: &u32) -> bool {
        (0o600..=0o777).contains(value)
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<u32> {
        Ends {
            inside: vec![0o600, 0o777],
            outside: vec![0, 0o577, 0o1000, u32::MAX],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_list_or_a_string_with_commas() {
        let texts = |items: &[&str]| Raw::List(items.iter().map(|item| (*item).to_owned()).collect());
        let both = Addresses.parse(&texts(&["127.0.0.1:1", "unix:a,b"])).unwrap();
        assert_eq!(both.len(), 2);
        let written = Addresses.parse(&Raw::Text("127.0.0.1:1, [::1]:1".into()));
        assert_eq!(written.unwrap().len(), 2);
        for bad in [
            texts(&[]),
            texts(&["127.0.0.1:1", "x"]),
            Raw::Text(String::new()),
            Raw::Text("127.0.0.1:1 [::1]:1".into()),
            Raw::Boolean(true),
        ] {
            assert_eq!(Addresses.parse(&bad), None, "{bad:?}");
        }
        assert!(!Addresses.contains(&Vec::new()));
        assert!(!Addresses.contains(&vec![ListenAddress::Unix("".into())]));
    }

    #[test]
    fn a_mode_is_octal_and_leaves_the_owner_in() {
        for (text, mode) in [
            ("660", Some(0o660)),
            ("600", Some(0o600)),
            ("777", Some(0o777)),
            ("0666", Some(0o666)),
            ("577", None),
            ("1660", None),
            ("668", None),
            ("+660", None),
            ("rw-rw----", None),
            ("", None),
        ] {
            assert_eq!(Mode.parse(&Raw::Text(text.into())), mode, "{text:?}");
        }
        assert_eq!(Mode.parse(&Raw::Integer("660".into())), None);
    }
}
