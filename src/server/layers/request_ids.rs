//! Where the ids of requests come from.

use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

use crate::domain::{RequestId, random};

/// The ids of requests: the hash of a count, with a key of its own, so that no id tells another one, or how many there were.
pub(in crate::server) struct RequestIds {
    hash: SipHasher13,
    given: AtomicU64,
}

impl RequestIds {
    pub(in crate::server) fn new() -> Self {
        Self {
            hash: SipHasher13::new_with_key(&random()),
            given: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> RequestId {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        RequestId::new(self.hash.hash(&count.to_ne_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_one_id_and_no_two_servers_the_same_ids() {
        let [one, other] = [RequestIds::new(), RequestIds::new()];
        let given: HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(given.len(), 2000);
    }
}
