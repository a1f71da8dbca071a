//! An entry of the audit trail as a record. Its place in the trail is its key.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::format::{Record, Version, from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{ApiTokenId, ClientAddress, RequestId, SessionId, UserId, Username},
    event::{Actor, Details, Event, TrailCursor, TrailEntry},
    store::error::StoreError,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct EventRecord {
    /// The version of this form.
    #[serde(default)]
    v: Version,
    at: Timestamp,
    kind: String,
    /// Id and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<(String, Option<String>)>,
    actor: ActorRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    details: Details,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    times: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActorRecord {
    Anonymous,
    User {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_token: Option<String>,
    },
    Operator {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
    },
    Server,
}

/// What pruning reads of a record.
#[derive(Deserialize)]
struct Moment {
    at: Timestamp,
}

const fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_once(times: &u32) -> bool {
    *times == 1
}

impl Record for EventRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl EventRecord {
    /// Writes `event`, which happened so many `times`. `name` finds the names of users.
    pub(crate) fn write(
        event: &Event,
        times: u32,
        mut name: impl FnMut(UserId) -> Result<Option<Username>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let mut text = |id| name(id).map(|name| name.map(|name| name.as_str().to_owned()));
        let subject = match event.subject {
            Some(id) => Some((id.to_string(), text(id)?)),
            None => None,
        };
        let actor = match event.actor {
            Actor::Anonymous => ActorRecord::Anonymous,
            Actor::User {
                id,
                session,
                api_token,
            } => ActorRecord::User {
                id: id.to_string(),
                name: match &subject {
                    Some((_, name)) if event.subject == Some(id) => name.clone(),
                    _ => text(id)?,
                },
                session: session.map(|session| session.to_string()),
                api_token: api_token.map(|token| token.to_string()),
            },
            Actor::Operator { uid } => ActorRecord::Operator { uid },
            Actor::Server => ActorRecord::Server,
        };
        to_json(&Self {
            v: Self::LATEST,
            at: event.at,
            kind: event.kind.name().to_owned(),
            subject,
            actor,
            address: event.context.client.address.map(ClientAddress::ip),
            request_id: event.context.request_id.map(|id| id.as_str().to_owned()),
            details: event.kind.details(),
            times,
        })
    }

    pub(crate) fn read(place: TrailCursor, bytes: &[u8]) -> Result<TrailEntry, StoreError> {
        let what = || format!("event {}", place.number());
        let unreadable = || unreadable(what());
        let record: Self = from_json(bytes, what)?;
        let user = |id: &str| UserId::parse(id).map_err(|_| unreadable());
        let named = |name: Option<String>| match name {
            Some(name) => Username::parse(&name).map(Some).map_err(|_| unreadable()),
            None => Ok(None),
        };
        let (subject, subject_name) = match record.subject {
            Some((id, name)) => (Some(user(&id)?), named(name)?),
            None => (None, None),
        };
        let mut actor_name = None;
        let actor = match record.actor {
            ActorRecord::Anonymous => Actor::Anonymous,
            ActorRecord::User {
                id,
                name,
                session,
                api_token,
            } => {
                actor_name = named(name)?;
                let session = session.map(|session| SessionId::parse(&session)).transpose();
                let api_token = api_token.map(|token| ApiTokenId::parse(&token)).transpose();
                Actor::User {
                    id: user(&id)?,
                    session: session.map_err(|_| unreadable())?,
                    api_token: api_token.map_err(|_| unreadable())?,
                }
            }
            ActorRecord::Operator { uid } => Actor::Operator { uid },
            ActorRecord::Server => Actor::Server,
        };
        let request_id = record.request_id.as_deref().map(RequestId::parse);
        Ok(TrailEntry {
            place,
            at: record.at,
            kind: record.kind,
            subject,
            subject_name,
            actor,
            actor_name,
            address: record.address.map(ClientAddress::new),
            request_id: request_id.map(|id| id.ok_or_else(unreadable)).transpose()?,
            details: record.details,
            times: record.times,
        })
    }

    /// When the event of this record happened. Returns `None` if the record can't be read.
    pub(crate) fn moment(bytes: &[u8]) -> Option<Timestamp> {
        let moment: Option<Moment> = serde_json::from_slice(bytes).ok();
        moment.map(|moment| moment.at)
    }
}
