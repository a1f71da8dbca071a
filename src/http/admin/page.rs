//! Which page of a list a request asks for.

use crate::{domain::PageLimit, http::field::FieldProblem};

/// The parameter `limit`.
pub(super) fn limit(text: &str) -> Result<PageLimit, BadPage> {
    let limit = text.parse().ok().and_then(PageLimit::new);
    limit.ok_or(BadPage::Limit)
}

/// Why there is no such page.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPage {
    #[error("This must be the next of an earlier answer.")]
    Cursor,
    #[error("This must be a whole number from 1 to {}.", PageLimit::MAX.get())]
    Limit,
}

impl FieldProblem for BadPage {
    fn code(&self) -> &'static str {
        match self {
            Self::Cursor => "bad_cursor",
            Self::Limit => "out_of_range",
        }
    }
}
