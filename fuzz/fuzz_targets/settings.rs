//! The settings: each file and environment gives either a configuration that a server can run, or errors of a line each.
//!
//! The input is the file, and after each `00` a variable, `NAME=value`.
//!
//! The judge is the shipped `jwt-server.toml`, which says of each setting what it accepts. A reader of its own applies that to
//! what the file and the environment give. Values in a form that it does not read can be accepted or refused. It shares the
//! crate `toml` with the server. A new setting is judged as soon as the shipped file has it.

#![no_main]

use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt, sync::LazyLock};

use jwt_server::{
    Config,
    config::{self, ConfigError, SECRET_VARIABLE, Settings},
};
use libfuzzer_sys::{Corpus, fuzz_target};
use secrecy::ExposeSecret;
use toml::{Table, Value};

/// The end of each secret, which no output may contain.
const MARK: &str = "-secret-that-no-output-shows";
const SHIPPED: &str = include_str!("../../jwt-server.toml");
const PREFIX: &str = "JWT_SERVER__";
/// The longest time, in seconds.
const CENTURY: u64 = 100 * 365 * 86_400;

/// What a setting accepts. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
enum Accepts {
    Whole(u128, u128),
    Size(u128, u128),
    /// Whole seconds between the two, and perhaps `off`.
    Seconds(u128, u128, bool),
    Time {
        zero: bool,
    },
    Switch,
    Choice(Vec<&'static str>),
    /// A list of at least so many roles.
    Roles(usize),
    /// A list of names, none of them empty.
    Names,
    List,
    Text,
}

/// What the model says of a value.
#[derive(Debug, PartialEq)]
enum Verdict {
    Good,
    Bad,
    Unknown,
}

/// The settings of the shipped file.
static RULES: LazyLock<BTreeMap<String, Accepts>> = LazyLock::new(|| {
    let (mut section, mut accepts, mut rules) = ("", None, BTreeMap::new());
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some(rule) = line.strip_prefix("# Accepted: ") {
            accepts = Some(Accepts::read(rule.trim_end_matches('.')));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let accepts = accepts.take().expect("a line that says what is accepted");
            rules.insert(format!("{section}.{name}"), accepts);
        }
    }
    // The shipped file would be misread if its wording changed.
    let seconds = |from: u64| Accepts::Seconds(nanos(from), nanos(CENTURY), false);
    for (key, accepts) in [
        ("password.bcrypt_cost", Accepts::Whole(4, 16)),
        ("server.max_body", Accepts::Size(1 << 10, 16 << 20)),
        ("store.cache", Accepts::Size(1 << 20, u64::MAX.into())),
        ("token.lifetime", seconds(1)),
        ("token.refresh_grace", seconds(0)),
        (
            "token.rotate_every",
            Accepts::Seconds(nanos(60), nanos(CENTURY), true),
        ),
        (
            "throttle.account_delay",
            Accepts::Seconds(nanos(1), nanos(86_400), false),
        ),
        ("server.body_timeout", Accepts::Time { zero: false }),
        ("server.shutdown_grace", Accepts::Time { zero: true }),
        ("signup.enabled", Accepts::Switch),
        ("log.format", Accepts::Choice(vec!["text", "json"])),
        ("signup.roles", Accepts::Roles(0)),
        ("introspection.roles", Accepts::Roles(1)),
        ("token.audience", Accepts::Names),
        ("server.trusted_proxies", Accepts::List),
        ("token.issuer", Accepts::Text),
    ] {
        assert_eq!(rules.get(key), Some(&accepts), "{key}");
    }
    rules
});

/// The settings by the names of their variables, without the prefix.
static VARIABLES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let variable = |key: &String| (key.to_uppercase().replace('.', "__"), key.clone());
    RULES.keys().map(variable).collect()
});

