//! `/admin/keys`: lists the signing keys and nothing secret of them, and replaces the one that signs.

use serde::Serialize;
use warp::{Filter, Reply, reply::Response};

use super::administration::{Administration, Asked};
use crate::{
    auth::{KeyRotation, KeySource},
    domain::{KeyRing, KeyState, RingKey},
    http::{
        endpoint::{Endpoint, endpoint, on},
        error::ApiError,
        field::FieldProblem,
        fields::{Fields, fields},
        method::{GET, POST},
        trace::note,
    },
};

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    endpoint("/admin/keys", on(GET, administration.asked().then(list)))
}

pub(super) fn rotate_route(administration: &Administration) -> impl Endpoint + use<> {
    let rotate = administration
        .asked()
        .and(fields(administration.settings()))
        .then(rotate);
    endpoint("/admin/keys/rotate", on(POST, rotate))
}

#[derive(Serialize)]
struct Key<'a> {
    id: &'a str,
    algorithm: &'static str,
    state: &'static str,
    source: &'static str,
    /// Whether other services can have fetched its public half.
    published: bool,
    created_at: String,
    /// `None` if the server signed with it from its first start on.
    signs_from: Option<String>,
    signs_until: Option<String>,
    /// `None` as long as no other key has taken over.
    verifies_until: Option<String>,
}

impl<'a> Key<'a> {
    fn of(key: &'a RingKey<KeySource>, state: KeyState) -> Self {
        Self {
            id: &key.id,
            algorithm: key.algorithm.as_str(),
            state: match state {
                KeyState::Next => "next",
                KeyState::Signing => "signing",
                KeyState::Verifying => "verifying",
            },
            source: match key.material {
                KeySource::Made => "database",
                KeySource::Given => "settings",
            },
            published: key.published && key.algorithm.has_public_keys(),
            created_at: key.created_at.to_string(),
            signs_from: (key.signs_from.as_secs() > 0).then(|| key.signs_from.to_string()),
            signs_until: key.signs_until.map(|end| end.to_string()),
            verifies_until: key.verifies_until().map(|end| end.to_string()),
        }
    }

    fn all(keys: &'a KeyRing<KeySource>, state: impl Fn(&RingKey<KeySource>) -> KeyState) -> Vec<Self> {
        keys.keys().iter().map(|key| Self::of(key, state(key))).collect()
    }
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: Vec<Key<'a>>,
}

async fn list(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, ..) = asked.allowed()?;
    let (keys, now) = accounts.keys().await?;
    let keys = Key::all(&keys, |key| key.state(now));
    Ok(warp::reply::json(&Keys { keys }).into_response())
}

/// What a rotation did.
#[derive(Serialize)]
struct Rotation<'a> {
    keys: Vec<Key<'a>>,
    /// Whether nothing was changed, because a new key was waiting already.
    waiting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_api_tokens: Option<usize>,
}

async fn rotate(asked: Asked, fields: Result<Fields, ApiError>) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.confirmed().await?;
    let mut fields = fields?;
    let now = fields.take_flag("now");
    let revoke = fields.take_flag("revoke");
    let api_tokens = fields.take_flag("api_tokens");
    let wanted = now.zip(revoke).zip(api_tokens);
    let rotation = wanted.and_then(|((now, revoke), api_tokens)| match (now, revoke, api_tokens) {
        (true, true, _) => {
            fields.refuse("now", &BadRotation::NowAndRevoke);
            None
        }
        (_, false, true) => {
            fields.refuse("revoke", &BadRotation::ApiTokensAlone);
            None
        }
        (_, true, api_tokens) => Some(KeyRotation::Revoke { api_tokens }),
        (true, false, _) => Some(KeyRotation::Now),
        (false, false, _) => Some(KeyRotation::Ahead),
    });
    let rotation = fields.finish(rotation)?;
    let rotated = accounts.rotate_keys(rotation, actor, &context).await;
    let rotated = rotated.map_err(|error| ApiError::Refused(error.into()))?;
    let now = accounts.now();
    let answer = Rotation {
        keys: Key::all(&rotated.keys, |key| key.state(now)),
        waiting: rotated.waiting,
        ended_sessions: rotated.ended,
        ended_api_tokens: rotated.ended_api_tokens,
    };
    let answer = warp::reply::json(&answer).into_response();
    Ok(note(answer, |trace| trace.changed = !rotated.waiting))
}

/// Why there is no such rotation.
#[derive(Debug, thiserror::Error)]
enum BadRotation {
    #[error("A revocation takes effect at once. Send now or revoke, not both.")]
    NowAndRevoke,
    #[error("API tokens end only with revoke.")]
    ApiTokensAlone,
}

impl FieldProblem for BadRotation {
    fn code(&self) -> &'static str {
        match self {
            Self::NowAndRevoke => "one_at_a_time",
            Self::ApiTokensAlone => "required",
        }
    }
}
