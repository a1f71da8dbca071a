//! What an error of sled means.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use crate::store::error::{OpenError, StoreError};

/// Returns what the operating system said, if it was the cause.
fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    let StoreError::Failed(cause) = error else {
        return None;
    };
    match cause.downcast_ref::<sled::Error>() {
        Some(sled::Error::Io(source)) => Some(source.kind()),
        Some(_) => None,
        None => cause.downcast_ref::<io::Error>().map(io::Error::kind),
    }
}

/// Whether `error` says that a write had no room, or that nothing can be written there at the moment.
pub(crate) fn is_of_room(error: &StoreError) -> bool {
    matches!(
        io_kind(error),
        Some(
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::ReadOnlyFilesystem
        )
    )
}

/// What it means that the database in `path` could not be read or written while it was opened.
pub(crate) fn while_opening(path: &Path, error: &StoreError) -> OpenError {
    let cause = match error {
        StoreError::Failed(cause) => cause,
        StoreError::NewerRecord { what, found, known } => {
            return OpenError::NewerRecord {
                database: path.display().to_string(),
                what: what.clone(),
                found: *found,
                known: *known,
            };
        }
        other => return OpenError::damaged(path, other),
    };
    match cause.downcast_ref::<sled::Error>() {
        Some(sled::Error::Io(source)) => {
            let same = match source.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(source.kind(), source.to_string()),
            };
            OpenError::inaccessible(path, same)
        }
        _ => OpenError::damaged(path, &"its log can't be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_want_of_room_is_waited_out() {
        let sled = |kind: ErrorKind| StoreError::failed(sled::Error::Io(kind.into()));
        assert!(is_of_room(&sled(ErrorKind::StorageFull)));
        assert!(is_of_room(&StoreError::failed(io::Error::from(
            ErrorKind::QuotaExceeded
        ))));
        assert!(!is_of_room(&sled(ErrorKind::Other)));
        assert!(!is_of_room(&StoreError::failed(sled::Error::ReportableBug(
            "?".into()
        ))));
        assert!(!is_of_room(&StoreError::Unreadable("?".into())));
    }
}
