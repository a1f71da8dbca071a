use std::{fmt::Write as _, io};

use super::*;
use crate::{
    clock::Timestamp,
    domain::{Attributes, DisplayName, Role, Roles, User, UserId, UserRoles},
};

const HASH: &str = "$2y$12$abcdefghijklmnopqrstuuDIGESTDIGESTDIGESTDIGESTDIGES/.";

fn read(text: &str) -> Vec<(u64, Result<Entry, String>)> {
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push((line.number, line.user.map_err(|problem| problem.to_string())));
    }
    lines
}

fn format(text: &[u8]) -> Result<Format, String> {
    let reader = Reader::new(text).map_err(|error| error.to_string())?;
    Ok(reader.format())
}

/// The only user of a text of one line.
fn one(text: &str) -> Result<Entry, String> {
    let mut lines = read(text);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0).1
}

/// Why a line with this hash is no user.
fn hash_problem(hash: &str) -> String {
    one(&format!("ada:{hash}\n")).unwrap_err()
}

#[test]
fn the_three_formats_are_told_apart_and_give_the_same_user() {
    let json = format!(
        r#"{{"username":"Ada","password_hash":"{HASH}","roles":["ADMIN","CLIENT"],"disabled":true,"display_name":"Ada L.","created_at":"2026-11-21T19:53:32Z"}}"#
    );
    let comma = format!(
        "username,password_hash,roles,disabled,display_name,created_at\nAda,{HASH},ADMIN CLIENT,true,Ada L.,1795290812\n"
    );
    let semicolon = format!(
        "\"Created_At\";display_name;Disabled;roles;password_hash;USERNAME\r\n2026-11-21T19:53:32.9Z;\"Ada L.\";1;ADMIN,CLIENT;{HASH};ada\r\n"
    );
    let user = one(&json).unwrap();
    assert_eq!(user.username.as_str(), "ada");
    assert_eq!(user.password_hash.expose(), HASH);
    assert_eq!(user.roles.as_ref().unwrap().lasting().to_string(), "ADMIN CLIENT");
    assert!(user.disabled == Some(true) && user.roles.as_ref().unwrap().lasting().contains(&Role::ADMIN));
    assert_eq!(
        user.display_name.as_ref().unwrap().as_ref().unwrap().as_str(),
        "Ada L."
    );
    assert_eq!(user.created_at, Some(Timestamp::from_secs(1_795_290_812)));
    assert_eq!(one(&comma).unwrap(), user);
    assert_eq!(one(&semicolon).unwrap(), user);
    assert_eq!(one(&comma.replace(',', "\t")).unwrap(), user);

    let bare = one(&format!("# made by htpasswd\n\nada:{HASH}\n")).unwrap();
    assert_eq!(bare.username, user.username);
    assert_eq!((bare.roles, bare.disabled, bare.created_at), (None, None, None));
    assert_eq!(format(json.as_bytes()), Ok(Format::JsonLines));
    assert_eq!(format(semicolon.as_bytes()), Ok(Format::Csv { separator: b';' }));
    assert_eq!(format(b"ada:x"), Ok(Format::Htpasswd));
}

#[test]
fn a_byte_order_mark_and_the_ends_of_lines_are_no_part_of_a_name() {
    for text in [
        format!("\u{feff}username,password_hash\r\nada,{HASH}\r\n"),
        format!("\u{feff}ada:{HASH}\r\n"),
        format!("\u{feff}\n {{\"username\":\"ada\",\"password_hash\":\"{HASH}\"}} \r\n"),
    ] {
        assert_eq!(one(&text).unwrap().username.as_str(), "ada", "{text:?}");
    }
}

