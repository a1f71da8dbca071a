//! The upgrade from the first schema to the present one. The first had an entry for each username (`usernames`: username to user
//! id) and for each network of a user (`networks`: user id and network, 4 or 8 bytes, to a moment).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use sled::Tree;

use super::{Trees, names};
use crate::{
    clock::Timestamp,
    domain::{ClientAddress, Network, UserId},
    store::{error::StoreError, records::format},
};

const USERNAMES: &str = "usernames";
const NETWORKS: &str = "networks";

impl Trees {
    /// Copies what the first schema has elsewhere. It can be repeated after it was cut short: the old trees stay until
    /// [`forget_first_schema`](Self::forget_first_schema).
    pub(crate) fn upgrade(&self) -> Result<(), StoreError> {
        if let Some(usernames) = self.of_first_schema(USERNAMES)? {
            self.take_over_names(&usernames)?;
        }
        if let Some(networks) = self.of_first_schema(NETWORKS)? {
            self.take_over_networks(&networks)?;
        }
        Ok(())
    }

    /// Removes the trees that the present schema does not have.
    pub(crate) fn forget_first_schema(&self) -> Result<(), StoreError> {
        for tree in [USERNAMES, NETWORKS] {
            self.db.drop_tree(tree).map_err(StoreError::failed)?;
        }
        Ok(())
    }

    fn of_first_schema(&self, tree: &str) -> Result<Option<Tree>, StoreError> {
        if !self.db.tree_names().iter().any(|name| name == tree.as_bytes()) {
            return Ok(None);
        }
        self.db.open_tree(tree).map(Some).map_err(StoreError::failed)
    }

    fn take_over_names(&self, usernames: &Tree) -> Result<(), StoreError> {
        let mut places: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        for entry in usernames {
            let (name, id) = entry.map_err(StoreError::failed)?;
            let name = std::str::from_utf8(&name).map_err(|_| format::unreadable("a username"))?;
            let (place, id) = (self.names.place_of(name), format::fixed(&id, "user id")?);
            let rows = places.entry(place.key()).or_default();
            rows.extend(names::row(place, UserId::from_bytes(id)));
        }
        for (place, rows) in places {
            let done = self.names.tree.insert(place, rows);
            done.map_err(StoreError::failed)?;
        }
        Ok(())
    }

    fn take_over_networks(&self, networks: &Tree) -> Result<(), StoreError> {
        for entry in networks {
            let (key, at) = entry.map_err(StoreError::failed)?;
            let (user, network) = key
                .split_first_chunk()
                .and_then(|(user, network)| Some((UserId::from_bytes(*user), read_network(network)?)))
                .ok_or_else(|| format::unreadable("a network"))?;
            let at = Timestamp::from_secs(format::counter(Some(&at))?);
            if self.last_sign_in(user, network)?.is_none_or(|noted| noted < at) {
                self.note_sign_in(user, network, at)?;
            }
        }
        Ok(())
    }
}

fn read_network(bytes: &[u8]) -> Option<Network> {
    let address = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        8 => IpAddr::V6(Ipv6Addr::from(
            u128::from(u64::from_be_bytes(bytes.try_into().ok()?)) << 64,
        )),
        _ => return None,
    };
    Some(ClientAddress::new(address).network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::User,
        store::{records::user::UserRecord, users::UserCreation},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// A database of the first schema with these users, each of whom has signed in from every network.
    fn first_schema(users: &[User], networks: &[Network]) -> Trees {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let tree = |name: &str| db.open_tree(name).unwrap();
        let (old_names, old_networks) = (tree(USERNAMES), tree(NETWORKS));
        for user in users {
            let record = UserRecord::of(user).write().unwrap();
            tree("users").insert(user.id.as_bytes(), record).unwrap();
            old_names
                .insert(user.username.as_str(), user.id.as_bytes().as_slice())
                .unwrap();
            for network in networks {
                let key = [user.id.as_bytes().as_slice(), &network.to_bytes()].concat();
                old_networks
                    .insert(key, NOW.as_secs().to_be_bytes().as_slice())
                    .unwrap();
            }
        }
        let count = (users.len() as u64).to_be_bytes();
        tree("meta").insert("users", count.as_slice()).unwrap();
        Trees::of(db).unwrap()
    }

    #[test]
    fn an_upgrade_keeps_users_names_and_networks() {
        let users: Vec<_> = (0..500)
            .map(|n| User::sample(&format!("user-{n}"), NOW))
            .collect();
        let networks = ["192.0.2.1", "2001:db8:1:2::3"]
            .map(|address| ClientAddress::new(address.parse().unwrap()).network());
        let elsewhere = ClientAddress::new([192, 0, 2, 2].into()).network();
        let trees = first_schema(&users, &networks);
        assert!(!trees.users_are_whole().unwrap());

        // The second time as after an upgrade that was cut short.
        for _ in 0..2 {
            trees.upgrade().unwrap();
            assert!(trees.users_are_whole().unwrap());
        }
        trees.forget_first_schema().unwrap();
        for user in &users {
            assert_eq!(trees.user_by_name(&user.username).unwrap().as_ref(), Some(user));
            for network in networks {
                assert_eq!(trees.last_sign_in(user.id, network).unwrap(), Some(NOW));
            }
            assert_eq!(trees.last_sign_in(user.id, elsewhere).unwrap(), None);
            let another = User::sample(user.username.as_str(), NOW);
            assert_eq!(
                trees.create_user(&another, None).unwrap(),
                UserCreation::UsernameTaken
            );
        }
        assert!(trees.users_are_whole().unwrap());
        let left = trees.db.tree_names();
        assert!(
            !left
                .iter()
                .any(|name| [USERNAMES, NETWORKS].map(str::as_bytes).contains(&name.as_ref())),
            "{left:?}"
        );
        trees.upgrade().unwrap();
        assert!(trees.users_are_whole().unwrap());
    }
}
