//! The maker of a one-time code, in the record that has the code: their id, and the version of the password that they had.

use crate::domain::{InvalidId, Maker, UserId};

/// What a record has of `maker`: no version if it is that of a first password, and nothing if the operator made the code.
pub(super) fn written(maker: Option<Maker>) -> (Option<String>, Option<u32>) {
    let version = maker
        .map(|maker| maker.password_version)
        .filter(|version| *version > 0);
    (maker.map(|maker| maker.user.to_string()), version)
}

/// Returns the maker of whom a record has this.
pub(super) fn read(user: Option<&str>, password_version: Option<u32>) -> Result<Option<Maker>, InvalidId> {
    let user = user.map(UserId::parse).transpose()?;
    Ok(user.map(|user| Maker {
        user,
        password_version: password_version.unwrap_or_default(),
    }))
}
