//! Values that exist only valid, and the pure rules over them. Untrusted text becomes one of these types at the edge, or an
//! error that says what to change; no code below the edge checks it again. This room does not know HTTP, storage or
//! cryptography.

mod algorithm;
mod api_token;
mod attempts;
mod attributes;
mod bearer;
mod block;
mod client;
mod device;
mod ids;
mod imported_user;
mod key_ring;
mod known_device;
mod moment;
mod name;
mod one_time_code;
mod page;
mod password;
mod request;
mod role;
mod rotation;
mod session;
mod token;
mod token_hash;
mod user;
mod user_query;
mod user_roles;
mod username;

pub use algorithm::Algorithm;
pub use api_token::ApiToken;
pub use attempts::{
    FORGOTTEN_AFTER, FailedAttempts, LONGEST_LINE, LinePolicy, MAX_FAILURES, admit_stranger, call_stranger,
    forgive, next_turn, readmit_stranger,
};
pub use attributes::{AttributeError, AttributeValue, Attributes};
pub use bearer::BearerToken;
pub use block::Block;
pub use client::{Client, ClientAddress, Network, NetworkError};
pub use device::Device;
pub(crate) use ids::random;
pub use ids::{ApiTokenId, InvalidId, InvitationId, SessionId, TokenId, UserId};
pub use imported_user::{ImportedUser, UserField};
pub use key_ring::{KeyRing, KeyState, RingKey};
pub use known_device::{DeviceSignIn, KnownDevice, KnownDevices, MAX_DEVICES};
pub use moment::{MomentError, moment};
pub use name::{ApiTokenName, DisplayName, NameError};
pub use one_time_code::{
    CodeLifetime, CodeLifetimeError, Invitation, InvitationCursor, InvitationPage, InvitationQuery,
    MAX_INVITATIONS, Maker, ResetCode,
};
pub use page::PageLimit;
pub use password::{MAX_PASSWORD_BYTES, Password, PasswordError, PasswordHash};
pub use request::{RequestContext, RequestId};
pub use role::{Role, RoleError, Roles};
pub use rotation::RefreshTokenOutcome;
pub use session::{CONFIRMED_FOR, MAX_ACCEPTED, Refresh, Session, is_confirmed};
pub use token::{RefreshGrant, TokenPolicy, TokenRecord, Whitelist, WhitelistEntry};
pub use token_hash::{ApiTokenHash, DeviceTokenHash, InvitationHash, ResetCodeHash};
pub use user::{SharedUser, User, UserChange};
pub use user_query::{UserCursor, UserPage, UserQuery};
pub use user_roles::UserRoles;
pub use username::{Username, UsernameError, UsernamePrefix};
