//! What it costs to rate a new password, beside its hash.

use std::cell::Cell;

use divan::Bencher;
use jwt_server::domain::{Password, RequestContext};

use crate::server::{Server, name};

const LONG: &str = "correct horse battery staple and many other words of a long sentence no";

/// What is rated, with the least strength of the settings: with 0, nothing is.
const RATED: [(&str, u8, &str); 5] = [
    ("none", 0, LONG),
    ("20 bytes", 2, "summer holidays 2019"),
    ("71 bytes", 2, LONG),
    (
        "71 bytes, leet",
        2,
        "dr42snn5-l3tm31y@raisw4dm1ndlabcqwerty1n @A$1l0v3y0u$5$5aaaaaa[]{2%0m1n",
    ),
    (
        "71 bytes, slowest",
        2,
        "4@8({[<3691!|70$5+%24@8({[<3691!|70$5+%24@8({[<3691!|70$5+%24@8({[<3691",
    ),
];

/// `Auth::sign_up` at bcrypt cost 4. What *none* takes is to be taken off.
#[divan::bench(args = RATED.map(|(what, ..)| what))]
fn rate(bencher: Bencher, what: &str) {
    let (_, least, password) = RATED
        .into_iter()
        .find(|(name, ..)| *name == what)
        .expect("one of them");
    let server = Server::with_password_rule("HS256", "", &format!("min_strength = {least}"));
    let server = server.expect("a known setting");
    let number = Cell::new(0);
    let next = || {
        number.set(number.get() + 1);
        let password = Password::parse(password.into()).expect("a password");
        (name(&format!("user-{}", number.get())), password)
    };
    let from = RequestContext::default();
    bencher.with_inputs(next).bench_local_values(|(name, password)| {
        let added = server.auth.sign_up(name, password, &from);
        server.runtime.block_on(added).expect("a strong password")
    });
}
