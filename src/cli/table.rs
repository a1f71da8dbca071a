//! Tables for people: plain columns that fit 80 characters, because they are read in terminals and copied into mails.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets::NOTHING};

const WIDTH: u16 = 80;

/// The rows under a header, in columns. The first column is never broken, because its text is copied into other commands. In another
/// one, a cell that is too long goes on in the next line.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_80_columns_and_loses_nothing() {
        let id = "019a2b3c-0000-7000-8000-000000000001";
        let device = "Firefox on Linux 2001:db8:85a3:8d3:1319:8a2e:370:7348";
        let rows = [[id.to_owned(), "2026-11-26 20:00".to_owned(), device.to_owned()]];
        let text = table(["ID", "LAST USED (UTC)", "FROM"], rows);
        assert!(
            text.contains(id) && text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let long = "a-name-of-sixty-four-characters-which-is-the-longest-that-one-ha";
        let rows = [[id.to_owned(), long.to_owned(), "ADMIN CLIENT FAMILY".to_owned()]];
        let text = table(["ID", "NAME", "ROLES"], rows);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains(id), "{text}");
        let joined: String = text.split_whitespace().collect();
        for part in ["ID", "NAME", "ROLES", "ADMIN", "CLIENT", "FAMILY"] {
            assert!(joined.contains(part), "{text}");
        }
    }

    #[test]
    fn an_empty_table_has_its_header() {
        assert_eq!(table(["NAME", "ROLES"], []), "NAME  ROLES\n");
    }
}
