//! Whether this process may use a database directory. Another user can't read the files that root makes in it, so one command
//! as root would shut the server out.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{entries, private};
use crate::store::error::{OpenError, shown};

/// Checks the directory, or where it is to be made, and the database's files in it. Nothing is changed.
///
/// # Errors
/// [`OpenError::NotOwner`] for root if something of it is another user's, and for any user if a file of another user can't be
/// written. [`OpenError::Inaccessible`] if it can't be looked at, or an entry is a symbolic link.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let io_error = |source| OpenError::inaccessible(path, source);
    let (there, found) = nearest(path).map_err(io_error)?;
    refuse(path, &there, &found, false)?;
    if there != path {
        return Ok(());
    }
    for own in entries::own(path).map_err(io_error)? {
        let found = fs::symlink_metadata(&own).map_err(io_error)?;
        if found.is_symlink() {
            return Err(io_error(io::Error::other(format!(
                "{} is a symbolic link, and none is followed there",
                shown(&own)
            ))));
        }
        refuse(path, &own, &found, found.is_file() && !is_writable(&own))?;
    }
    Ok(())
}

/// Fails if `found`, at `there`, is another user's and this process is root or `is_closed` to it.
fn refuse(path: &Path, there: &Path, found: &Metadata, is_closed: bool) -> Result<(), OpenError> {
    let user = rustix::process::geteuid();
    if found.uid() != user.as_raw() && (user.is_root() || is_closed) {
        return Err(OpenError::NotOwner {
            database: shown(path),
            file: shown(there),
            owner: found.uid(),
            user: user.as_raw(),
        });
    }
    Ok(())
}

fn is_writable(file: &Path) -> bool {
    let opened = private::options().read(true).write(true).open(file);
    // Another error is met again, and told, where the file is used.
    !matches!(opened, Err(error) if error.kind() == ErrorKind::PermissionDenied)
}

/// `path`, or the nearest directory above it that exists.
fn nearest(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    for place in path.ancestors() {
        let place = if place.as_os_str().is_empty() {
            Path::new(".")
        } else {
            place
        };
        match (fs::metadata(place), fs::read_link(place)) {
            (Ok(found), _) => return Ok((place.to_owned(), found)),
            (Err(error), Ok(target)) if error.kind() == ErrorKind::NotFound => {
                return Err(io::Error::other(format!(
                    "{} is a symbolic link to {}, which does not exist; make that directory, or mount its disk",
                    shown(place),
                    shown(target)
                )));
            }
            (Err(error), _) if error.kind() == ErrorKind::NotFound => {}
            (Err(error), _) => return Err(error),
        }
    }
    Err(ErrorKind::NotFound.into())
}
