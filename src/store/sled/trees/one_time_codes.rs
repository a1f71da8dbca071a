//! Reads and writes of the trees of one-time codes, and of the confirmations of sessions.
//!
//! The tree `codes` says where each code is. Its key is one byte, `i` for an invitation and `r` for a reset code, and the SHA-256
//! of the code's text. Its value is the id of the invitation or of the user, 16 bytes, and when the code expires, in seconds, a
//! `u64`, big endian. Only the record there decides whether the code is accepted. So a reset code ends with its place in the
//! user's record: a new password, or a disabled or deleted user, leaves none. What then still leads there is removed when it
//! expires.

use std::ops::Bound;

use sled::{Batch, transaction::Transactional};

use super::{Trees, transaction_failed};
use crate::{
    clock::Timestamp,
    domain::{
        CONFIRMED_FOR, Invitation, InvitationCursor, InvitationHash, InvitationId, InvitationPage,
        InvitationQuery, Maker, ResetCode, ResetCodeHash, SessionId, User, UserId,
    },
    store::{
        error::StoreError,
        one_time_codes::ResetCodeCreation,
        records::{format, invitation::InvitationRecord},
    },
};

/// The key of a code in the tree `codes`.
type CodeKey = [u8; 33];
/// Codes to remove together: each key, with the invitation if it is one's.
pub(crate) type Over = Vec<(CodeKey, Option<InvitationId>)>;

const INVITATION: u8 = b'i';
const RESET: u8 = b'r';

fn key(kind: u8, hash: &[u8; 32]) -> CodeKey {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(hash);
    key
}

pub(crate) fn key_of_invitation(hash: InvitationHash) -> CodeKey {
    key(INVITATION, hash.as_bytes())
}

pub(crate) fn key_of_reset_code(hash: ResetCodeHash) -> CodeKey {
    key(RESET, hash.as_bytes())
}

/// The value of a code in the tree `codes`: the id of what it belongs to, and when it expires.
struct Pointer {
    id: [u8; 16],
    expires_at: Timestamp,
}

impl Pointer {
    fn write(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..].copy_from_slice(&self.expires_at.as_secs().to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let bytes: [u8; 24] = format::fixed(bytes, "one-time code")?;
        Ok(Self {
            id: format::fixed(&bytes[..16], "one-time code")?,
            expires_at: Timestamp::from_secs(format::counter(Some(&bytes[16..]))?),
        })
    }
}

/// Reads an entry of the tree `codes`: its key, the invitation if it is one's, and when it expires.
fn entry(key: &[u8], value: &[u8]) -> Result<(CodeKey, Option<InvitationId>, Timestamp), StoreError> {
    let (key, pointer): (CodeKey, _) = (format::fixed(key, "one-time code")?, Pointer::read(value)?);
    let invitation = (key[0] == INVITATION).then(|| InvitationId::from_bytes(pointer.id));
    Ok((key, invitation, pointer.expires_at))
}

impl Trees {
    pub(crate) fn put_invitation(&self, invitation: &Invitation) -> Result<(), StoreError> {
        let record = InvitationRecord::write(invitation)?;
        let pointer = Pointer {
            id: *invitation.id.as_bytes(),
            expires_at: invitation.expires_at,
        };
        let done = (&self.invitations, &self.codes).transaction(|(invitations, codes)| {
            invitations.insert(invitation.id.as_bytes(), record.as_slice())?;
            codes.insert(key_of_invitation(invitation.hash).as_slice(), &pointer.write())?;
            Ok(())
        });
        done.map_err(transaction_failed)
    }

    /// Returns how many invitations have not expired by `now`.
    pub(crate) fn count_invitations(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut count = 0;
        for found in self.codes.scan_prefix([INVITATION]) {
            let (_, value) = found.map_err(StoreError::failed)?;
            count += usize::from(now < Pointer::read(&value)?.expires_at);
        }
        Ok(count)
    }

