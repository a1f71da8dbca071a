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

use std::{mem, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    SledStore, blocking,
    commit::group::{Effect, Group},
    error::is_of_room,
    file::staging::{self, StagedUsers, StagingFile},
    memory::reserved::ImportNumber,
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
        let Some(number) = self.index.reserved.begin() else {
            return Ok(None);
        };
        Ok(Some(Box::new(SledImport {
            store: self,
            number,
            replaces,
            state: State::Empty,
            administrator: None,
        })))
    }
}

struct SledImport<'a> {
    store: &'a SledStore,
    number: ImportNumber,
    replaces: bool,
    state: State,
    /// A staged user who is an administrator, however the others change meanwhile.
    administrator: Option<ImportedUser>,
}

/// How far an import has come.
enum State {
    /// No user is staged.
    Empty,
    /// Users are in the file.
    Staged(StagingFile),
    /// The mark may be in the database. It alone says what becomes of the file.
    Decided(ImportMark),
    /// Something failed, or nothing is left to do.
    Over,
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
                if self.administrator.is_none() && user.begins_administration(is_added) {
                    self.administrator = Some(user.clone());
                }
            }
        }
        if !lines.is_empty() {
            self.append(lines).await?;
        }
        Ok(stagings)
    }

    async fn commit(&mut self) -> Result<ImportCommit, StoreError> {
        let State::Staged(mut file) = mem::replace(&mut self.state, State::Over) else {
            return Ok(ImportCommit::Decided);
        };
        let directory = self.directory();
        let synced = blocking(move || file.sync(&directory).map(|()| file)).await?;
        let file = synced.map_err(io_failed)?;
        let mark = ImportMark {
            id: file.id,
            offset: 0,
            end: file.length,
        };
        // From here on the mark may be written, even if this is dropped.
        self.state = State::Decided(mark);
        loop {
            let administrator = self.administrator.clone();
            let decide = move |trees: &Trees, group: &Group<'_>| decide(trees, group, mark, administrator);
            match self.store.committer.commit(decide).await {
                // Whether the mark is on the disk is not known. Writing it again makes it certain.
                Err(StoreError::NoRoom) => tokio::time::sleep(TRY_EVERY).await,
                Ok(ImportCommit::LastAdministrator) => {
                    self.state = State::Staged(file);
                    return Ok(ImportCommit::LastAdministrator);
                }
                done => return done,
            }
        }
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        let State::Decided(mut mark) = self.state else {
            return Ok(());
        };
        let directory = self.directory();
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
            let users: Arc<[ImportedUser]> = batch.users.into_iter().map(|(user, _)| user).collect();
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
        self.state = State::Over;
        let directory = self.directory();
        // A file without a mark is removed by the next import or start.
        let _ = blocking(move || staging::remove(&directory)).await;
        Ok(())
    }
}

impl SledImport<'_> {
    fn directory(&self) -> PathBuf {
        self.store.directory.clone()
    }

    async fn append(&mut self, lines: Vec<u8>) -> Result<(), StoreError> {
        let (state, directory) = (mem::replace(&mut self.state, State::Over), self.directory());
        let appended = blocking(move || {
            let mut file = match state {
                State::Staged(file) => file,
                _ => StagingFile::create(&directory)?,
            };
            file.append(&lines).map(|()| file)
        });
        self.state = State::Staged(appended.await?.map_err(io_failed)?);
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

impl Drop for SledImport<'_> {
    fn drop(&mut self) {
        match self.state {
            // The names stay reserved, and no other import begins: the next start does the rest.
            State::Decided(_) => return,
            State::Staged(_) => {
                // A file without a mark is removed by the next import or start.
                let _ = staging::remove(&self.store.directory);
            }
            State::Empty | State::Over => {}
        }
        self.store.index.reserved.end(self.number);
    }
}

/// Puts `mark` into the trees, unless no administrator would be left. If `administrator` is the only one who is, adds them too.
fn decide(
    trees: &Trees,
    group: &Group<'_>,
    mark: ImportMark,
    administrator: Option<ImportedUser>,
) -> Result<(ImportCommit, Effect), StoreError> {
    let reserved = &group.index.reserved;
    reserved.decide(true);
    if !trees.has_administrator() || trees.has_administrator_besides(None, reserved)? {
        trees.put_import_mark(mark)?;
        return Ok((ImportCommit::Decided, Effect::None));
    }
    let Some(administrator) = administrator else {
        reserved.decide(false);
        return Ok((ImportCommit::LastAdministrator, Effect::None));
    };
    let updated = trees.import(&[administrator], mark, |user, kept| group.all_but(user, kept))?;
    Ok((ImportCommit::Decided, Effect::ChangeAll(updated)))
}

/// What it means that the file could not be written.
fn io_failed(error: std::io::Error) -> StoreError {
    let error = StoreError::failed(error);
    if is_of_room(&error) {
        StoreError::NoRoom
    } else {
        error
    }
}
