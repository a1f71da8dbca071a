//! The password that a user or a program gives to a command, as one line.

use secrecy::SecretString;

/// The password in `line`, without the end of the line and a byte order mark.
///
/// Fails with the reason if the line has no password, or one that no user can have meant.
pub(super) fn read(line: &[u8]) -> Result<SecretString, &'static str> {
    if line.is_empty() {
        return Err("there is no password on standard input");
    }
    // Windows PowerShell writes UTF-16 to a pipe.
    if line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]) {
        return Err("standard input is UTF-16, and the password must be UTF-8");
    }
    let line = str::from_utf8(line).map_err(|_| "the password is not UTF-8 text")?;
    let line = line.trim_start_matches('\u{feff}');
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(char::is_control) {
        return Err(
            "the password has a control character in it, such as a tab or what an arrow key types, and no form of a page sends those",
        );
    }
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn text(line: &[u8]) -> Result<String, &'static str> {
        read(line).map(|password| password.expose_secret().to_owned())
    }

    #[test]
    fn the_mark_and_the_end_of_the_line_are_no_part_of_a_password() {
        for line in [
            "pass word",
            "pass word\n",
            "pass word\r\n",
            "\u{feff}pass word",
            "\u{feff}\u{feff}pass word\n",
        ] {
            assert_eq!(text(line.as_bytes()).unwrap(), "pass word", "{line:?}");
        }
        assert_eq!(text(" é \n".as_bytes()).unwrap(), " é ");
    }

    #[test]
    fn a_control_character_is_refused_wherever_it_stands() {
        for line in [
            "pass\u{1b}[Dword\n",
            "\u{1b}[200~pass word\u{1b}[201~\n",
            "pass\tword",
            "pass\0word",
            "pass word\u{7f}",
            "pass\u{9b}word",
            "pass\rword\n",
            "pass word\r\r\n",
        ] {
            assert!(
                text(line.as_bytes()).unwrap_err().contains("control character"),
                "{line:?}"
            );
        }
    }

    #[test]
    fn other_encodings_and_nothing_are_refused_by_name() {
        assert!(text(b"\xff\xfep\0a\0").unwrap_err().contains("UTF-16"));
        assert!(text(b"\xfe\xff\0p\0a").unwrap_err().contains("UTF-16"));
        assert!(text(b"p\xe9re\n").unwrap_err().contains("not UTF-8"));
        assert!(text(b"").unwrap_err().contains("no password"));
    }
}
