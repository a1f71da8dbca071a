//! What the process reports of itself: the log. It does not know what is served; a command installs it at its start.

mod log;

pub(crate) use self::log::install;
