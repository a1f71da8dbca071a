//! The verbs of the server, in the words of the domain: sign up, sign in, authenticate, refresh, log out, and the rest. Only this
//! room makes a [`Principal`] and a [`SignedIn`]. It does not know HTTP.

mod accounts;
mod api_tokens;
mod budget;
mod device;
mod error;
mod follow_clock;
mod handle;
mod import_report;
mod introspect;
mod issue;
mod jwks;
mod limits;
mod my_account;
mod new_session;
mod parts;
mod password_check;
mod principal;
mod redeem;
mod refresh;
mod revoke;
mod rotate_keys;
mod sessions;
mod sign_up;
mod signed_in;
mod signing_keys;
mod upkeep;

pub use self::{
    accounts::{Accounts, IssuedInvitation, IssuedResetCode, NewInvitation, SetPassword, WaitingPage},
    api_tokens::{IssuedApiToken, NewApiToken},
    device::DeviceClaim,
    error::{ApiTokenRejection, AuthError, CredentialsRefusal, RotationError, StartError},
    handle::Auth,
    import_report::{ImportOptions, ImportReport, LineReport, NAMED_LINES, OnConflict},
    introspect::Introspection,
    issue::{IssuedRefreshToken, IssuedToken},
    jwks::Jwks,
    my_account::{Ending, PasswordChange},
    parts::Parts,
    principal::Principal,
    redeem::Reset,
    sessions::Credentials,
    signed_in::SignedIn,
    signing_keys::{KeyRotation, KeySource, KeyStatus, Rotated},
};
pub use crate::{
    passwords::PasswordRejection,
    throttle::{Axis, Wait, Waiting},
    tokens::{Audience, TokenRefusal},
};
