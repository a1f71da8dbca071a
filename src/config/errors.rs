//! Gathers every error of the settings, so that a user sees all of them at once.

use super::{error::ConfigError, origin::Origin};

/// The errors found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<ConfigError>);

impl Errors {
    /// The value of `result`. Returns `None` if it is an error, which is kept.
    pub(crate) fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Keeps `error`.
    pub(crate) fn add(&mut self, error: ConfigError) {
        match error {
            ConfigError::Several(errors) => self.0.extend(errors),
            one => self.0.push(one),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops every [`ConfigError::Conflict`]: if a value could not be read, another one may only seem to contradict it.
    pub(crate) fn forget_conflicts(&mut self) {
        self.0.retain(|error| !matches!(error, ConfigError::Conflict(_)));
    }

    /// Fails with the errors, if there are any.
    pub(crate) fn result(self) -> Result<(), ConfigError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.into_error())
        }
    }

    /// The errors as one: those in the file in the order of its lines, then the others in the order of their discovery.
    pub(crate) fn into_error(mut self) -> ConfigError {
        self.0.sort_by_key(|error| match error.origin() {
            Some(Origin::File { line, .. }) => *line,
            _ => usize::MAX,
        });
        match self.0.pop() {
            Some(only) if self.0.is_empty() => only,
            last => {
                self.0.extend(last);
                ConfigError::Several(self.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_the_file_come_first_and_by_line() {
        let unknown = |key: &str, origin| ConfigError::Unknown {
            origin,
            key: key.into(),
            nearest: None,
        };
        let in_file = |line| {
            let file = "f".into();
            unknown("k", Origin::File { file, line })
        };
        let mut errors = Errors::default();
        errors.add(unknown("k", Origin::Flag("--k".into())));
        errors.add(ConfigError::Several(vec![in_file(10), in_file(9)]));
        errors.add(ConfigError::Conflict("two settings".into()));
        let said = errors.into_error().to_string();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "f, line 9: there is no setting k",
                "f, line 10: there is no setting k",
                "flag --k: there is no setting k",
                "two settings",
            ]
        );
    }

    #[test]
    fn one_error_stays_what_it_is_and_none_is_a_success() {
        let mut errors = Errors::default();
        assert_eq!(errors.keep(Ok(5)), Some(5));
        assert!(errors.is_empty());
        let kept: Option<()> = errors.keep(Err(ConfigError::Conflict("two settings".into())));
        assert_eq!(kept, None);
        assert!(matches!(errors.result(), Err(ConfigError::Conflict(_))));
        Errors::default().result().unwrap();
    }
}
