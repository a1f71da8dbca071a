//! What the token check reads: live sessions, API tokens and their users, in memory. It knows nothing of the disk.

pub(crate) mod index;
pub(crate) mod indexed_session;
pub(crate) mod live_tokens;
pub(crate) mod loading;
pub(crate) mod reserved;
pub(crate) mod waiting;