#[test]
fn what_is_no_list_of_users_is_refused_as_a_whole() {
    for (text, why) in [
        ("", "no user in the file"),
        ("\n# only a comment\n", "no user in the file"),
        ("hello world\n", "the format is unknown"),
        ("\u{feff}[1, 2]", "the format is unknown"),
        ("username,email\n", "an unknown column \"email\""),
        ("username,roles\n", "no column password_hash"),
        ("username,username,password_hash\n", "the column username twice"),
        ("# exported\nusername,password_hash\n", "a comment in front of it"),
    ] {
        let error = format(text.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{text:?}: {error}");
    }
    let utf16: Vec<u8> = "ada:x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = format(&[b"\xff\xfe", &utf16[..]].concat()).unwrap_err();
    assert!(error.contains("UTF-16"), "{error}");
}

#[test]
fn each_bad_line_is_told_with_its_number_and_the_others_are_read() {
    let text = format!(
        "ada:{HASH}\nno colon here\n\nbé:{HASH}\nbob:{HASH}\nADA:{HASH}\n{}:{HASH}\neve:{HASH}",
        "x".repeat(70_000)
    );
    let lines = read(&text);
    let numbers: Vec<u64> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8]);
    let good = lines.iter().filter_map(|(_, user)| user.as_ref().ok());
    let good: Vec<&str> = good.map(|user| user.username.as_str()).collect();
    assert_eq!(good, ["ada", "bob", "eve"]);
    for (index, why) in [
        (1, "no colon"),
        (2, "\"bé\" is no username"),
        (4, "user ada stands in line 1 already"),
        (5, "longer than 65536 bytes"),
    ] {
        let problem = lines[index].1.as_ref().unwrap_err();
        assert!(problem.contains(why), "{problem}");
    }
}

/// A text that goes on for ever, and that no reader must read to its end.
struct Endless(&'static [u8]);

impl io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (place, byte) in buffer.iter_mut().zip(self.0.iter().cycle()) {
            *place = *byte;
        }
        // Whole repetitions, so that the next piece goes on from here.
        Ok(buffer.len() / self.0.len() * self.0.len())
    }
}

fn before_endless(text: &str, repeated: &'static [u8]) -> impl io::BufRead {
    // Neither the test nor the machine may suffer if the reader reads on.
    let endless = io::Read::take(Endless(repeated), 16 << 20);
    io::BufReader::new(io::Read::chain(io::Cursor::new(text.to_owned()), endless))
}

#[test]
fn a_quote_that_is_not_closed_does_not_take_the_whole_file() {
    let header = "username,password_hash,display_name\n";
    for (text, line) in [
        (format!("{header}ada,{HASH},Ada\nbob,{HASH},\"Bob\n"), 3),
        ("username,password_hash,\"display_name\n".to_owned(), 1),
    ] {
        let error = Reader::new(before_endless(&text, b"eve,x,y\n")).and_then(|mut reader| {
            while reader.next_line()?.is_some() {}
            Ok(())
        });
        let error = error.unwrap_err().to_string();
        let begin = format!("the row that begins in line {line} has more than 65536 bytes");
        assert!(error.contains(&begin) && error.contains("quote"), "{error}");
    }
    // A long file of short rows, and a row that is almost as long as it may be.
    let mut rows = String::new();
    for n in 0..10_000 {
        writeln!(rows, "user{n},{HASH},").unwrap();
    }
    let long = format!("long,{HASH},\"{}\"\n", "x".repeat(60_000));
    let lines = read(&format!("{header}{rows}{long}last,{HASH},\n"));
    assert_eq!(lines.len(), 10_002);
    assert!(lines[10_001].1.is_ok());
    // Many lines without a user in front of a header.
    let lines = read(&format!("{}{header}ada,{HASH},\n", "\n".repeat(500_000)));
    assert_eq!((lines[0].0, lines[0].1.is_ok()), (500_002, true));
}

#[test]
fn a_file_of_comments_alone_is_not_read_to_its_end() {
    for repeated in [&b"#\n"[..], b"\n", b"# a longer comment\n"] {
        let error = Reader::new(before_endless("", repeated)).err().unwrap();
        assert!(matches!(error, ReadError::UnknownFormat), "{error}");
    }
}

