//! Spans of time, such as `90s` or `1h 30m`, up to a hundred years: no clock can add much more to the present.

use std::{ops::RangeInclusive, time::Duration};

#[cfg(test)]
use super::form::Ends;
use super::form::{Accepts, Form};
use crate::config::raw::{Kind, Raw};

/// The longest time that any setting accepts, in seconds.
pub(in crate::config) const CENTURY: u64 = 100 * 365 * DAY;

const DAY: u64 = 24 * 60 * 60;

/// A span of time, of any fraction of a second.
pub(in crate::config) enum Time {
    /// Zero included.
    Any,
    /// Zero excluded.
    AboveZero,
}

impl Form for Time {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        match self {
            Self::Any => "a time, such as 10s".into(),
            Self::AboveZero => "a time above zero, such as 10s".into(),
        }
    }
}

impl Accepts<Duration> for Time {
    fn parse(&self, raw: &Raw) -> Option<Duration> {
        span(raw).filter(|span| self.contains(span))
    }

    fn contains(&self, value: &Duration) -> bool {
        let above = matches!(self, Self::Any) || !value.is_zero();
        above && *value <= Duration::from_secs(CENTURY)
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<Duration> {
        let least = match self {
            Self::Any => Duration::ZERO,
            Self::AboveZero => Duration::from_nanos(1),
        };
        let most = Duration::from_secs(CENTURY);
        let mut outside = vec![most + Duration::from_nanos(1), Duration::MAX];
        outside.extend(least.checked_sub(Duration::from_nanos(1)));
        Ends {
            inside: vec![least, most],
            outside,
        }
    }
}

/// A span of so many whole seconds.
pub(in crate::config) struct Seconds(pub(in crate::config) RangeInclusive<u64>);

impl Form for Seconds {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        const WHAT: &str = "a time in whole seconds";
        match (*self.0.start(), *self.0.end()) {
            (0, CENTURY) => format!("{WHAT}, such as 90s or 7d"),
            (least, CENTURY) => format!("{WHAT} of {} or more, such as 90s or 7d", short(least)),
            (least, most) => format!("{WHAT} from {} to {}", short(least), short(most)),
        }
    }
}

impl Accepts<Duration> for Seconds {
    fn parse(&self, raw: &Raw) -> Option<Duration> {
        span(raw).filter(|span| self.contains(span))
    }

    fn contains(&self, value: &Duration) -> bool {
        value.subsec_nanos() == 0 && self.0.contains(&value.as_secs())
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<Duration> {
        let (least, most) = (
            Duration::from_secs(*self.0.start()),
            Duration::from_secs(*self.0.end()),
        );
        let second = Duration::from_secs(1);
        let mut outside = vec![most + second, least + Duration::from_millis(1), Duration::MAX];
        outside.extend(least.checked_sub(second));
        Ends {
            inside: vec![least, most],
            outside,
        }
    }
}

/// `off`, which is `None`, or what the other accepts.
pub(in crate::config) struct OrOff<A>(pub(in crate::config) A);

impl<A: Form> Form for OrOff<A> {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn describe(&self) -> String {
        format!("off, or {}", self.0.describe())
    }
}

impl<T, A: Accepts<T>> Accepts<Option<T>> for OrOff<A> {
    fn parse(&self, raw: &Raw) -> Option<Option<T>> {
        match raw.text()? {
            "off" => Some(None),
            _ => self.0.parse(raw).map(Some),
        }
    }

    fn contains(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.contains(value))
    }

    #[cfg(test)]
    fn ends(&self) -> Ends<Option<T>> {
        let Ends { inside, outside } = self.0.ends();
        Ends {
            inside: inside.into_iter().map(Some).chain([None]).collect(),
            outside: outside.into_iter().map(Some).collect(),
        }
    }
}

fn span(raw: &Raw) -> Option<Duration> {
    humantime::parse_duration(raw.text()?).ok()
}

/// In the largest unit that divides it.
fn short(seconds: u64) -> String {
    let units = [(DAY, "d"), (60 * 60, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn whole_seconds_are_accepted_up_to_both_ends_of_the_range() {
        let range = Seconds(1..=DAY);
        assert_eq!(range.describe(), "a time in whole seconds from 1s to 1d");
        for (text, seconds) in [
            ("0s", None),
            ("1s", Some(1)),
            ("1500ms", None),
            ("23h 60m", Some(DAY)),
            ("1d 1s", None),
            ("5 parsecs", None),
        ] {
            let parsed = range.parse(&written(text));
            assert_eq!(parsed, seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(range.parse(&Raw::Integer("5".into())), None);
        assert!(!range.contains(&Duration::from_millis(1500)));
        assert_eq!(
            Seconds(60..=CENTURY).describe(),
            "a time in whole seconds of 1m or more, such as 90s or 7d"
        );
    }

    #[test]
    fn no_time_is_longer_than_a_hundred_years() {
        let day_more = written("36501d");
        assert_eq!(Time::Any.parse(&day_more), None);
        assert_eq!(Seconds(0..=CENTURY).parse(&day_more), None);
        let longest = Some(Duration::from_secs(CENTURY));
        assert_eq!(Time::Any.parse(&written("36500d")), longest);
        assert_eq!(Seconds(0..=CENTURY).parse(&written("36500d")), longest);
    }

    #[test]
    fn zero_is_a_time_only_where_it_is_accepted() {
        assert_eq!(Time::Any.parse(&written("0s")), Some(Duration::ZERO));
        assert_eq!(Time::AboveZero.parse(&written("0s")), None);
        let nanosecond = Some(Duration::from_nanos(1));
        assert_eq!(Time::AboveZero.parse(&written("1ns")), nanosecond);
    }

    #[test]
    fn off_is_no_time_at_all() {
        let range = OrOff(Seconds(60..=CENTURY));
        assert_eq!(range.parse(&written("off")), Some(None));
        assert_eq!(range.parse(&written("1m")), Some(Some(Duration::from_mins(1))));
        assert_eq!(range.parse(&written("59s")), None);
        assert_eq!(range.parse(&Raw::Boolean(false)), None);
        assert!(range.contains(&None) && !range.contains(&Some(Duration::ZERO)));
    }
}
