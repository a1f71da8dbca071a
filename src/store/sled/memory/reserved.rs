//! The usernames that an import has staged, until it has ended. The committing thread asks here before it gives a name to
//! another user.

use std::{
    collections::HashMap,
    hash::Hasher,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use siphasher::sip::SipHasher13;

use crate::domain::random;

/// The names of the import that is going on, if there is one.
pub(crate) struct ReservedNames {
    /// A name is kept as its hash, which takes a third of the memory. The key is random, so no choice of names makes two share one.
    hasher: SipHasher13,
    last: AtomicU64,
    import: Mutex<Option<Reserved>>,
}

/// The number of an import, by which a write of an earlier one is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImportNumber(u64);

struct Reserved {
    number: ImportNumber,
    /// Whether the user of each name is no administrator afterwards.
    names: HashMap<u64, bool>,
    is_decided: bool,
}

impl Default for ReservedNames {
    fn default() -> Self {
        let key: [u8; 16] = random();
        Self {
            hasher: SipHasher13::new_with_key(&key),
            last: AtomicU64::new(0),
            import: Mutex::new(None),
        }
    }
}

impl ReservedNames {
    /// Begins an import without names. Returns `None` if one is going on.
    pub(crate) fn begin(&self) -> Option<ImportNumber> {
        let mut import = self.lock();
        if import.is_some() {
            return None;
        }
        let number = ImportNumber(self.last.fetch_add(1, Ordering::Relaxed));
        *import = Some(Reserved {
            number,
            names: HashMap::new(),
            is_decided: false,
        });
        Some(number)
    }

    /// Reserves a name. Does nothing if the import has ended.
    pub(crate) fn add(&self, number: ImportNumber, name: &str, ends_administration: bool) {
        if let Some(import) = self.lock().as_mut().filter(|import| import.number == number) {
            import
                .names
                .insert(self.hash(name.as_bytes()), ends_administration);
        }
    }

    /// Whether a name is reserved.
    pub(crate) fn has(&self, name: &str) -> bool {
        let import = self.lock();
        import
            .as_ref()
            .is_some_and(|import| import.names.contains_key(&self.hash(name.as_bytes())))
    }

    /// Whether it is decided that the user with this name is going to be no administrator.
    pub(crate) fn ends_administration_of(&self, name: &[u8]) -> bool {
        let import = self.lock();
        import.as_ref().is_some_and(|import| {
            import.is_decided && import.names.get(&self.hash(name)).copied().unwrap_or(false)
        })
    }

    /// Notes whether the import is decided.
    pub(crate) fn decide(&self, is_decided: bool) {
        if let Some(import) = self.lock().as_mut() {
            import.is_decided = is_decided;
        }
    }

    /// Ends the import and releases its names.
    pub(crate) fn end(&self, number: ImportNumber) {
        self.lock().take_if(|import| import.number == number);
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher;
        hasher.write(name);
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reserved>> {
        // Each use leaves it whole.
        self.import.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_write_of_an_ended_import_reserves_nothing() {
        let names = ReservedNames::default();
        let first = names.begin().unwrap();
        assert_eq!(names.begin(), None);
        names.add(first, "ada", true);
        assert!(names.has("ada") && !names.ends_administration_of(b"ada"));
        names.decide(true);
        assert!(names.ends_administration_of(b"ada") && !names.ends_administration_of(b"bob"));
        names.end(first);
        assert!(!names.has("ada"));
        let second = names.begin().unwrap();
        names.add(first, "ada", false);
        names.end(first);
        assert!(!names.has("ada") && names.begin().is_none());
        names.add(second, "bob", false);
        assert!(names.has("bob"));
    }
}
