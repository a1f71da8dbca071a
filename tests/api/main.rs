//! The HTTP contract, told as stories over `warp::test`: a temporary store, a clock that the test moves, and no socket.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

mod account;
mod administered_keys;
mod administration;
mod administrators;
mod api_tokens;
mod attributes;
mod audit;
mod authorization;
mod bodies;
mod broken_store;
mod budgets;
mod clock;
mod confirm;
mod device_tokens;
mod ending_roles;
mod events;
mod guard;
mod hang_ups;
mod introspect;
mod invitations;
mod keys;
mod last_administrator;
mod metadata;
mod online;
mod password_reset;
mod recorder;
mod refresh;
mod refresh_tokens;
mod revoke;
mod routes;
mod server;
mod sign_in;
mod sign_up;
mod throttle;
mod throttled;
mod transfer;
