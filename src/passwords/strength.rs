//! How hard a password is to guess. The only file that names zxcvbn.
//!
//! zxcvbn reads signs as letters, such as `@` as `a`, and looks up every part of the password under every reading. A long password
//! with many such signs has a thousand readings, and would take as long as its hash. So one that is that long is rated by one of its
//! ends, as if the characters at the cut were worth nothing: they may be a part of a word that zxcvbn would know.

use crate::domain::{Password, Username};

/// How many parts of a password are looked up at most, under all readings together, before it is rated by its ends. A password
/// of 71 characters without signs has 2,556.
const PARTS: usize = 50_000;
/// How many characters of an end are rated.
const END: usize = 18;
/// How many powers of ten the characters at a cut may seem to be worth too much.
const CUT: f64 = 7.0;
/// The signs that zxcvbn reads as letters, a list for each letter. A sign that stands in a list before has two readings more.
const SIGNS: [&str; 12] = [
    "4@", "8", "({[<", "3", "69", "1!|", "1|7", "0", "$5", "+7", "%", "2",
];

/// The zxcvbn score of a password, 0 to 4. The username and the words in it are guessed first.
pub(super) fn strength(password: &Password, username: &Username) -> u8 {
    let whole = username.as_str();
    let words = whole.split(|c: char| !c.is_ascii_alphanumeric());
    let known: Vec<&str> = words.chain([whole]).filter(|word| !word.is_empty()).collect();
    score(password.expose(), &known)
}

pub(super) fn score(password: &str, known: &[&str]) -> u8 {
    if parts(password) <= PARTS {
        return zxcvbn::zxcvbn(password, known).score().into();
    }
    // A cut would hide a name that is longer than an end.
    let longest = known.iter().max_by_key(|word| word.len());
    let rest = longest.map(|word| password.to_lowercase().replace(word, ""));
    let rest = rest.filter(|rest| rest.len() < password.len());
    match rest {
        Some(rest) => score(&rest, &[]),
        None => score_of_ends(password, known),
    }
}

/// The score of the end of `password` that is harder to guess.
fn score_of_ends(password: &str, known: &[&str]) -> u8 {
    let characters: Vec<char> = password.chars().collect();
    let rate = |end: &[char]| {
        let end: String = end.iter().collect();
        score_of(zxcvbn::zxcvbn(&end, known).guesses_log10() - CUT)
    };
    let end = END.min(characters.len());
    let first = rate(&characters[..end]);
    // Nearly always the first is enough.
    if first < 4 {
        first.max(rate(&characters[characters.len() - end..]))
    } else {
        first
    }
}

/// zxcvbn's score for a number of guesses, of which this is the logarithm.
fn score_of(guesses: f64) -> u8 {
    // zxcvbn's own bounds, which are a little above the powers of ten.
    let bounds = [1e3, 1e6, 1e8, 1e10].map(|bound| bound + 5.0);
    let guesses = 10_f64.powf(guesses);
    bounds.into_iter().map(|bound| u8::from(guesses >= bound)).sum()
}

