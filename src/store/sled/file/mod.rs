//! The database directory: who owns it, whether it is whole, and what makes a write in it durable. It knows nothing of what the
//! records mean.

pub(crate) mod database;
pub(crate) mod directory;
pub(crate) mod entries;
pub(crate) mod log_file;
pub(crate) mod open;
pub(crate) mod owner;
pub(crate) mod private;
pub(crate) mod quiet;
pub(crate) mod rescue;
pub(crate) mod staging;
pub(crate) mod tally;
