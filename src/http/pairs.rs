//! Names and values as a form or a query has them: each name once, and a bounded number.

use super::error::ApiError;

/// The most fields that a body or a query may have: more than any request needs, and few enough to compare each with each.
pub(super) const MAX_FIELDS: usize = 16;

/// The parameters in `text`, each once. `what` names the text in an error.
pub(super) fn pairs(text: &[u8], what: &str) -> Result<Vec<(String, String)>, ApiError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(text) {
        if parameters.len() == MAX_FIELDS {
            return Err(bad(format!("The {what} has too many parameters.")));
        }
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(bad(format!("The {what} has a parameter twice.")));
        }
        parameters.push((name.into_owned(), value.into_owned()));
    }
    Ok(parameters)
}

fn bad(detail: String) -> ApiError {
    ApiError::BadParameters { detail }
}
