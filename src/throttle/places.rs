//! At which place of the table the throttle remembers what. A keyed hash picks the place.

use siphasher::sip::SipHasher13;

use crate::domain::Network;

/// How many kinds of places the table has.
pub(super) const KINDS: u32 = 9;
/// How many places there are of each kind. If every guess that four hashing threads can check in a day went to another name,
/// each place would get about twenty.
pub(super) const PLACES_EACH: u32 = 1 << 16;

/// What the table holds, in this order.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// By account: the line of its strangers.
    Line,
    /// By account and network: a stranger's place in the line.
    Place,
    /// By account and network: the failures of clients that are no strangers.
    Known,
    /// By network: the failures that it has left.
    Bucket,
    /// By user: how many more foreign tokens they may ask about.
    ForeignTokens,
    /// By account: how many of the failures in its line are its own.
    Own,
    /// By network: the line of the accounts that are known there.
    AddressLine,
    /// By account and network: an account's place in that line.
    AddressPlace,
    /// By device token: the failures of clients that present it.
    Device,
}

/// The places of a stranger at an account.
#[derive(Clone, Copy)]
pub(super) struct InLine {
    pub(super) line: u32,
    pub(super) place: u32,
    pub(super) own: u32,
}

/// The place of this kind for a name and a network.
#[expect(clippy::cast_possible_truncation, reason = "any 16 bits of a hash will do")]
pub(super) fn place(hash_key: &[u8; 16], kind: Kind, name: &str, network: Option<Network>) -> u32 {
    let mut text = vec![kind as u8];
    text.extend_from_slice(name.as_bytes());
    // No name has this byte, so no two pairs give the same text.
    text.push(0);
    text.extend(network.map(Network::to_bytes).unwrap_or_default());
    let hash = SipHasher13::new_with_key(hash_key).hash(&text);
    kind as u32 * PLACES_EACH + hash as u32 % PLACES_EACH
}
