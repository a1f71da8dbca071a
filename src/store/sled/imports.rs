//! The imports of a [`SledStore`]: many users come to exist, or none of them does, whatever moment the process is killed at.
//!
//! 1. **Staged.** The users go into a [file](super::file::staging) beside the database, which nothing else reads. The committing
//!    thread checks each name and reserves it, so a sign-up with that name is refused from then on and no conflict can arise
//!    later. Reserved names are in memory alone: after a crash the import does not happen, and they are free.
//! 2. **Decided.** Once the file is durable, one write puts a [mark](super::trees::imports) into the database, with the id of the
//!    file. That is the moment at which the import happens. The same write checks that an administrator is left.
//! 3. **Finished.** Batches of users are written, each of them like any other write: it waits in the queue, so no other write
//!    waits for more than one batch. Each is one transaction, with how far the mark has come. The last write removes the mark.
//!
//! A start that finds a mark [does the rest](super::unfinished) before it answers a request. One that finds a file without a mark
//! removes the file. Either way it counts as a start after a crash, with all its checks.
//!
//! Between 2 and 3, an administrator who is about to become an ordinary user counts as one already. So no change can take the other
//! administrators away. If all the administrators change, one who comes with the import is written together with the mark.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::{
    SledStore, blocking,
    commit::group::{Effect, Group},
    error::is_of_room,
    file::staging::{self, StagedUsers, StagingFile},
    memory::{index::Index, reserved::ImportNumber},
    trees::{Trees, imports::ImportMark},
};
use crate::{
    domain::ImportedUser,
    store::{
        error::StoreError,
        imports::{Import, ImportCommit, Imports, Staging},
        records::staged_user::StagedUserRecord,
    },
};

/// How long an import that is decided waits before it tries a write again that found no room.
const TRY_EVERY: Duration = Duration::from_secs(1);

#[async_trait]
impl Imports for SledStore {
    async fn begin_import(&self, replaces: bool) -> Result<Option<Box<dyn Import + '_>>, StoreError> {
        let import = SledImport::begin(self, replaces);
        Ok(import.map(|import| Box::new(import) as Box<dyn Import + '_>))
    }
}

struct SledImport<'a> {
    store: &'a SledStore,
    number: ImportNumber,
    replaces: bool,
    /// `None` if something failed, or nothing is left to do.
    place: Option<Place>,
    /// A staged user who is an administrator, however the others change meanwhile, and whether the user had the name already.
    administrator: Option<(ImportedUser, bool)>,
}

/// What an import holds: the file and the reserved names. A blocking thread that works on the file owns this meanwhile. So it ends
/// after that work, whatever becomes of the import.
struct Place {
    index: Arc<Index>,
    number: ImportNumber,
    directory: PathBuf,
    /// `None` if no user is staged.
    file: Option<StagingFile>,
    /// The mark, which may be in the database from then on. It alone says what becomes of the file.
    decided: Option<ImportMark>,
}

/// What becomes of a user, as the trees are now.
fn staging(trees: &Trees, imported: &ImportedUser, replaces: bool) -> Result<Staging, StoreError> {
    let name = &imported.user.username;
    Ok(match trees.user_by_name(name)? {
        Some(_) if replaces => Staging::Updated,
        Some(_) => Staging::UsernameTaken,
        None if trees.has_other_user(imported.user.id, name)? => Staging::IdTaken,
        None => Staging::Added,
    })
}

