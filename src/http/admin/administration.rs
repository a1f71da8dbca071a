//! What the routes of the administration work with, and who may use them.

use std::{convert::Infallible, future};

use warp::{Filter, Rejection, filters::BoxedFilter};

use crate::{
    auth::{Accounts, Auth, Principal},
    domain::{RequestContext, Role, Roles},
    event::Actor,
    http::{
        context::context,
        error::ApiError,
        fields::{Fields, query},
        guard::principal,
        settings::{Api, ApiSettings, CurrentSettings},
        trace,
    },
};

/// The administration of some accounts. Cheap to clone.
#[derive(Clone)]
pub struct Administration {
    accounts: Accounts,
    settings: CurrentSettings,
    callers: Callers,
}

/// Who may use it.
#[derive(Clone)]
enum Callers {
    /// Root, and this user of the operating system.
    Operator { owner: u32 },
    /// The users with the role ADMIN, by their tokens, while the settings say so.
    Administrators(Auth),
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
            callers: Callers::Operator { owner },
        }
    }

    /// The administration for those who administer by their tokens.
    pub(in crate::http) fn of_administrators(api: &Api) -> Self {
        Self {
            accounts: api.auth().accounts().clone(),
            settings: api.current().clone(),
            callers: Callers::Administrators(api.auth().clone()),
        }
    }

    /// The user for whom this administration is, if it is not for administrators.
    pub(super) fn own_operator(&self) -> Option<Operator> {
        match self.callers {
            Callers::Operator { owner } => Some(Operator { uid: owner }),
            Callers::Administrators(_) => None,
        }
    }

    pub(super) fn settings(&self) -> &CurrentSettings {
        &self.settings
    }

    /// Hands a handler the accounts and the actor.
    pub(super) fn asked(&self) -> impl Filter<Extract = (Asked,), Error = Rejection> + Clone + use<> {
        let accounts = self.accounts.clone();
        let is_operator = matches!(self.callers, Callers::Operator { .. });
        let asked = self.caller().and(context()).and(query());
        asked.and_then(move |caller, mut context: RequestContext, query| {
            if is_operator {
                // A socket of this machine has no address, and a command without a server has no socket.
                context.client.address = None;
            }
            let asked = Asked {
                accounts: accounts.clone(),
                caller,
                context,
                query,
            };
            future::ready(Ok::<_, Rejection>(asked))
        })
    }

    /// The actor of the request, or why it is refused.
    fn caller(&self) -> BoxedFilter<(Result<Caller, ApiError>,)> {
        match &self.callers {
            Callers::Operator { owner } => operator(*owner).boxed(),
            Callers::Administrators(auth) => principal(auth).map(administrator).boxed(),
        }
    }
}

/// Who may use the administration.
struct Caller {
    actor: Actor,
    /// What was presented. `None` for the operator.
    principal: Option<Principal>,
}

/// A request to the administration.
pub(super) struct Asked {
    accounts: Accounts,
    caller: Result<Caller, ApiError>,
    context: RequestContext,
    query: Result<Fields, ApiError>,
}

impl Asked {
    /// The accounts, the actor, who may work on them, and the parameters of the query.
    ///
    /// Fails with why they may not.
    pub(super) fn with_query(self) -> Result<(Accounts, Actor, RequestContext, Fields), ApiError> {
        let actor = self.caller?.actor;
        Ok((self.accounts, actor, self.context, self.query?))
    }

    /// The accounts, and the actor, who may work on them. The query must have no parameter: the client would believe that it counts.
    ///
    /// Fails with why they may not.
    pub(super) fn allowed(self) -> Result<(Accounts, Actor, RequestContext), ApiError> {
        let (accounts, actor, context, query) = self.with_query()?;
        query.finish(Some(()))?;
        Ok((accounts, actor, context))
    }

    /// The same for what gives power over an account or can't be undone: a user must have given their password recently.
    ///
    /// Fails with why they may not.
    pub(super) async fn confirmed(self) -> Result<(Accounts, Actor, RequestContext), ApiError> {
        let (accounts, actor, context, confirmation) = self.with_confirmation()?;
        confirmation.required().await?;
        Ok((accounts, actor, context))
    }

    /// As [`allowed`](Self::allowed), with the confirmation that giving some roles asks for.
    ///
    /// Fails with why they may not.
    pub(super) fn with_confirmation(
        self,
    ) -> Result<(Accounts, Actor, RequestContext, Confirmation), ApiError> {
        let principal = match &self.caller {
            Ok(caller) => caller.principal.clone(),
            Err(_) => None,
        };
        let (accounts, actor, context) = self.allowed()?;
        let confirmation = Confirmation {
            accounts: accounts.clone(),
            principal,
        };
        Ok((accounts, actor, context, confirmation))
    }
}

/// What an administrator who has signed in must have done before they give power: given their password recently.
pub(super) struct Confirmation {
    accounts: Accounts,
    /// `None` for the operator, who needs none.
    principal: Option<Principal>,
}

impl Confirmation {
    /// Fails if the confirmation is missing.
    pub(super) async fn required(&self) -> Result<(), ApiError> {
        if let Some(principal) = &self.principal {
            self.accounts.confirmed_recently(principal).await?;
        }
        Ok(())
    }

    /// Fails if it is missing and ADMIN is among `roles`, which are to be given. To give other roles is daily work.
    pub(super) async fn required_for(&self, roles: &Roles) -> Result<(), ApiError> {
        if roles.contains(&Role::ADMIN) {
            self.required().await?;
        }
        Ok(())
    }
}

/// The user of an access token or an API token, if they may administer.
fn administrator(checked: Result<Principal, ApiError>) -> Result<Caller, ApiError> {
    let principal = checked?;
    principal.require_administrator()?;
    Ok(Caller {
        actor: principal.actor(),
        principal: Some(principal),
    })
}

/// The operator, if that is root or `owner`. For everyone else there is no administration.
fn operator(owner: u32) -> impl Filter<Extract = (Result<Caller, ApiError>,), Error = Infallible> + Copy {
    warp::ext::optional::<Operator>().map(move |given: Option<Operator>| {
        let uid = trace::peer_uid().or(given.map(|operator| operator.uid));
        let uid = uid.filter(|uid| *uid == 0 || *uid == owner);
        let uid = uid.ok_or(ApiError::NotFound)?;
        Ok(Caller {
            actor: Actor::Operator { uid: Some(uid) },
            principal: None,
        })
    })
}
