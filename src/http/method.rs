//! Sets of methods, as a path answers them.

use std::{fmt, ops::BitOr};

use warp::http::Method;

/// A set of methods. `HEAD` is in it wherever `GET` is; the connection leaves the body of the answer out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Methods(u8);

pub(super) const GET: Methods = Methods(1);
pub(super) const POST: Methods = Methods(1 << 1);
pub(super) const PATCH: Methods = Methods(1 << 2);
pub(super) const DELETE: Methods = Methods(1 << 3);
pub(super) const PUT: Methods = Methods(1 << 4);

impl Methods {
    /// Whether `method` is one of them.
    pub(super) fn has(self, method: &Method) -> bool {
        let bit = match *method {
            Method::GET | Method::HEAD => GET,
            Method::POST => POST,
            Method::PATCH => PATCH,
            Method::DELETE => DELETE,
            Method::PUT => PUT,
            _ => return false,
        };
        self.0 & bit.0 != 0
    }
}

impl BitOr for Methods {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// As `Allow` has them (RFC 9110, section 10.2.1).
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (GET, "GET, HEAD"),
            (POST, "POST"),
            (PATCH, "PATCH"),
            (PUT, "PUT"),
            (DELETE, "DELETE"),
        ];
        let mut separator = "";
        for (method, name) in names {
            if self.0 & method.0 != 0 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_every_method_in_one_order() {
        assert_eq!(GET.to_string(), "GET, HEAD");
        assert_eq!((DELETE | PATCH | GET).to_string(), "GET, HEAD, PATCH, DELETE");
        assert_eq!((GET | POST).to_string(), "GET, HEAD, POST");
    }
}
