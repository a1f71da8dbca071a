//! A moment that a person writes down, such as the end of a role.

use crate::clock::Timestamp;

/// Why a text is not the moment that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// It is none.
    #[error("This must be a moment in UTC such as 2027-01-01T00:00:00Z, or a day such as 2027-01-01.")]
    Malformed,
    /// It has passed.
    #[error("This moment has passed.")]
    Past,
}

/// The moment with this text (RFC 3339, in UTC); of a day, its first second.
///
/// # Errors
/// [`MomentError::Malformed`] for any other text, and for a moment before 1970.
pub fn moment(text: &str) -> Result<Timestamp, MomentError> {
    let whole = if text.len() == "2027-01-01".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let moment = humantime::parse_rfc3339(&whole).map_err(|_| MomentError::Malformed)?;
    let since_epoch = moment.duration_since(std::time::UNIX_EPOCH);
    since_epoch
        .map(|span| Timestamp::from_secs(span.as_secs()))
        .map_err(|_| MomentError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_what_is_no_moment_is_refused() {
        let new_year = Timestamp::from_secs(1_798_761_600);
        for text in ["2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00.9Z"] {
            assert_eq!(moment(text), Ok(new_year), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2027-13-01",
            "2027-01-01T00:00:00+01:00",
            "1969-12-31",
            "01.01.2027",
        ] {
            assert_eq!(moment(text), Err(MomentError::Malformed), "{text}");
        }
    }
}
