//! Reads and writes of the trees of users and their names.

use sled::transaction::{ConflictableTransactionError, Transactional};

use super::{Trees, api_tokens::end, names, one_time_codes::key_of_invitation, transaction_failed};
use crate::{
    clock::Timestamp,
    domain::{DeviceSignIn, DeviceTokenHash, Invitation, Network, Session, User, UserId, Username},
    store::{
        error::StoreError,
        records::{format, session::SessionRecord, user::UserRecord},
        sessions::Kept,
        sled::memory::index::Ended,
        users::UserCreation,
    },
};

pub(crate) const USERS: &[u8] = b"users";

impl Trees {
    pub(crate) fn create_user(
        &self,
        user: &User,
        network: Option<Network>,
    ) -> Result<UserCreation, StoreError> {
        self.create_user_by(user, network, None)
    }

    /// Adds `user`, and removes the `invitation` by which they signed up, together.
    pub(crate) fn create_user_by(
        &self,
        user: &User,
        network: Option<Network>,
        invitation: Option<&Invitation>,
    ) -> Result<UserCreation, StoreError> {
        let mut record = UserRecord::of(user);
        if let Some(network) = network {
            record.note_sign_in(network, user.created_at);
        }
        let record = record.write()?;
        let place = self.names.place_of(user.username.as_str());
        let change = self.roster_change(None, Some(user))?;
        let trees = (
            &self.meta,
            &self.users,
            &self.names.tree,
            &self.roster,
            &self.invitations,
            &self.codes,
        );
        let done = trees.transaction(|(meta, users, names, roster, invitations, codes)| {
            let rows = names.get(place.key())?;
            for id in names::candidates(rows.as_ref(), place).map_err(ConflictableTransactionError::Abort)? {
                let other = users.get(id.as_bytes())?;
                let other = other.map(|bytes| UserRecord::read(id, &bytes)).transpose();
                let other = other.map_err(ConflictableTransactionError::Abort)?;
                if other.is_some_and(|other| other.username() == user.username.as_str()) {
                    return Ok(UserCreation::UsernameTaken);
                }
            }
            let count = format::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)? + 1;
            meta.insert(USERS, &count.to_be_bytes())?;
            names::add(names, place, user.id)?;
            change.make(roster)?;
            users.insert(user.id.as_bytes(), record.as_slice())?;
            if let Some(spent) = invitation {
                invitations.remove(spent.id.as_bytes())?;
                codes.remove(key_of_invitation(spent.hash).as_slice())?;
            }
            Ok(UserCreation::Created)
        });
        done.map_err(transaction_failed)
    }

    pub(crate) fn users(&self) -> Result<u64, StoreError> {
        let bytes = self.meta.get(USERS).map_err(StoreError::failed)?;
        format::counter(bytes.as_deref())
    }

    /// Whether there are as many users and usernames as the count says. Reads all of them.
    pub(crate) fn users_are_whole(&self) -> Result<bool, StoreError> {
        let count = self.users()?;
        Ok(self.users.len() as u64 == count && self.names.len()? == count)
    }

    pub(crate) fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let record = self.user_record(id)?;
        record.map(|record| record.user(id)).transpose()
    }

    pub(crate) fn user_by_name(&self, name: &Username) -> Result<Option<User>, StoreError> {
        for id in self.names.candidates(self.names.place_of(name.as_str()))? {
            let user = self.user(id)?;
            if let Some(user) = user.filter(|user| user.username == *name) {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Writes `user`, and removes what `ended`.
    pub(crate) fn put_user(&self, user: &User, ended: &Ended) -> Result<(), StoreError> {
        let (before, record) = match self.user_record(user.id)? {
            Some(known) => (Some(known.user(user.id)?), known.update(user)),
            None => (None, UserRecord::of(user)),
        };
        let record = record.write()?;
        let change = self.roster_change(before.as_ref(), Some(user))?;
        let trees = (&self.users, &self.roster, &self.sessions, &self.api_tokens);
        let done = trees.transaction(|(users, roster, sessions, api_tokens)| {
            change.make(roster)?;
            users.insert(user.id.as_bytes(), record.as_slice())?;
            Ok(end(sessions, api_tokens, ended)?)
        });
        done.map_err(transaction_failed)
    }

    /// Writes `user`, who has another password, and removes what `ended`. Forgets from where and with which devices the user
    /// has signed in. If a session `begins`, writes it and remembers its network and its device.
    pub(crate) fn put_new_password(
        &self,
        user: &User,
        ended: &Ended,
        begins: Option<(&Session, Option<DeviceTokenHash>)>,
    ) -> Result<(), StoreError> {
        let mut record = UserRecord::of(user);
        let session = match begins {
            Some((session, device)) => {
                record.note_session(session, device.map(DeviceSignIn::Given))?;
                Some((session.id, SessionRecord::write(session)?))
            }
            None => None,
        };
        let record = record.write()?;
        let trees = (&self.users, &self.sessions, &self.api_tokens);
        let done = trees.transaction(|(users, sessions, api_tokens)| {
            users.insert(user.id.as_bytes(), record.as_slice())?;
            end(sessions, api_tokens, ended)?;
            if let Some((id, session)) = &session {
                sessions.insert(id.as_bytes(), session.as_slice())?;
            }
            Ok(())
        });
        done.map_err(transaction_failed)
    }

    /// Removes what `ended`, and forgets from where and with which devices `user` has signed in except what is `kept`.
    pub(crate) fn end_all_but(&self, user: UserId, ended: &Ended, kept: Kept) -> Result<(), StoreError> {
        let mut forgotten = None;
        if let Some(mut record) = self.user_record(user)?
            && record.forget_all_but(user, kept)?
        {
            forgotten = Some(record.write()?);
        }
        let trees = (&self.users, &self.sessions, &self.api_tokens);
        let done = trees.transaction(|(users, sessions, api_tokens)| {
            if let Some(record) = &forgotten {
                users.insert(user.as_bytes(), record.as_slice())?;
            }
            Ok(end(sessions, api_tokens, ended)?)
        });
        done.map_err(transaction_failed)
    }

    /// Removes a user with the username, and what `ended`.
    pub(crate) fn remove_user(&self, user: &User, ended: &Ended) -> Result<(), StoreError> {
        let place = self.names.place_of(user.username.as_str());
        let change = self.roster_change(Some(user), None)?;
        let trees = (
            &self.meta,
            &self.users,
            &self.names.tree,
            &self.roster,
            &self.sessions,
            &self.api_tokens,
        );
        let done = trees.transaction(|(meta, users, names, roster, sessions, api_tokens)| {
            let count = format::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)?;
            meta.insert(USERS, &count.saturating_sub(1).to_be_bytes())?;
            names::remove(names, place, user.id)?;
            change.make(roster)?;
            users.remove(user.id.as_bytes())?;
            Ok(end(sessions, api_tokens, ended)?)
        });
        done.map_err(transaction_failed)
    }

    /// Adds again a user who was removed, and removes a user who has taken the name since.
    pub(crate) fn put_back_user(&self, user: &User) -> Result<(), StoreError> {
        if let Some(other) = self.user_by_name(&user.username)? {
            self.remove_user(&other, &Ended::default())?;
        }
        match self.create_user(user, None)? {
            UserCreation::Created => Ok(()),
            UserCreation::UsernameTaken => Err(StoreError::Unreadable(format!("user {}", user.id))),
        }
    }

    pub(crate) fn last_sign_in(
        &self,
        user: UserId,
        network: Network,
    ) -> Result<Option<Timestamp>, StoreError> {
        let record = self.user_record(user)?;
        Ok(record.and_then(|record| record.last_sign_in(network)))
    }

    pub(crate) fn last_sign_in_with(
        &self,
        user: UserId,
        token: DeviceTokenHash,
    ) -> Result<Option<Timestamp>, StoreError> {
        let record = self.user_record(user)?;
        Ok(record.and_then(|record| record.last_sign_in_with(token)))
    }

    /// Does nothing if the user is deleted.
    pub(crate) fn note_sign_in(
        &self,
        user: UserId,
        network: Network,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(mut record) = self.user_record(user)? else {
            return Ok(());
        };
        record.note_sign_in(network, now);
        let done = self.users.insert(user.as_bytes(), record.write()?);
        done.map(|_| ()).map_err(StoreError::failed)
    }

    pub(crate) fn user_record(&self, id: UserId) -> Result<Option<UserRecord>, StoreError> {
        let bytes = self.users.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes.map(|bytes| UserRecord::read(id, &bytes)).transpose()
    }
}