impl Accepts {
    /// Reads the shipped file's words.
    fn read(rule: &'static str) -> Self {
        let rest = rule.split(", such as").next().unwrap_or_default();
        if let Some(range) = rest.strip_prefix("a whole number from ") {
            let (least, most) = range.split_once(" to ").expect("a range");
            let end = |text: &str| text.parse().expect("a number");
            return Self::Whole(end(least), end(most));
        }
        if let Some(range) = rest.strip_prefix("a size ") {
            let end = |text: &str| bytes(text).expect("a size");
            let (least, most) = range_of(range, end, u64::MAX.into());
            return Self::Size(least, most);
        }
        let (rest, off) = match rest.strip_prefix("off, or ") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if let Some(range) = rest.strip_prefix("a time in whole seconds") {
            let end = |text: &str| time(text).expect("a time");
            let (least, most) = range_of(range.trim(), end, nanos(CENTURY));
            return Self::Seconds(least, most, off);
        }
        match rest {
            "a time" => return Self::Time { zero: true },
            "a time above zero" => return Self::Time { zero: false },
            "true or false" => return Self::Switch,
            "a list of names, none of them empty" => return Self::Names,
            _ if rest.starts_with("a list of roles") => return Self::Roles(0),
            _ if rest.starts_with("a list of 1 or more roles") => return Self::Roles(1),
            _ if rest.starts_with("a list of ") => return Self::List,
            _ => {}
        }
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let names: Vec<_> = rest.split(" or ").flat_map(|names| names.split(", ")).collect();
        if names.len() > 1 && names.iter().copied().all(is_name) {
            return Self::Choice(names);
        }
        Self::Text
    }

    /// The value that the environment gives in `text`. Returns `None` if it is of another form.
    fn of_text(&self, text: &str) -> Option<Value> {
        match self {
            Self::Whole(..) => text.parse().map(Value::Integer).ok(),
            Self::Switch => text.parse().map(Value::Boolean).ok(),
            Self::List | Self::Roles(_) | Self::Names => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(Value::from).collect()))
            }
            _ => Some(Value::from(text)),
        }
    }

    fn judge(&self, value: &Value) -> Verdict {
        let within = |number: u128, least: u128, most: u128| {
            if (least..=most).contains(&number) {
                Verdict::Good
            } else {
                Verdict::Bad
            }
        };
        let text = value.as_str();
        match self {
            Self::Whole(least, most) => match value.as_integer().map(u128::try_from) {
                Some(Ok(number)) => within(number, *least, *most),
                _ => Verdict::Bad,
            },
            Self::Switch if value.is_bool() => Verdict::Good,
            Self::Switch => Verdict::Bad,
            Self::List | Self::Roles(_) | Self::Names => match value.as_array() {
                Some(items) if items.iter().all(Value::is_str) => self.judge_list(items),
                // Where one item is usual, it may stand alone.
                None if *self == Self::List && value.is_str() => Verdict::Unknown,
                _ => Verdict::Bad,
            },
            _ if text.is_none() => Verdict::Bad,
            Self::Choice(names) if names.iter().any(|name| text == Some(name)) => Verdict::Good,
            Self::Choice(_) => Verdict::Bad,
            Self::Seconds(.., true) if text == Some("off") => Verdict::Good,
            Self::Size(least, most) => text
                .and_then(bytes)
                .map_or(Verdict::Unknown, |size| within(size, *least, *most)),
            Self::Seconds(least, most, _) => match text.and_then(time) {
                Some(span) if span % nanos(1) != 0 => Verdict::Bad,
                Some(span) => within(span, *least, *most),
                None => Verdict::Unknown,
            },
            Self::Time { zero } => {
                let least = u128::from(!zero);
                text.and_then(time)
                    .map_or(Verdict::Unknown, |span| within(span, least, nanos(CENTURY)))
            }
            Self::Text => Verdict::Unknown,
        }
    }

    fn judge_list(&self, items: &[Value]) -> Verdict {
        let all = |is_good: fn(&str) -> bool| items.iter().filter_map(Value::as_str).all(is_good);
        match self {
            Self::Roles(least) if items.len() < *least || !all(is_role) => Verdict::Bad,
            // How long a role may be is not in the words.
            Self::Roles(_) if all(|name| name.len() <= 32) => Verdict::Good,
            Self::Names if all(|name| !name.is_empty()) => Verdict::Good,
            Self::Names => Verdict::Bad,
            _ => Verdict::Unknown,
        }
    }
}

