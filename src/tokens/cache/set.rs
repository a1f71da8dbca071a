//! The tokens that share one hash: sixteen places for a token, and what is known of it.

use std::{
    mem,
    sync::{Arc, RwLock},
};

use triomphe::ThinArc;

use crate::{clock::Timestamp, store::LiveSession, tokens::claims::VerifiedClaims};

/// How many tokens share one hash.
pub(super) const WAYS: usize = 16;

/// The key ring that a token was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tokens) struct Generation(pub(super) u64);

/// What a token was found to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tokens) struct Known {
    pub(in crate::tokens) said: VerifiedClaims,
    /// The first second at which the token or its key is no longer valid.
    pub(in crate::tokens) good_until: Timestamp,
    pub(in crate::tokens) generation: Generation,
}

/// The tokens that share one hash, aligned to a cache line of the processor.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Set(pub(super) RwLock<Places>);

/// In this order the tags share a cache line with the lock in front of them.
#[derive(Default)]
#[repr(C)]
pub(super) struct Places {
    /// Another part of each token's hash.
    tags: [u16; WAYS],
    pub(super) entries: [Option<Entry>; WAYS],
    /// The session of each, which says whether it is accepted, if the store has that in memory.
    pub(super) sessions: [Option<Arc<dyn LiveSession>>; WAYS],
    /// Which place is evicted next.
    next: usize,
}

/// A token's text, behind what is known of it, in one allocation with one owner.
pub(super) type Entry = ThinArc<Known, u8>;

impl Places {
    /// Where `token` is.
    pub(super) fn find(&self, tag: u16, token: &[u8]) -> Option<usize> {
        (0..WAYS).find(|&at| {
            self.tags[at] == tag
                && self.entries[at].as_ref().is_some_and(|entry| {
                    // This is most likely the token: its session is prefetched while the text is compared.
                    if let Some(session) = &self.sessions[at] {
                        session.approach();
                    }
                    entry.slice == *token
                })
        })
    }

    /// Puts a token in its present place, or in a free one, or in the next one, and returns what was there.
    pub(super) fn put(
        &mut self,
        tag: u16,
        entry: Entry,
        session: Option<Arc<dyn LiveSession>>,
    ) -> (Option<Entry>, Option<Arc<dyn LiveSession>>) {
        let there = self.find(tag, &entry.slice);
        let there = there.or_else(|| self.entries.iter().position(Option::is_none));
        let at = there.unwrap_or_else(|| {
            let next = self.next;
            self.next = (next + 1) % WAYS;
            next
        });
        self.tags[at] = tag;
        (
            self.entries[at].replace(entry),
            mem::replace(&mut self.sessions[at], session),
        )
    }

    /// Removes the tokens of which `is_useless` says so, and outdated sessions.
    pub(super) fn tidy(&mut self, is_useless: impl Fn(&Known) -> bool) {
        for (entry, session) in self.entries.iter_mut().zip(&mut self.sessions) {
            if entry
                .as_ref()
                .is_some_and(|entry| is_useless(&entry.header.header))
            {
                (*entry, *session) = (None, None);
            } else if session.as_ref().is_some_and(|session| session.is_outdated()) {
                *session = None;
            }
        }
    }
}
