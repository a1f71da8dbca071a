//! At which place of the table each thing is remembered. A keyed hash picks the place.

use siphasher::sip::SipHasher13;

use crate::domain::Network;

/// How many kinds of places the table has.
pub(super) const KINDS: u32 = 6;
/// How many places there are of each kind. If every guess that four hashing threads have time for in a day went to another
/// name, each place would get some twenty.
pub(super) const PLACES_EACH: u32 = 1 << 16;

/// What the table holds, in this order.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// By account: the line of its strangers.
    Line,
    /// By account and network: a stranger's place in the line.
    Place,
    /// By account and network: the failures of who is no stranger.
    Known,
    /// By network: what it has left.
    Bucket,
    /// By user: how many tokens that are none they may still ask about.
    ForeignTokens,
    /// By account: how many of the failures in its line are its own.
    Own,
}

/// Where what is remembered of a stranger at an account stands in the table.
#[derive(Clone, Copy)]
pub(super) struct InLine {
    pub(super) line: u32,
    pub(super) place: u32,
    pub(super) own: u32,
}

/// Where a name and a network stand in a table.
#[expect(clippy::cast_possible_truncation, reason = "any 16 bits of a hash will do")]
pub(super) fn place(hash_key: &[u8; 16], kind: Kind, name: &str, network: Option<Network>) -> u32 {
    let mut text = vec![kind as u8];
    text.extend_from_slice(name.as_bytes());
    // No name has such a byte, so no two pairs look the same.
    text.push(0);
    text.extend(network.map(Network::to_bytes).unwrap_or_default());
    let hash = SipHasher13::new_with_key(hash_key).hash(&text);
    kind as u32 * PLACES_EACH + hash as u32 % PLACES_EACH
}