/// Whether both are the same value, or one is a list of the other alone.
fn is_same(one: &Value, other: &Value) -> bool {
    let is_alone = |list: &Value, item: &Value| {
        list.as_array()
            .is_some_and(|items| items == std::slice::from_ref(item))
    };
    one == other || is_alone(one, other) || is_alone(other, one)
}

fn is_role(name: &str) -> bool {
    let rest = name.strip_prefix(|first: char| first.is_ascii_uppercase());
    rest.is_some_and(|rest| {
        rest.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-')
    })
}

/// The ends of `from X to Y`, `of X or more` or nothing.
fn range_of(text: &str, end: impl Fn(&str) -> u128, most: u128) -> (u128, u128) {
    if let Some(range) = text.strip_prefix("from ") {
        let (least, most) = range.split_once(" to ").expect("a range");
        return (end(least), end(most));
    }
    let least = text
        .strip_prefix("of ")
        .and_then(|rest| rest.strip_suffix(" or more"));
    (least.map_or(0, end), most)
}

fn nanos(seconds: u64) -> u128 {
    u128::from(seconds) * 1_000_000_000
}

/// The number and the unit at the start of `text`, and what follows.
fn quantity(text: &str) -> Option<(u128, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits);
    let unit = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit);
    // A longer number may be more than some reader can hold.
    let number = (digits.len() <= 9).then(|| digits.parse().ok()).flatten()?;
    Some((number, unit, rest))
}

/// A size of one number and one unit.
fn bytes(text: &str) -> Option<u128> {
    let (number, unit, "") = quantity(text)? else {
        return None;
    };
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    Some(number * factor)
}