/// How many parts of `password` are looked up under all its readings.
fn parts(password: &str) -> usize {
    let length = password.chars().count();
    let mut readings: usize = 1;
    for (at, signs) in SIGNS.iter().enumerate() {
        let weights = signs.chars().filter(|sign| password.contains(*sign)).map(|sign| {
            let is_shared = SIGNS[..at].iter().any(|earlier| earlier.contains(sign));
            1 + usize::from(is_shared)
        });
        readings = readings.saturating_mul(weights.sum::<usize>().max(1));
    }
    readings.saturating_mul(length * (length + 1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sign that has a reading.
    const ALL_SIGNS: &str = "4@8({[<3691!|70$5+%2";

    #[test]
    fn a_long_password_with_many_signs_is_rated_by_an_end() {
        let hostile = ALL_SIGNS.repeat(4)[..71].to_owned();
        assert!(parts(&hostile) > 1_000_000, "{}", parts(&hostile));
        for end in [&hostile[..END], &hostile[71 - END..]] {
            assert!(parts(end) < 300_000, "{}", parts(end));
        }
        // What is ordinary is rated whole.
        for ordinary in [
            "correct horse battery staple, ".repeat(3)[..71].to_owned(),
            "p@$$w0rd".to_owned(),
            "1234567890!@#$%^&*()".to_owned(),
            "My 2 cats, 3 dogs & 1 horse are 7 years old (on average)".to_owned(),
        ] {
            assert!(parts(&ordinary) <= PARTS, "{ordinary}: {}", parts(&ordinary));
        }
    }

    #[test]
    fn each_sign_of_a_letter_multiplies_the_parts() {
        // A sign that is read as two letters counts for both, and twice for the second.
        for (text, expected) in [
            ("abc", 6),
            ("@bc", 6),
            ("4@bc", 20),
            ("(<bc", 20),
            ("1bc", 12),
            ("1!bc", 40),
            ("4@(<", 40),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_slow_to_rate_is_rated_by_its_better_end() {
        let (weak, strong) = ("password1234567890", "xK9#mq2!vTz7&LpWd4");
        let scores = [(weak, weak), (weak, strong), (strong, weak)].map(|(first, last)| {
            let text = format!("{first}{ALL_SIGNS}{last}");
            assert!(parts(&text) > PARTS, "{text}: {}", parts(&text));
            score(&text, &[])
        });
        assert_eq!(scores, [0, 4, 4]);
    }

    #[test]
    fn a_username_counts_as_known_in_the_ends_too() {
        let username = Username::parse("zq7xkw9p.vb3nm8rt").unwrap();
        let of = |end: &str| {
            let text = format!("{end}{ALL_SIGNS}{end}");
            assert!(parts(&text) > PARTS, "{text}: {}", parts(&text));
            strength(&Password::parse(text.into()).unwrap(), &username)
        };
        assert_eq!(of("zq7xkw9pvb3nm8rtzq"), 0);
        assert_eq!(of("zq7xkw4pvb3nf8rtzq"), 4);
    }

    #[test]
    fn a_random_password_of_any_length_has_the_best_score() {
        // As a password manager makes them.
        let random: String = (0..71_u32)
            .map(|n| char::from(b'!' + u8::try_from(n * 37 % 94).unwrap()))
            .collect();
        for length in [20, 45, 71] {
            assert_eq!(score(&random[..length], &[]), 4, "{length}");
            assert_eq!(score(&random[71 - length..], &[]), 4, "{length}");
        }
        assert!(parts(&random) > PARTS, "{}", parts(&random));
    }

    #[test]
    fn a_weak_password_stays_weak_however_many_signs_it_has() {
        let rows = "1234567890!@#$%^&*()";
        let mut rated_by_an_end = 0;
        for unit in [
            rows,
            "!@#$%^&*()_+1234567890-=",
            "p@$$w0rd",
            "1l0v3y0u!",
            "4dm1n{}[]<>()",
            "qwerty67+|",
        ] {
            for times in 1..=71 / unit.len() {
                let text = unit.repeat(times);
                let whole = u8::from(zxcvbn::zxcvbn(&text, &[]).score());
                assert!(score(&text, &[]) <= whole, "{text}");
                rated_by_an_end += usize::from(parts(&text) > PARTS);
            }
        }
        assert!(rated_by_an_end >= 1, "{rated_by_an_end}");
        assert!(score(&rows.repeat(3), &[]) < 2);
    }

    #[test]
    fn a_long_username_is_known_however_many_signs_it_has() {
        let username = "4@8369175+02-4@8369175+02-4@8369175+02-4@8369175+02-4@8369175+02";
        assert!(parts(username) > PARTS, "{}", parts(username));
        for text in [
            username.to_owned(),
            format!("{username}!"),
            username.to_uppercase(),
        ] {
            assert!(score(&text, &[username]) < 2, "{text}");
        }
    }

    #[test]
    fn scores_are_those_of_zxcvbn() {
        for text in [
            "password",
            "correcthorse",
            "xK9#mq2!",
            "iloveyou1 2",
            "a very long sentence of words",
            // About as many guesses as each bound, and ten times more or less.
            "xK",
            "xK9",
            "xK9#m",
            "xK9#mq",
            "xK9#mq2",
            "xK9#mq2!v",
            "xK9#mq2!vT",
            "xK9#mq2!vTz",
        ] {
            let rated = zxcvbn::zxcvbn(text, &[]);
            assert_eq!(score_of(rated.guesses_log10()), u8::from(rated.score()), "{text}");
        }
    }
}
