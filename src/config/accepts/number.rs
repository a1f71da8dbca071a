//! Whole numbers and sizes, within a range.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use bytesize::ByteSize;

#[cfg(test)]
use super::form::Ends;
use super::form::{Accepts, Form};
use crate::config::raw::{Kind, Raw};

/// A whole number within the range.
pub(in crate::config) struct Whole<T>(pub(in crate::config) RangeInclusive<T>);

impl<T: Display + Sync> Form for Whole<T> {
    fn kind(&self) -> Kind {
        Kind::Integer
    }

    fn describe(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }
}

impl<T: Display + FromStr + PartialOrd + Sync> Accepts<T> for Whole<T> {
    fn parse(&self, raw: &Raw) -> Option<T> {
        let Raw::Integer(digits) = raw else { return None };
        digits.parse().ok().filter(|number| self.contains(number))
    }

    fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<T> {
        let number = |end: &T| end.to_string().parse::<i128>().unwrap();
        let (least, most) = (number(self.0.start()), number(self.0.end()));
        // A number that the type does not have can't be set in code either.
        let of = |numbers: &[i128]| {
            numbers
                .iter()
                .filter_map(|number| number.to_string().parse().ok())
                .collect()
        };
        let types = [u8::MAX.into(), u32::MAX.into(), u64::MAX.into()];
        let beyond = types.into_iter().filter(|number| *number > most);
        let outside: Vec<_> = [least - 1, most + 1, 0].into_iter().chain(beyond).collect();
        Ends {
            inside: of(&[least, most]),
            outside: of(&outside)
                .into_iter()
                .filter(|number| !self.contains(number))
                .collect(),
        }
    }
}

/// A number of bytes within the range, such as `16KiB`.
pub(in crate::config) struct Size(pub(in crate::config) RangeInclusive<u64>);

impl Form for Size {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        match (*self.0.start(), *self.0.end()) {
            (least, u64::MAX) => format!("a size of {} or more, such as 16MiB", short(least)),
            (least, most) => format!("a size from {} to {}", short(least), short(most)),
        }
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Accepts<T> for Size {
    fn parse(&self, raw: &Raw) -> Option<T> {
        let size: ByteSize = raw.text()?.parse().ok()?;
        size.as_u64().try_into().ok().filter(|size| self.contains(size))
    }

    fn contains(&self, value: &T) -> bool {
        (*value).try_into().is_ok_and(|size| self.0.contains(&size))
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<T> {
        let (least, most) = (*self.0.start(), *self.0.end());
        let of = |sizes: &[u64]| sizes.iter().filter_map(|size| T::try_from(*size).ok()).collect();
        let outside: Vec<T> = of(&[0, least - 1, most.saturating_add(1), u64::MAX]);
        Ends {
            inside: of(&[least, most]),
            outside: outside.into_iter().filter(|size| !self.contains(size)).collect(),
        }
    }
}

/// In the largest unit that divides it.
fn short(size: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| size.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "B"));
    format!("{}{name}", size / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_accepted_up_to_both_ends_of_its_range() {
        let range = Whole(4_u32..=16);
        assert_eq!(range.describe(), "a whole number from 4 to 16");
        for (number, accepted) in [(3, false), (4, true), (16, true), (17, false)] {
            assert_eq!(range.contains(&number), accepted, "{number}");
            let parsed = range.parse(&Raw::Integer(number.to_string()));
            assert_eq!(parsed, accepted.then_some(number));
        }
        for other in [
            Raw::Text("5".into()),
            Raw::Boolean(true),
            Raw::Integer("-5".into()),
        ] {
            assert_eq!(range.parse(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_size_is_accepted_up_to_both_ends_of_its_range() {
        let range = Size(1 << 10..=16 << 20);
        assert_eq!(range.describe(), "a size from 1KiB to 16MiB");
        for (text, size) in [
            ("1KiB", Some(1024_usize)),
            ("1023B", None),
            ("16MiB", Some(16 << 20)),
            ("17MiB", None),
            ("16 parsecs", None),
        ] {
            assert_eq!(range.parse(&Raw::Text(text.into())), size, "{text}");
        }
        assert!(!range.contains(&1023_usize) && range.contains(&1024_usize));
        assert_eq!(
            Size(1500..=u64::MAX).describe(),
            "a size of 1500B or more, such as 16MiB"
        );
    }
}