/// A time of numbers with units, each smaller than the one before, perhaps with a space between two.
fn time(text: &str) -> Option<u128> {
    let units = [
        ("d", nanos(86_400)),
        ("h", nanos(3_600)),
        ("m", nanos(60)),
        ("s", nanos(1)),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let (mut sum, mut smallest, mut rest) = (0, u128::MAX, text);
    loop {
        let (number, unit, after) = quantity(rest)?;
        let (_, factor) = units.into_iter().find(|(name, _)| *name == unit)?;
        if factor >= smallest {
            return None;
        }
        (sum, smallest) = (sum + number * factor, factor);
        if after.is_empty() {
            return Some(sum);
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
}

/// What the file and the environment give, as the model reads it.
struct Given {
    /// The last value of each setting.
    values: BTreeMap<String, Value>,
    /// What is surely wrong: words that an error must have.
    bad: Vec<String>,
    /// The settings that a variable gives in other bytes than UTF-8.
    unreadable: Vec<String>,
}

impl Given {
    fn read(file: &str, variables: &[(OsString, OsString)]) -> Self {
        let mut given = Self {
            values: BTreeMap::new(),
            bad: vec![],
            unreadable: vec![],
        };
        match file.parse::<Table>() {
            Ok(table) => given.add_table(table),
            Err(_) => given.bad.push(String::new()),
        }
        for (name, value) in variables {
            given.add_variable(&name.to_string_lossy(), value.to_str());
        }
        for (key, value) in &given.values {
            if RULES[key].judge(value) == Verdict::Bad {
                given.bad.push(key.clone());
            }
        }
        given
    }

    fn add_table(&mut self, table: Table) {
        for (section, entries) in table {
            let Value::Table(entries) = entries else {
                self.bad.push(String::new());
                continue;
            };
            let is_section = RULES.keys().any(|key| key.split('.').next() == Some(&section));
            if !is_section {
                self.bad.push(String::new());
            }
            for (name, value) in entries {
                let key = format!("{section}.{name}");
                if RULES.contains_key(&key) && is_section {
                    self.values.insert(key, value);
                } else {
                    self.bad.push(String::new());
                }
            }
        }
    }

    fn add_variable(&mut self, name: &str, value: Option<&str>) {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            return;
        };
        if name == SECRET_VARIABLE {
            // A PEM or JSON key is no secret.
            let is_long =
                |text: &str| text.len() >= 32 && !text.starts_with("-----BEGIN ") && !text.starts_with('{');
            if !value.is_some_and(is_long) {
                self.bad.push(String::new());
            }
            return;
        }
        let key = VARIABLES.get(rest);
        let (Some(key), Some(text)) = (key, value) else {
            match key.cloned() {
                None => self.bad.push(String::new()),
                Some(key) => {
                    self.values.remove(&key);
                    self.unreadable.push(key);
                }
            }
            return;
        };
        match RULES[key].of_text(text) {
            Some(value) => drop(self.values.insert(key.clone(), value)),
            None => self.bad.push(key.clone()),
        }
    }

    /// Fails unless `errors` has one for everything that is wrong, and none for what is not.
    fn judge_errors(&self, errors: &[&ConfigError]) {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        for key in &self.bad {
            assert!(
                texts.iter().any(|text| text.contains(key.as_str())),
                "no error on {key}: {texts:?}"
            );
        }
        for (error, text) in errors.iter().zip(&texts) {
            match error {
                ConfigError::BadValue { key, .. } => {
                    let given = self.values.get(*key);
                    let is_good = given.is_some_and(|given| RULES[*key].judge(given) == Verdict::Good);
                    let mut doubted = self.bad.iter().chain(&self.unreadable);
                    assert!(!is_good || doubted.any(|own| own == key), "a good value: {text}");
                }
                // Two good values may contradict each other, at least one of which was given.
                ConfigError::Conflict(_) => {
                    assert!(
                        self.values.keys().any(|key| text.contains(key.as_str())),
                        "{text}"
                    );
                }
                _ => assert!(!self.bad.is_empty(), "nothing is wrong: {text}"),
            }
        }
    }

    /// Fails unless `config` is what was given.
    fn judge_config(&self, settings: &Settings, config: &Config) {
        assert!(self.bad.is_empty(), "accepted: {:?}", self.bad);
        for setting in config::settings() {
            let shown = format!("a = {}", settings.shown(&setting).0).parse::<Table>();
            let shown = shown.expect("what is shown is TOML");
            if let Some(given) = self.values.get(setting.key) {
                assert!(is_same(&shown["a"], given), "{}", setting.key);
            }
        }
        let (policy, throttle) = (&config.token.policy, &config.throttle);
        assert!(policy.refresh_window <= policy.lifetime);
        for (key, read) in [
            ("password.bcrypt_cost", u128::from(config.password.bcrypt_cost)),
            ("password.min_length", config.password.min_length as u128),
            ("password.hash_queue", config.password.hash_queue as u128),
            ("session.max_per_user", config.session.max_per_user as u128),
            ("token.cache", config.token.cache as u128),
            ("server.max_body", config.server.max_body as u128),
            ("store.cache", u128::from(config.store.cache)),
            ("server.header_timeout", config.server.header_timeout.as_nanos()),
            ("server.body_timeout", config.server.body_timeout.as_nanos()),
            ("server.shutdown_grace", config.server.shutdown_grace.as_nanos()),
            ("token.lifetime", policy.lifetime.as_nanos()),
            ("token.refresh_window", policy.refresh_window.as_nanos()),
            ("token.refresh_grace", policy.refresh_grace.as_nanos()),
            ("session.max_lifetime", config.session.max_lifetime.as_nanos()),
            ("throttle.account_delay", throttle.account_delay.as_nanos()),
        ] {
            let given = match self.values.get(key) {
                Some(Value::Integer(number)) => u128::try_from(*number).ok(),
                Some(Value::String(text)) => bytes(text).or_else(|| time(text)),
                _ => None,
            };
            assert!(
                given.is_none_or(|given| given == read),
                "{key} is {read}, and was given as {given:?}"
            );
        }
        if let Some(Value::Boolean(given)) = self.values.get("signup.enabled") {
            assert_eq!(config.signup.enabled, *given);
        }
        if let Some(Value::Array(names)) = self.values.get("signup.roles") {
            let has = |name: &Value| {
                config
                    .signup
                    .roles
                    .iter()
                    .any(|role| Some(role.as_str()) == name.as_str())
            };
            assert!(names.iter().all(has), "{names:?}");
        }
        if let Some(Value::String(given)) = self.values.get("token.issuer") {
            assert_eq!(config.token.issuer, *given);
        }
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    if input.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes()) {
        return Corpus::Reject;
    }
    let mut parts = input.split(|byte| *byte == 0);
    let Ok(file) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return Corpus::Reject;
    };
    let variables: Vec<_> = parts.filter_map(variable).collect();
    let given = Given::read(file, &variables);

    let mut settings = Settings::default();
    let mut errors = vec![];
    errors.extend(settings.add_file("jwt-server.toml", file).err());
    errors.extend(settings.add_environment(variables.into_iter()).err());
    if names_a_secret_file(&settings) {
        // The server would read the file, which might be an endless device.
        return Corpus::Reject;
    }
    let config = Config::read(&settings).map_err(|error| errors.push(error)).ok();
    match config.filter(|_| errors.is_empty()) {
        Some(config) => {
            given.judge_config(&settings, &config);
            check(&config);
            config.validate().expect("what was read is valid in code too");
            let shown = shown(&settings);
            let again = read(&shown);
            let same = again.as_ref().is_ok_and(|again| same(again, &config));
            assert!(same, "{shown}\nis read back as {again:?}\nand was {config:?}");
        }
        None => {
            let errors: Vec<_> = errors.iter().flat_map(each).collect();
            for text in errors.iter().map(ToString::to_string) {
                assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
                assert!(!text.contains(MARK), "{text:?}");
            }
            given.judge_errors(&errors);
        }
    }
    assert!(!format!("{settings:?}").contains(MARK));
    Corpus::Keep
});

