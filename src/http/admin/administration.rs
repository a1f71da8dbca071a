//! What the routes of the administration work with, and who may use them.

use std::{convert::Infallible, future};

use warp::{Filter, Rejection};

use crate::{
    auth::Accounts,
    domain::RequestContext,
    event::Actor,
    http::{
        context::context,
        error::ApiError,
        settings::{ApiSettings, CurrentSettings},
        trace,
    },
};

/// The administration of some accounts. Cheap to clone.
#[derive(Clone)]
pub struct Administration {
    accounts: Accounts,
    settings: CurrentSettings,
    owner: u32,
}

/// Who sends a request to the administration, where no socket tells: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The id of the user of the operating system.
    pub uid: u32,
}

impl Administration {
    /// The administration of `accounts`, with these settings, for root and for the user of the operating system whose id is
    /// `owner`.
    #[must_use]
    pub fn new(accounts: Accounts, settings: impl Into<ApiSettings>, owner: u32) -> Self {
        Self {
            accounts,
            settings: CurrentSettings::new(settings.into()),
            owner,
        }
    }

    /// The user for whom this administration is.
    pub(super) fn own_operator(&self) -> Operator {
        Operator { uid: self.owner }
    }

    pub(super) fn settings(&self) -> &CurrentSettings {
        &self.settings
    }

    /// Hands a handler the accounts and who asks.
    pub(super) fn asked(&self) -> impl Filter<Extract = (Asked,), Error = Rejection> + Clone + use<> {
        let (accounts, owner) = (self.accounts.clone(), self.owner);
        operator(owner).and(context()).and_then(move |actor, context| {
            let asked = Asked {
                accounts: accounts.clone(),
                actor,
                context,
            };
            future::ready(Ok::<_, Rejection>(asked))
        })
    }
}

/// A request to the administration.
pub(super) struct Asked {
    accounts: Accounts,
    actor: Result<Actor, ApiError>,
    pub(super) context: RequestContext,
}

impl Asked {
    /// The accounts, and the actor, who may work on them.
    ///
    /// Fails with [`ApiError::NotFound`] if the request comes from elsewhere: there is no administration for it.
    pub(super) fn allowed(&self) -> Result<(&Accounts, Actor), ApiError> {
        match &self.actor {
            Ok(actor) => Ok((&self.accounts, *actor)),
            Err(_) => Err(ApiError::NotFound),
        }
    }
}

/// The operator, if that is root or `owner`.
fn operator(owner: u32) -> impl Filter<Extract = (Result<Actor, ApiError>,), Error = Infallible> + Copy {
    warp::ext::optional::<Operator>().map(move |given: Option<Operator>| {
        let uid = trace::peer_uid().or(given.map(|operator| operator.uid));
        let uid = uid.filter(|uid| *uid == 0 || *uid == owner);
        let uid = uid.ok_or(ApiError::NotFound)?;
        Ok(Actor::Operator { uid: Some(uid) })
    })
}
