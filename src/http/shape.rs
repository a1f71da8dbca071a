//! The shape of a path that no route has, for the log. A path may have a secret in it, or be made up to forge a line: only the
//! segments of the server's own paths are shown.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{LazyLock, PoisonError, RwLock},
};

use warp::{Filter, Reply, path::FullPath, reply::Response};

use super::{error::ApiError, trace::note};

/// How many segments are shown.
const SEGMENTS: usize = 8;

/// Every segment of the paths of endpoints that is no parameter.
static KNOWN: LazyLock<RwLock<BTreeSet<&'static str>>> = LazyLock::new(RwLock::default);

/// Lets the segments of an endpoint's path be shown.
pub(super) fn learn(path: &'static str) {
    let segments = path.split('/').filter(|segment| !segment.starts_with('{'));
    // Each use leaves the set whole.
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.extend(segments.filter(|segment| !segment.is_empty()));
}

/// Answers each request with 404, and notes the shape of its path for the log.
pub(super) fn no_such_path() -> impl Filter<Extract = (Response,), Error = Infallible> + Copy {
    warp::path::full().map(|path: FullPath| {
        let answer = ApiError::NotFound.into_response();
        note(answer, |trace| {
            trace.why = Some(format!("no such path: {}", shape(path.as_str())));
        })
    })
}

/// The path with `{}` for each segment that no endpoint has.
fn shape(path: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut segments = path.trim_start_matches('/').split('/');
    let mut shape = String::new();
    for segment in segments.by_ref().take(SEGMENTS) {
        shape.push('/');
        shape.push_str(match segment {
            "" => "",
            segment => known.get(segment).copied().unwrap_or("{}"),
        });
    }
    if segments.next().is_some() {
        shape.extend(['/', '…']);
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_of_the_servers_own_paths_are_shown() {
        learn("/admin/users/{id}/sessions");
        for (path, expected) in [
            ("/", "/"),
            ("/admin/users/ada/sessions/7", "/admin/users/{}/sessions/{}"),
            ("/wp-login.php", "/{}"),
            ("/ADMIN/users", "/{}/users"),
            ("/{id}", "/{}"),
            ("//users//", "/users//"),
            ("/eyJhbGciOiJIUzI1NiJ9.e30.x", "/{}"),
        ] {
            assert_eq!(shape(path), expected, "{path}");
        }
        let long = "/secret".repeat(10_000);
        assert_eq!(shape(&long), format!("{}/…", "/{}".repeat(SEGMENTS)));
    }
}
