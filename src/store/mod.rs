//! What the server remembers: a trait for each noun, and [`Store`], which is all of them. [`open`] picks the backend; nothing
//! outside this room names one.
//!
//! Each method is one transaction, except where it says otherwise: it happens whole or not at all. When a writing method has
//! returned, what it wrote outlives a crash of the process and a power cut. "Not found" is `None` and "taken" is an outcome; a
//! [`StoreError`] means that something broke. No method assumes that this process is the only one, and none holds a transaction
//! open across calls, so a networked database fits behind the same traits and the same contract tests.

mod api_tokens;
mod attempts;
mod backend;
pub mod contract;
mod devices;
mod error;
mod imports;
mod keys;
mod one_time_codes;
mod open;
mod records;
mod sessions;
mod sled;
mod trail;
mod users;

pub use self::{
    api_tokens::{AcceptedApiToken, ApiTokenCreation, ApiTokens},
    attempts::{Attempts, KeptAttempts},
    backend::{Store, StoreCounts},
    devices::Devices,
    error::{OpenError, StoreError},
    imports::{Import, ImportCommit, Imports, MAX_STAGED, Staging},
    keys::{KeyMaterial, KeyRingUpdate, Keys, StoredRing},
    one_time_codes::{InvitationRedemption, OneTimeCodes, ResetCodeCreation},
    open::{exists, open},
    sessions::{Accepted, Kept, LiveSession, Outdated, Sessions},
    trail::AuditTrail,
    users::{
        MAX_NETWORKS, PasswordReplacement, PasswordReset, UserCreation, UserDeletion, UserUpdate, Users,
    },
};
