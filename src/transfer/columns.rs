//! The columns of CSV.

/// The columns of CSV, which are the fields of JSON.
pub(super) const COLUMNS: [&str; 8] = [
    "username",
    "password_hash",
    "must_change_password",
    "roles",
    "disabled",
    "display_name",
    "created_at",
    "id",
];