#[async_trait]
impl Import for SledImport<'_> {
    async fn examine(&self, users: &[ImportedUser]) -> Result<Vec<Staging>, StoreError> {
        let (users, replaces) = (users.to_vec(), self.replaces);
        let read = self.store.committer.deferred_read(move |trees| {
            let users = users.iter();
            users.map(|user| staging(trees, user, replaces)).collect()
        });
        blocking(read).await?
    }

    async fn stage(&mut self, users: Vec<ImportedUser>) -> Result<Vec<Staging>, StoreError> {
        let (number, replaces) = (self.number, self.replaces);
        let check = move |trees: &Trees, group: &Group<'_>| {
            let reserved = &group.index.reserved;
            let mut stagings = Vec::with_capacity(users.len());
            for user in &users {
                let name = user.user.username.as_str();
                let staging = if reserved.has(name) {
                    Staging::Twice
                } else {
                    staging(trees, user, replaces)?
                };
                if matches!(staging, Staging::Added | Staging::Updated) {
                    reserved.add(number, name, user.ends_administration());
                }
                stagings.push(staging);
            }
            Ok(((users, stagings), Effect::None))
        };
        let (users, stagings) = self.store.committer.commit(check).await?;
        let mut lines = Vec::new();
        for (user, staging) in users.iter().zip(&stagings) {
            let is_added = *staging == Staging::Added;
            if is_added || *staging == Staging::Updated {
                lines.extend(StagedUserRecord::write(user, !is_added)?);
                // A user who had the name may be deleted meanwhile, and one who is added can't be.
                let is_better = match &self.administrator {
                    None => true,
                    Some((_, updates)) => *updates && is_added,
                };
                if is_better && user.begins_administration(is_added) {
                    self.administrator = Some((user.clone(), !is_added));
                }
            }
        }
        if !lines.is_empty() {
            self.append(lines).await?;
        }
        Ok(stagings)
    }

    async fn commit(&mut self) -> Result<ImportCommit, StoreError> {
        let Some(place) = self.place.take() else {
            return Err(over());
        };
        let (mut place, synced) = blocking(move || place.sync()).await?;
        let Some(mark) = synced.map_err(io_failed)? else {
            self.place = Some(place);
            return Ok(ImportCommit::Decided);
        };
        // From here on the mark may be written, even if this is dropped.
        place.decided = Some(mark);
        let place = self.place.insert(place);
        loop {
            let administrator = self.administrator.clone();
            let decide = move |trees: &Trees, group: &Group<'_>| decide(trees, group, mark, administrator);
            let committer = &self.store.committer;
            match committer.commit(decide).await {
                // Whether the mark is on the disk is not known. Writing it again makes it certain.
                Err(StoreError::NoRoom) => tokio::time::sleep(TRY_EVERY).await,
                Ok(ImportCommit::LastAdministrator) => {
                    place.decided = None;
                    return Ok(ImportCommit::LastAdministrator);
                }
                done => return done,
            }
        }
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        let Some(mut mark) = self.place.as_ref().and_then(|place| place.decided) else {
            return Ok(());
        };
        let directory = self.store.directory.clone();
        let opened = blocking(move || StagedUsers::open(&directory, mark.id, mark.offset, mark.end));
        let mut staged = opened.await??;
        loop {
            let (rest, batch) = blocking(move || {
                let batch = staged.next();
                (staged, batch)
            })
            .await?;
            staged = rest;
            let Some(batch) = batch? else {
                break;
            };
            mark.offset = batch.next;
            let users: Arc<[(ImportedUser, bool)]> = batch.users.into();
            self.persist(move || {
                let users = Arc::clone(&users);
                move |trees: &Trees, group: &Group<'_>| {
                    let updated = trees.import(&users, mark, |user, kept| group.all_but(user, kept))?;
                    Ok(((), Effect::ChangeAll(updated)))
                }
            })
            .await?;
        }
        self.persist(|| |trees: &Trees, _: &Group<'_>| Ok((trees.remove_import_mark()?, Effect::None)))
            .await?;
        if let Some(mut place) = self.place.take() {
            place.decided = None;
            blocking(move || drop(place)).await?;
        }
        Ok(())
    }
}

impl<'a> SledImport<'a> {
    /// Begins an import. Returns `None` while another one is going on.
    fn begin(store: &'a SledStore, replaces: bool) -> Option<Self> {
        let number = store.index.reserved.begin()?;
        let place = Place {
            index: Arc::clone(&store.index),
            number,
            directory: store.directory.clone(),
            file: None,
            decided: None,
        };
        Some(Self {
            store,
            number,
            replaces,
            place: Some(place),
            administrator: None,
        })
    }

    async fn append(&mut self, lines: Vec<u8>) -> Result<(), StoreError> {
        let Some(mut place) = self.place.take() else {
            return Err(over());
        };
        let appended = blocking(move || place.append(&lines).map(|()| place));
        self.place = Some(appended.await?.map_err(io_failed)?);
        Ok(())
    }

