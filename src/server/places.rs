//! How many connections are open: in all, and from one address. The first makes the next one wait; the second turns it
//! away, because a single address that wants more than its share would make everybody else wait.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) struct Places {
    free: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most_by_address: usize,
}

/// One connection's place, given back when this is dropped.
pub(super) struct Place {
    _free: OwnedSemaphorePermit,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(most: usize, most_by_address: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            by_address: Arc::default(),
            most_by_address,
        }
    }

    /// Waits until there is a place for somebody.
    #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        let free = Arc::clone(&self.free).acquire_owned().await;
        free.expect("the places are never closed")
    }

    /// Gives the free place to `address`; `None` if that has its share already. Of a proxy that is trusted, which speaks for
    /// many, there is no share: it comes without an address.
    pub(super) fn take(&self, free: OwnedSemaphorePermit, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(network);
        if let Some(address) = address {
            let mut taken = lock(&self.by_address);
            let taken = taken.entry(address).or_default();
            if *taken >= self.most_by_address {
                return None;
            }
            *taken += 1;
        }
        Some(Place {
            _free: free,
            by_address: Arc::clone(&self.by_address),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = lock(&self.by_address);
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, which any single customer has to himself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn lock(taken: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Each use leaves the map whole.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_its_share_and_gets_it_back() {
        let places = Places::new(10, 2);
        let take = async |address: &str| {
            let free = places.free().await;
            places.take(free, Some(address.parse().unwrap()))
        };
        let (first, second) = (take("192.0.2.1").await, take("::ffff:192.0.2.1").await);
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").await.is_none());
        assert!(take("192.0.2.2").await.is_some());
        let (third, fourth) = (take("2001:db8::1").await, take("2001:db8::2").await);
        assert!(take("2001:db8::3").await.is_none(), "the same network");
        assert!(take("2001:db8:0:1::3").await.is_some(), "another network");
        for _ in 0..3 {
            let free = places.free().await;
            assert!(places.take(free, None).is_some());
        }
        drop(first);
        assert!(take("192.0.2.1").await.is_some());
        drop((second, third, fourth));
        assert!(lock(&places.by_address).is_empty());
        assert_eq!(places.free.available_permits(), 10);
    }
}
