//! How much of a long list one answer has.

/// How many entries a page of a list has at most: 1 to 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The longest page.
    pub const MAX: Self = Self(500);

    /// The limit of `entries`. Returns `None` if that is zero or more than [`MAX`](Self::MAX).
    #[must_use]
    pub const fn new(entries: u16) -> Option<Self> {
        if entries > 0 && entries <= Self::MAX.0 {
            Some(Self(entries))
        } else {
            None
        }
    }

    /// The number of entries.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Fifty entries.
impl Default for PageLimit {
    fn default() -> Self {
        Self(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_1_to_500_entries_and_50_by_default() {
        for (entries, limit) in [(0, None), (1, Some(1)), (500, Some(500)), (501, None)] {
            assert_eq!(PageLimit::new(entries).map(PageLimit::get), limit);
        }
        assert_eq!(PageLimit::default().get(), 50);
    }
}
