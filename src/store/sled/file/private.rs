//! How this server opens its own files in a database directory: for its user alone, and never through a symbolic link.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt};

use rustix::fs::OFlags;

/// Options with which a new file gets mode 0600, and a symbolic link in its place is an error.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}