    pub(crate) fn invitation_by_id(&self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        let bytes = self.invitations.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| InvitationRecord::read(id.as_bytes(), &bytes))
            .transpose()
    }

    /// Returns the invitation with this hash if it is accepted at `now`.
    pub(crate) fn invitation(
        &self,
        hash: InvitationHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let Some(id) = self.where_code_leads(&key_of_invitation(hash))? else {
            return Ok(None);
        };
        let found = self.invitation_by_id(InvitationId::from_bytes(id))?;
        let found = found.filter(|found| found.hash == hash && now < found.expires_at);
        match found {
            Some(invitation) if self.is_vouched_for(invitation.made_by, now)? => Ok(Some(invitation)),
            _ => Ok(None),
        }
    }

    /// Returns the page that `query` asks for of the invitations that have not expired by `now`.
    pub(crate) fn list_invitations(
        &self,
        query: InvitationQuery,
        now: Timestamp,
    ) -> Result<InvitationPage, StoreError> {
        let after = query.after.map(|cursor| *cursor.id().as_bytes());
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = InvitationPage::default();
        for entry in self.invitations.range::<&[u8; 16], _>((from, Bound::Unbounded)) {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let invitation = InvitationRecord::read(&key, &value)?;
            if invitation.expires_at <= now {
                continue;
            }
            if page.invitations.len() == query.limit.get() {
                page.next = page
                    .invitations
                    .last()
                    .map(|last| InvitationCursor::behind(last.id));
                break;
            }
            page.invitations.push(invitation);
        }
        Ok(page)
    }

    /// Writes the reset code in place of the user's earlier one.
    pub(crate) fn put_reset_code(
        &self,
        code: &ResetCode,
        verified: Option<u32>,
    ) -> Result<ResetCodeCreation, StoreError> {
        let Some(mut record) = self.user_record(code.user)? else {
            return Ok(ResetCodeCreation::NoSuchUser);
        };
        let user = record.user(code.user)?;
        if verified.is_some_and(|version| version != user.password_version) {
            return Ok(ResetCodeCreation::NoSuchUser);
        }
        if user.disabled {
            return Ok(ResetCodeCreation::Disabled);
        }
        let earlier = record.reset_code(code.user)?;
        record.put_reset_code(code);
        let record = record.write()?;
        let pointer = Pointer {
            id: *code.user.as_bytes(),
            expires_at: code.expires_at,
        };
        let done = (&self.users, &self.codes).transaction(|(users, codes)| {
            users.insert(code.user.as_bytes(), record.as_slice())?;
            if let Some(earlier) = &earlier {
                codes.remove(key_of_reset_code(earlier.hash).as_slice())?;
            }
            codes.insert(key_of_reset_code(code.hash).as_slice(), &pointer.write())?;
            Ok(ResetCodeCreation::Created)
        });
        done.map_err(transaction_failed)
    }

    /// Returns the user whose reset code has this hash, if it is accepted at `now`.
    pub(crate) fn holder_of_reset_code(
        &self,
        hash: ResetCodeHash,
        now: Timestamp,
    ) -> Result<Option<User>, StoreError> {
        let Some(id) = self.where_code_leads(&key_of_reset_code(hash))? else {
            return Ok(None);
        };
        let id = UserId::from_bytes(id);
        let Some(record) = self.user_record(id)? else {
            return Ok(None);
        };
        let code = record.reset_code(id)?;
        let code = code.filter(|code| code.hash == hash && now < code.expires_at);
        match code {
            Some(code) if self.is_vouched_for(code.made_by, now)? => record.user(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns up to `at_most` codes that have expired by `now`.
    pub(crate) fn expired_codes(&self, now: Timestamp, at_most: usize) -> Result<Over, StoreError> {
        let mut over = Over::new();
        for found in &self.codes {
            if over.len() == at_most {
                break;
            }
            let (key, value) = found.map_err(StoreError::failed)?;
            let (key, invitation, expires_at) = entry(&key, &value)?;
            if expires_at <= now {
                over.push((key, invitation));
            }
        }
        Ok(over)
    }

    /// Returns every invitation that was made after `moment`, and every reset code.
    pub(crate) fn codes_made_after(&self, moment: Timestamp) -> Result<Over, StoreError> {
        let mut over = Over::new();
        for found in &self.codes {
            let (key, value) = found.map_err(StoreError::failed)?;
            let (key, invitation, _) = entry(&key, &value)?;
            let stays = match invitation {
                Some(id) => self
                    .invitation_by_id(id)?
                    .is_some_and(|found| found.created_at <= moment),
                None => false,
            };
            if !stays {
                over.push((key, invitation));
            }
        }
        Ok(over)
    }

    /// Removes these codes.
    pub(crate) fn remove_codes(&self, over: &[(CodeKey, Option<InvitationId>)]) -> Result<(), StoreError> {
        let done = (&self.invitations, &self.codes).transaction(|(invitations, codes)| {
            for (key, invitation) in over {
                codes.remove(key.as_slice())?;
                if let Some(id) = invitation {
                    invitations.remove(id.as_bytes())?;
                }
            }
            Ok(())
        });
        done.map_err(transaction_failed)
    }

    pub(crate) fn put_confirmation(&self, session: SessionId, now: Timestamp) -> Result<(), StoreError> {
        super::put(
            &self.confirmations,
            session.as_bytes(),
            &now.as_secs().to_be_bytes(),
        )
    }

    pub(crate) fn confirmation(&self, session: SessionId) -> Result<Option<Timestamp>, StoreError> {
        let bytes = self.confirmations.get(session.as_bytes());
        let bytes = bytes.map_err(StoreError::failed)?;
        let seconds = bytes.map(|bytes| format::counter(Some(&bytes))).transpose()?;
        Ok(seconds.map(Timestamp::from_secs))
    }

    /// Returns up to `at_most` sessions whose confirmations no longer count at `now`.
    pub(crate) fn old_confirmations(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut old = Vec::new();
        for entry in &self.confirmations {
            if old.len() == at_most {
                break;
            }
            let (key, value) = entry.map_err(StoreError::failed)?;
            let at = Timestamp::from_secs(format::counter(Some(&value))?);
            if at.plus(CONFIRMED_FOR) <= now {
                old.push(SessionId::from_bytes(format::fixed(&key, "session id")?));
            }
        }
        Ok(old)
    }

    pub(crate) fn remove_confirmations(&self, old: &[SessionId]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for session in old {
            batch.remove(session.as_bytes().as_slice());
        }
        self.confirmations.apply_batch(batch).map_err(StoreError::failed)
    }

    /// The id of what the code with this key belongs to.
    fn where_code_leads(&self, key: &CodeKey) -> Result<Option<[u8; 16]>, StoreError> {
        let bytes = self.codes.get(key).map_err(StoreError::failed)?;
        let pointer = bytes.map(|bytes| Pointer::read(&bytes)).transpose()?;
        Ok(pointer.map(|pointer| pointer.id))
    }

    fn is_vouched_for(&self, made_by: Option<Maker>, now: Timestamp) -> Result<bool, StoreError> {
        let Some(maker) = made_by else {
            return Ok(true);
        };
        let user = self.user(maker.user)?;
        Ok(user.is_some_and(|user| user.vouches_as(maker, now)))
    }
}
