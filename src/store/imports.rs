//! What a store does for an import: it takes in many users who come from elsewhere, all of them or none.

use async_trait::async_trait;

use super::error::StoreError;
use crate::domain::ImportedUser;

/// How many users one call of [`Import::stage`] takes at most. So few that no other write waits long, even if each of them has to be
/// read from the disk.
pub const MAX_STAGED: usize = 100;

/// The imports of a store.
#[async_trait]
pub trait Imports: Send + Sync + 'static {
    /// Begins an import. Returns `None` while another one is going on. If it `replaces`, it changes users who have the name of
    /// one that comes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn begin_import(&self, replaces: bool) -> Result<Option<Box<dyn Import + '_>>, StoreError>;
}

/// An import that has begun. No user of it exists until [`commit`](Self::commit). Dropping it forgets them all.
#[async_trait]
pub trait Import: Send {
    /// Says of each of these users what [`stage`](Self::stage) would do, and stages none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn examine(&self, users: &[ImportedUser]) -> Result<Vec<Staging>, StoreError>;

    /// Stages those of these users, at most [`MAX_STAGED`], of whom it returns that they are to be added or updated. Until the
    /// import has ended, no other user can get their names. No id may stand twice in an import.
    ///
    /// # Errors
    /// [`StoreError`]; the import can only be dropped then.
    async fn stage(&mut self, users: Vec<ImportedUser>) -> Result<Vec<Staging>, StoreError>;

    /// Decides that every staged user exists, or none of them. When this has returned, each opening of the store has all of them
    /// sooner or later, even after a crash.
    ///
    /// # Errors
    /// [`StoreError`]; all of the staged users exist or none, then or after the next opening.
    async fn commit(&mut self) -> Result<ImportCommit, StoreError>;

    /// Makes the staged users exist, after [`commit`](Self::commit) has decided it. They come to exist one after the other. A user
    /// whose password changes loses every session and every API token, and one who is disabled every session. A user who was staged
    /// as [`Updated`](Staging::Updated) and deleted since then stays deleted. An opening of the store does the same before it
    /// returns, if this was cut short.
    ///
    /// # Errors
    /// [`StoreError`]; then the next opening does the rest.
    async fn finish(&mut self) -> Result<(), StoreError>;
}

/// What becomes of a user who is to be imported.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// A user is added.
    Added,
    /// The user who has the name is changed.
    Updated,
    /// Another user has the name; nothing happens, because the import replaces no users.
    UsernameTaken,
    /// A user with another name has the id; nothing happens.
    IdTaken,
    /// The import has the name already; nothing happens.
    Twice,
}

/// The outcome of [`commit`](Import::commit).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportCommit {
    /// It is decided.
    Decided,
    /// No administrator would be left; nothing happens.
    LastAdministrator,
}