/// The errors that are one.
fn each(error: &ConfigError) -> Vec<&ConfigError> {
    match error {
        ConfigError::Several(errors) => errors.iter().collect(),
        one => vec![one],
    }
}

/// The variable `NAME=value`. Returns `None` unless it has a name.
fn variable(text: &[u8]) -> Option<(OsString, OsString)> {
    let middle = text.iter().position(|byte| *byte == b'=')?;
    let (name, mut value) = (text[..middle].to_vec(), text[middle + 1..].to_vec());
    if name == SECRET_VARIABLE.as_bytes() {
        value.extend(MARK.as_bytes());
    }
    Some((OsString::from_vec(name), OsString::from_vec(value)))
}

fn names_a_secret_file(settings: &Settings) -> bool {
    let files = ["token.secret_file", "token.key_file"];
    let mut named = config::settings().filter(|setting| files.contains(&setting.key));
    named.any(|setting| settings.shown(&setting).0 != "\"\"")
}

/// A file with the same meaning, as `check-config` shows it.
fn shown(settings: &Settings) -> String {
    let lines =
        config::settings().map(|setting| format!("{} = {}\n", setting.key, settings.shown(&setting).0));
    lines.collect()
}

fn read(file: &str) -> Result<Config, ConfigError> {
    let mut settings = Settings::default();
    settings.add_file("shown", file)?;
    Config::read(&settings)
}

/// Whether both are the same but for the secret, which no output shows.
fn same(again: &Config, config: &Config) -> bool {
    let without_secret = |config: &Config| {
        let mut config = config.clone();
        config.token.secret = None;
        format!("{config:?}")
    };
    without_secret(again) == without_secret(config)
}

/// What a server relies on, whatever was given.
fn check(config: &Config) {
    assert!((1..=200).contains(&config.token.issuer.chars().count()));
    assert!(config.token.audience.iter().all(|name| !name.is_empty()));
    assert!(!config.store.path.as_os_str().is_empty());
    if let Some(secret) = &config.token.secret {
        assert!(secret.bytes.expose_secret().len() >= 32);
        assert!(!format!("{config:?}").contains(MARK));
    }
    for role in config.signup.roles.iter() {
        let mut letters = role.as_str().bytes();
        assert!(letters.next().is_some_and(|first| first.is_ascii_uppercase()));
        assert!(letters.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_-".contains(&b)));
    }
}
