//! How many connections are open: in all, and from one network. The first makes the next connection wait; the second closes
//! it, because one network that takes more than its share would make all others wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Network;

/// The bounds, and what is taken of them.
pub(super) struct ConnectionLimits {
    free: Arc<Semaphore>,
    by_network: Arc<Mutex<HashMap<Network, usize>>>,
    most_by_network: usize,
}

/// Permission for one connection, given back when this is dropped.
pub(super) struct ConnectionPermit {
    _free: OwnedSemaphorePermit,
    by_network: Arc<Mutex<HashMap<Network, usize>>>,
    network: Option<Network>,
}

impl ConnectionLimits {
    /// At most `most` connections, and at most `most_by_network` of one network.
    pub(super) fn new(most: usize, most_by_network: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            by_network: Arc::default(),
            most_by_network,
        }
    }

    /// Waits until there is room for one more connection.
    #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        let free = Arc::clone(&self.free).acquire_owned().await;
        free.expect("the semaphore is never closed")
    }

    /// Gives the room to a connection from `network`. Returns `None` if that network has its share already. A connection
    /// without a network has no share to exceed: that of a trusted proxy, which speaks for many clients.
    pub(super) fn take(
        &self,
        free: OwnedSemaphorePermit,
        network: Option<Network>,
    ) -> Option<ConnectionPermit> {
        if let Some(network) = network {
            let mut taken = lock(&self.by_network);
            let taken = taken.entry(network).or_default();
            if *taken >= self.most_by_network {
                return None;
            }
            *taken += 1;
        }
        Some(ConnectionPermit {
            _free: free,
            by_network: Arc::clone(&self.by_network),
            network,
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut taken = lock(&self.by_network);
        if let Some(count) = taken.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&network);
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<Network, usize>>) -> MutexGuard<'_, HashMap<Network, usize>> {
    // Each use leaves the map whole.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_network_has_its_share_and_gets_it_back() {
        let limits = ConnectionLimits::new(10, 2);
        let take = async |address: &str| {
            let free = limits.free().await;
            limits.take(free, Some(Network::of(address.parse().unwrap())))
        };
        let (first, second) = (take("192.0.2.1").await, take("::ffff:192.0.2.1").await);
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").await.is_none());
        assert!(take("192.0.2.2").await.is_some());
        let (third, fourth) = (take("2001:db8::1").await, take("2001:db8::2").await);
        assert!(take("2001:db8::3").await.is_none(), "the same network");
        assert!(take("2001:db8:0:1::3").await.is_some(), "another network");
        for _ in 0..3 {
            let free = limits.free().await;
            assert!(limits.take(free, None).is_some());
        }
        drop(first);
        assert!(take("192.0.2.1").await.is_some());
        drop((second, third, fourth));
        assert!(lock(&limits.by_network).is_empty());
        assert_eq!(limits.free.available_permits(), 10);
    }
}