#[test]
fn a_text_that_is_wrong_is_shown_by_its_beginning() {
    let long = "é".repeat(20_000);
    let with = |field: &str| format!(r#"{{"username":"ada","password_hash":"{HASH}",{field}}}"#);
    for line in [
        format!("{long}:{HASH}"),
        with(&format!(r#""roles":["{long}"]"#)),
        with(&format!(r#""role_ends":{{"{long}":1}}"#)),
        with(&format!(r#""roles":["A"],"role_ends":{{"A":"{long}"}}"#)),
        with(&format!(r#""created_at":"{long}""#)),
        with(&format!(r#""id":"{long}""#)),
        with(&format!(r#""{long}":1"#)),
        with(&format!(r#""disabled":"{long}""#)),
        with(&format!(r#""attributes":{{"{long}":1}}"#)),
        with(&format!(r#""attributes":{{"{}":{{}}}}"#, "x".repeat(30_000))),
        with(&format!(r#""display_name":"{long}""#)),
        format!("username,password_hash,disabled\nada,{HASH},{long}\n"),
    ] {
        let problem = one(&line).unwrap_err();
        assert!(problem.len() < 600, "{problem}");
    }
    let error = format(format!("username,password_hash,{long}\n").as_bytes()).unwrap_err();
    assert!(error.len() < 600 && error.contains("ééé…"), "{error}");
    assert!(
        one(&with(r#""id":"at line 7""#))
            .unwrap_err()
            .contains("\"at line 7\"")
    );
    let unknown = one(&with(r#""x at line y":1"#)).unwrap_err();
    assert!(unknown.contains("x at line y"), "{unknown}");
}

#[test]
fn a_bad_row_of_csv_is_told_by_the_line_in_which_it_begins() {
    let text = format!(
        "username,password_hash,display_name\nada,{HASH},\"Ada\nL.\"\nbob,{HASH}\ncid,{HASH},,\ndan,{HASH},Dan\n"
    );
    let lines = read(&text);
    let problems: Vec<(u64, Option<&str>)> = lines
        .iter()
        .map(|(number, user)| (*number, user.as_ref().err().map(String::as_str)))
        .collect();
    assert_eq!(problems[0].0, 2);
    assert!(problems[0].1.unwrap().starts_with("display_name"), "{problems:?}");
    assert_eq!(
        problems[1],
        (4, Some("the line has 2 cells, and the header has 3"))
    );
    assert_eq!(
        problems[2],
        (5, Some("the line has 4 cells, and the header has 3"))
    );
    assert_eq!(problems[3], (6, None));
}

#[test]
fn a_line_of_json_is_an_object_of_the_known_fields() {
    for (line, why) in [
        (r#"{"username":"ada"}"#, "password_hash is missing"),
        (r#"{"password_hash":"x"}"#, "username is missing"),
        (r#"{"username":"ada","email":"a@b.c"}"#, "unknown field `email`"),
        (
            r#"{"username":"ada","username":"bob"}"#,
            "duplicate field `username`",
        ),
        (
            r#"{"username":7}"#,
            "invalid type: integer `7`, expected a string (column 13)",
        ),
        (r#"{"username":"ada"} x"#, "trailing characters"),
        (r#"{"username":"ada""#, "EOF while parsing"),
    ] {
        let problem = one(line).unwrap_err();
        assert!(problem.contains(why), "{line}: {problem}");
        assert!(!problem.contains("line 1"), "{problem}");
    }
    let with = |field: &str| {
        one(&format!(
            r#"{{"username":"ada","password_hash":"{HASH}",{field}}}"#
        ))
    };
    for (field, why) in [
        (r#""roles":["client"]"#, "\"client\" is no role"),
        (r#""id":"7""#, "id is \"7\""),
        (r#""created_at":"yesterday""#, "created_at is \"yesterday\""),
        (r#""created_at":1795290812000"#, "created_at is \"1795290812000\""),
        (r#""created_at":-1"#, "did not match any variant"),
        (r#""display_name":"a\u200bb""#, "display_name"),
    ] {
        let problem = with(field).unwrap_err();
        assert!(problem.contains(why), "{field}: {problem}");
    }
    let nothing = with(r#""roles":[],"display_name":null,"created_at":null,"disabled":null"#).unwrap();
    assert_eq!(
        (nothing.roles, nothing.display_name, nothing.disabled),
        (Some([].into_iter().collect()), Some(None), None)
    );
}

#[test]
fn only_bcrypt_of_a_bearable_cost_is_taken_and_every_other_hash_is_named() {
    for version in ["2a", "2b", "2y"] {
        let hash = format!("${version}$10${}u{}u", "x".repeat(21), "x".repeat(30));
        assert_eq!(one(&format!("ada:{hash}")).unwrap().password_hash.expose(), hash);
    }
    let digits = "x".repeat(53);
    for (hash, why) in [
        (format!("$2b$17${digits}"), "the cost 17"),
        (format!("$2b$31${digits}"), "the cost 31"),
        (format!("$2b$03${digits}"), "no bcrypt hash"),
        (format!("$2x$10${digits}"), "no bcrypt hash"),
        (format!("$2b$10${}", "é".repeat(26)), "no bcrypt hash"),
        (format!("$2b$10$!{}", "x".repeat(52)), "no bcrypt hash"),
        (format!("$2b$+9${digits}"), "no bcrypt hash"),
        ("$apr1$salt$digest".into(), "Apache's MD5"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".into(), "SHA-1"),
        ("$6$salt$digest".into(), "SHA-512-crypt"),
        ("$argon2id$v=19$m=1".into(), "Argon2"),
        ("5f4dcc3b5aa765d61d8327deb882cf99".into(), "MD5"),
        ("rqXexS6ZhobKA".into(), "DES-crypt"),
        ("hunter2 hunter2".into(), "no bcrypt hash"),
        (String::new(), "0 of the 60 characters"),
    ] {
        let problem = hash_problem(&hash);
        assert!(problem.contains(why), "{hash}: {problem}");
    }
}

#[test]
fn bits_that_belong_to_no_byte_of_a_hash_become_zeros() {
    let made =
        |salt: char, digest: char| format!("$2a$10${}{salt}{}{digest}", "x".repeat(21), "y".repeat(30));
    for (came, kept) in [
        (('.', '.'), ('.', '.')),
        (('N', '/'), ('.', '.')),
        (('f', 'B'), ('e', '.')),
        (('9', '9'), ('u', '6')),
    ] {
        let entry = one(&format!("ada:{}", made(came.0, came.1))).unwrap();
        assert_eq!(entry.password_hash.expose(), made(kept.0, kept.1), "{came:?}");
    }
}

#[test]
fn a_hash_that_a_shell_or_docker_compose_changed_is_recognised() {
    // What a shell makes of "$2y$12$abc…" in double quotes: $2, $1 and $abc… are replaced by nothing.
    for (mangled, length) in [
        ("y2./", 4),
        ("y2", 2),
        ("", 0),
        ("y2$./x", 6),
        (&HASH[..59], 59),
        (&HASH[1..], 59),
    ] {
        let problem = hash_problem(mangled);
        let expected = format!("{length} of the 60 characters");
        assert!(
            problem.contains(&expected) && problem.contains("single quotes"),
            "{mangled}: {problem}"
        );
    }
    let problem = hash_problem(&HASH.replace('$', "$$"));
    assert!(
        problem.contains("stands twice") && problem.contains("Docker Compose"),
        "{problem}"
    );
}

#[test]
fn an_id_that_stands_twice_is_refused_like_a_name() {
    let id = UserId::generate(Timestamp::from_secs(1));
    let mut text = String::new();
    for name in ["ada", "bob"] {
        writeln!(
            text,
            r#"{{"id":"{id}","username":"{name}","password_hash":"{HASH}"}}"#
        )
        .unwrap();
    }
    let lines = read(&text);
    assert_eq!(lines[0].1.as_ref().unwrap().id, Some(id));
    let problem = lines[1].1.as_ref().unwrap_err();
    assert_eq!(*problem, format!("id {id} stands in line 1 already"));
}

#[test]
fn roles_end_only_for_a_user_who_has_them() {
    let with = |fields: &str| {
        one(&format!(
            r#"{{"username":"ada","password_hash":"{HASH}",{fields}}}"#
        ))
    };
    let end = Timestamp::from_secs(1_795_290_812);
    let roles = r#""roles":["CLIENT","FAMILY"],"role_ends":{"FAMILY":"2026-11-21T19:53:32Z"}"#;
    let roles = with(roles).unwrap().roles.unwrap();
    assert_eq!(roles.lasting().to_string(), "CLIENT");
    assert_eq!(roles.ending(), [(Role::parse("FAMILY").unwrap(), end)]);
    for (fields, why) in [
        (
            r#""roles":["CLIENT"],"role_ends":{"FAMILY":1}"#,
            "role_ends has \"FAMILY\"",
        ),
        (r#""role_ends":{"FAMILY":1}"#, "role_ends has \"FAMILY\""),
        (
            r#""roles":["A"],"role_ends":{"A":"soon"}"#,
            "the end of a role is \"soon\"",
        ),
        (r#""attributes":{"Tenant":1}"#, "attributes: "),
    ] {
        let problem = with(fields).unwrap_err();
        assert!(problem.contains(why), "{fields}: {problem}");
    }
}

#[test]
fn what_is_not_said_is_chosen_for_a_new_user_and_kept_of_another() {
    let now = Timestamp::from_secs(1_800_000_000);
    let roles = [Role::CLIENT].into_iter().collect();
    let bare = one(&format!("ada:{HASH}")).unwrap().imported(&roles, now);
    assert_eq!(bare.user.roles.lasting(), &roles);
    assert_eq!((bare.user.created_at, bare.user.disabled), (now, false));
    let present = User {
        disabled: true,
        display_name: DisplayName::parse("Ada").ok(),
        ..User::sample("ada", now)
    };
    let expected = User {
        password_hash: bare.user.password_hash.clone(),
        password_version: 1,
        ..present.clone()
    };
    assert_eq!(bare.update(&present), expected);
}

#[test]
fn what_is_written_is_read_again() {
    let mut user = User::sample("o'neil@example.org", Timestamp::from_secs(1_795_290_812));
    let end = Timestamp::from_secs(1_795_290_813);
    user.roles = UserRoles::from_iter([Role::CLIENT, Role::ADMIN]).with(Role::parse("X").unwrap(), Some(end));
    user.disabled = true;
    user.must_change_password = true;
    user.display_name = Some(DisplayName::parse("Ó \"Neil\", Jr.").unwrap());
    let attributes = serde_json::json!({"tenant": "acme", "level": 1.5, "on": true, "teams": ["a", "b"]});
    user.attributes = Attributes::parse(attributes.as_object().unwrap()).unwrap();
    let mut text = Vec::new();
    write_line(&mut text, &user, true).unwrap();
    let entry = one(str::from_utf8(&text).unwrap()).unwrap();
    let imported = entry.imported(&Roles::default(), Timestamp::from_secs(7));
    assert_eq!(imported.user, user);
    assert_eq!(imported.unsaid, []);

    let mut without = Vec::new();
    write_line(&mut without, &user, false).unwrap();
    let without = String::from_utf8(without).unwrap();
    assert!(!without.contains("$2b$"), "{without}");
    assert_eq!(one(&without).unwrap_err(), "password_hash is missing");
}
