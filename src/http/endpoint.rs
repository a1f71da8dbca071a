//! A route of the API: its path, its methods and its name in the log, told once. A path that is known always answers: with
//! 405 and `Allow` to a method that it lacks.

use std::{
    convert::Infallible,
    future::{self, Ready},
};

use warp::{Filter, Rejection, Reply, http::Method, path::Peek, reject, reply::Response};

use super::{error::ApiError, method::Methods, settings::Api, shape, trace::note};
use crate::auth::Auth;

/// A filter that answers some requests and rejects all others as not found.
pub(super) trait Endpoint:
    Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static
{
}

impl<F> Endpoint for F where
    F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static
{
}

/// Tries one endpoint after the other. Each is boxed, so that its future takes no room in that of a request for another one.
macro_rules! first_of {
    ($first:expr, $($next:expr),+ $(,)?) => {
        $first.boxed()$(.or($next.boxed()).unify())+
    };
}

pub(super) use first_of;

/// Answers the requests for `path`, which is also the route's name in the log. A segment may be a parameter, such as `{id}`, which
/// matches any text; the handler reads it with [`parameter`].
pub(super) fn endpoint<F: Endpoint>(path: &'static str, handlers: Handlers<F>) -> impl Endpoint {
    shape::learn(path);
    let Handlers { methods, filter } = handlers;
    let refuse = move || ApiError::MethodNotAllowed { allow: Some(methods) }.into_response();
    at(path).and(filter.or(warp::any().map(refuse)).unify())
}

/// What a path answers, method by method.
pub(super) struct Handlers<F> {
    methods: Methods,
    filter: F,
}

/// `handler` answers these methods.
pub(super) fn on<F, R>(methods: Methods, handler: F) -> Handlers<impl Endpoint>
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    R: Reply + 'static,
{
    Handlers {
        methods,
        filter: with_method(methods).and(handler).map(Reply::into_response),
    }
}

impl<F: Endpoint> Handlers<F> {
    /// `handler` answers these methods as well, where the handlers before it reject the request.
    pub(super) fn or<G, R>(self, methods: Methods, handler: G) -> Handlers<impl Endpoint>
    where
        G: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
        R: Reply + 'static,
    {
        let other = on(methods, handler);
        Handlers {
            methods: self.methods | other.methods,
            filter: self.filter.or(other.filter).unify(),
        }
    }
}

/// Passes the requests for `path`, and notes it for the log.
fn at(path: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    let pattern = Pattern::of(path);
    let check = move |asked: Peek| {
        let matches = pattern.matches(asked.as_str());
        if matches {
            note((), |trace| trace.route = Some(path));
        }
        pass_if(matches)
    };
    warp::path::peek().and_then(check).untuple_one()
}

/// Passes the requests with one of `methods`.
fn with_method(methods: Methods) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    let check = move |method: Method| pass_if(methods.has(&method));
    warp::method().and_then(check).untuple_one()
}

/// Passes the requests that come while `wanted` says so.
pub(super) fn only_if(
    wanted: impl Fn() -> bool + Clone + Send + Sync,
) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::any().and_then(move || pass_if(wanted())).untuple_one()
}

fn pass_if(wanted: bool) -> Ready<Result<(), Rejection>> {
    future::ready(if wanted { Ok(()) } else { Err(reject::not_found()) })
}

/// The text that stands for the parameter `name`, such as `{id}`, in the endpoint's `path`.
pub(super) fn parameter(
    path: &'static str,
    name: &'static str,
) -> impl Filter<Extract = (String,), Error = Infallible> + Copy {
    warp::path::peek().map(move |asked: Peek| {
        let segments = Pattern::of(path).0.split('/').zip(asked.as_str().split('/'));
        let mut named = segments.filter(|(segment, _)| *segment == name);
        named.next().map_or_else(String::new, |(_, text)| text.to_owned())
    })
}

/// Hands the verbs to a handler.
pub(super) fn with(api: &Api) -> impl Filter<Extract = (Auth,), Error = Rejection> + Clone + use<> {
    let auth = api.auth().clone();
    warp::any().and_then(move || future::ready(Ok::<_, Rejection>(auth.clone())))
}

/// The path of an endpoint, without the slash at its beginning.
#[derive(Clone, Copy)]
struct Pattern(&'static str);

impl Pattern {
    fn of(path: &'static str) -> Self {
        Self(path.trim_start_matches('/'))
    }

    /// Whether `asked` is such a path. A slash at its end makes no difference.
    fn matches(self, asked: &str) -> bool {
        let asked = asked.strip_suffix('/').unwrap_or(asked);
        if asked == self.0 {
            return true;
        }
        let (mut own, mut asked) = (self.0.split('/'), asked.split('/'));
        loop {
            match (own.next(), asked.next()) {
                (Some(segment), Some(text)) if segment.starts_with('{') && !text.is_empty() => {}
                (Some(segment), Some(text)) if segment == text => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use warp::http::StatusCode;

    use super::*;
    use crate::http::method::{DELETE, GET};

    #[test]
    fn a_path_matches_with_or_without_a_slash_at_its_end() {
        let plain = Pattern::of("/me/sessions");
        for asked in ["me/sessions", "me/sessions/"] {
            assert!(plain.matches(asked), "{asked}");
        }
        for asked in [
            "",
            "me",
            "me/",
            "me/sessions//",
            "me//sessions",
            "/me/sessions",
            "me/sessions/x",
        ] {
            assert!(!plain.matches(asked), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_parameter_is_one_segment_with_a_text() {
        const PATH: &str = "/users/{id}/sessions/{sid}";
        let one = Pattern::of(PATH);
        let (id, sid) = (parameter(PATH, "{id}"), parameter(PATH, "{sid}"));
        for asked in ["users/x/sessions/y", "users/x/sessions/y/"] {
            assert!(one.matches(asked), "{asked}");
            let request = || warp::test::request().path(&format!("/{asked}"));
            assert_eq!(request().filter(&id).await, Ok("x".to_owned()));
            assert_eq!(request().filter(&sid).await, Ok("y".to_owned()));
        }
        for asked in [
            "users/x/sessions",
            "users/x/sessions/",
            "users/x/sessions//",
            "users//sessions/y",
            "users/x/sessions/y/z",
            "users/x/other/y",
            "users/x/sessions//y",
        ] {
            assert!(!one.matches(asked), "{asked}");
        }
        assert!(!Pattern::of("/me/sessions/{id}").matches("me/sessions"));
    }

    #[tokio::test]
    async fn a_method_goes_to_its_handler_or_is_refused() {
        let answer =
            |text: &'static str| warp::any().and_then(move || future::ready(Ok::<_, Rejection>(text)));
        let handlers = on(GET, answer("got")).or(DELETE, answer("deleted"));
        let endpoint = endpoint("/x", handlers);
        for (method, status) in [
            ("GET", 200),
            ("HEAD", 200),
            ("DELETE", 200),
            ("POST", 405),
            ("TRACE", 405),
        ] {
            let response = warp::test::request()
                .method(method)
                .path("/x")
                .reply(&endpoint)
                .await;
            assert_eq!(
                response.status(),
                StatusCode::from_u16(status).unwrap(),
                "{method}"
            );
            let allow = response
                .headers()
                .get("allow")
                .map(|allow| allow.to_str().unwrap());
            assert_eq!(allow, (status == 405).then_some("GET, HEAD, DELETE"));
        }
        assert!(warp::test::request().path("/y").filter(&endpoint).await.is_err());
    }
}