    /// Runs the write that `write` makes, again and again as long as there is no room for it.
    async fn persist<W>(&self, write: impl Fn() -> W + Send) -> Result<(), StoreError>
    where
        W: FnOnce(&Trees, &Group<'_>) -> Result<((), Effect), StoreError> + Send + 'static,
    {
        loop {
            match self.store.committer.commit(write()).await {
                Err(StoreError::NoRoom) => tokio::time::sleep(TRY_EVERY).await,
                done => return done,
            }
        }
    }
}

impl Place {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(StagingFile::create(&self.directory)?),
        };
        file.append(lines)
    }

    /// Makes the file durable, and returns the mark that decides it; `None` if no user is staged.
    fn sync(mut self) -> (Self, io::Result<Option<ImportMark>>) {
        let Some(file) = &mut self.file else {
            return (self, Ok(None));
        };
        let synced = file.sync(&self.directory).map(|()| ImportMark {
            id: file.id,
            offset: 0,
            end: file.length,
        });
        (self, synced.map(Some))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The names stay reserved, and no other import begins: the next start does the rest.
        if self.decided.is_some() {
            return;
        }
        // Quick, because the file is open: its space is freed when it is closed. If this fails, the next import or start removes it.
        let _ = staging::remove(&self.directory);
        self.index.reserved.end(self.number);
        if let Some(file) = self.file.take()
            && let Ok(runtime) = Handle::try_current()
        {
            // Freeing hundreds of megabytes takes long, and this may be a thread that answers requests.
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// Puts `mark` into the trees, unless no administrator would be left. If `administrator` is the only one who is, adds them too.
fn decide(
    trees: &Trees,
    group: &Group<'_>,
    mark: ImportMark,
    administrator: Option<(ImportedUser, bool)>,
) -> Result<(ImportCommit, Effect), StoreError> {
    let reserved = &group.index.reserved;
    reserved.decide(true);
    if !trees.has_administrator() || trees.has_administrator_besides(None, reserved)? {
        trees.put_import_mark(mark)?;
        return Ok((ImportCommit::Decided, Effect::None));
    }
    let is_there = match &administrator {
        Some((imported, true)) => trees.user_by_name(&imported.user.username)?.is_some(),
        Some((_, false)) => true,
        None => false,
    };
    let Some(administrator) = administrator.filter(|_| is_there) else {
        reserved.decide(false);
        // An earlier try may have put it there, and found no room on the disk.
        trees.remove_import_mark()?;
        return Ok((ImportCommit::LastAdministrator, Effect::None));
    };
    let updated = trees.import(&[administrator], mark, |user, kept| group.all_but(user, kept))?;
    Ok((ImportCommit::Decided, Effect::ChangeAll(updated)))
}

/// An earlier call has failed, or the import is finished.
fn over() -> StoreError {
    StoreError::failed(io::Error::other("the import is over"))
}

/// What it means that the file could not be written.
fn io_failed(error: io::Error) -> StoreError {
    let error = StoreError::failed(error);
    if is_of_room(&error) {
        StoreError::NoRoom
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::User,
        store::{
            imports::MAX_STAGED,
            sled::tests::{NOW, open},
        },
    };

    fn users() -> Vec<ImportedUser> {
        let user = |n| ImportedUser {
            user: User::sample(&format!("user{n}"), NOW),
            unsaid: Vec::new(),
        };
        (0..MAX_STAGED).map(user).collect()
    }

    #[tokio::test]
    async fn an_import_that_finds_no_room_frees_what_it_took() {
        for does_append in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let store = open(&directory, NOW);
            let mut import = SledImport::begin(&store, false).unwrap();
            let _ = import.stage(users()[..1].to_vec()).await.unwrap();
            let file = import.place.as_mut().unwrap().file.as_mut().unwrap();
            file.find_no_room();
            let failed = if does_append {
                import.stage(users()[1..].to_vec()).await.map(|_| ())
            } else {
                import.commit().await.map(|_| ())
            };
            assert!(matches!(failed, Err(StoreError::NoRoom)), "{failed:?}");
            assert!(!matches!(import.commit().await, Ok(ImportCommit::Decided)));
            drop(import);
            assert!(!staging::is_left(directory.path()).unwrap());
            let mut import = SledImport::begin(&store, false).unwrap();
            assert_eq!(import.stage(users()).await.unwrap(), [Staging::Added; MAX_STAGED]);
            assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
            import.finish().await.unwrap();
        }
    }
}
