//! Memory, start and speed with more and more users and sessions.

use std::{fs, path::Path, str::FromStr, thread, time::Duration};

use anyhow::{Context, Error, Result, ensure};

use super::{Pair, TURNS, WARM_UP, bearer, sign_in, steady};
use crate::{
    bench::Bench,
    description::{Values, person},
    fill::{Filling, Live, fill, visitor},
    machine::Cores,
    table::{Series, Table, mib},
    wrk::{Load, Order},
};

/// So many of the sessions have tokens that are known: those that requests are made with.
const KNOWN: usize = 100_000;
const FLOOD: usize = 256;
const VISITORS: usize = 64;
/// So long after the start the memory is read.
const SETTLING: Duration = Duration::from_secs(1);

/// What is in a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    pub(crate) users: usize,
    /// How many of the users have a session.
    pub(crate) sessions: usize,
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (users, sessions) = text.split_once(':').unwrap_or((text, text));
        let size = Self {
            users: users.parse()?,
            sessions: sessions.parse()?,
        };
        ensure!(size.sessions > 0, "without a session there is nothing to measure");
        ensure!(size.sessions <= size.users, "a user has no more than one session");
        Ok(size)
    }
}

/// What was taken of one database. Memory is in MiB, and resident.
#[derive(Default)]
struct Row {
    first_answer: Series,
    whole: Series,
    at_start: Series,
    loaded: Series,
    flooded: Series,
    speed: Pair,
    disk: f64,
}

/// Where the server is measured, and with what.
struct Place<'a> {
    bench: &'a Bench,
    data: &'a Path,
    cores: &'a Cores,
    /// Requests with the tokens that are known.
    requests: &'a Path,
    /// One of these tokens.
    token: &'a Values,
    /// Sign-ins.
    flood: &'a Path,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let (cores, options) = (Cores::ONE, &bench.options);
    let sizes = in_order(&options.sizes)?;
    let data = bench.fresh("growth")?;
    let can_sign_in = Filling::CanSignIn {
        users: VISITORS,
        cost: bench.cost(),
    };
    fill(&data, bench.algorithm(), &[can_sign_in])?;
    let flood = (0..VISITORS).map(|number| person(&visitor(number)));
    let flood = bench.requests("flood.requests", &bench.ours.sign_in, flood)?;

    let mut table = Table::new([
        "users",
        "live sessions",
        "first answer ms",
        "all sessions read ms",
        "MiB at start",
        "MiB after /welcome",
        "MiB at most in a flood",
        "flood to idle",
        "MiB on disk",
        "/welcome/s",
        "to bare warp",
    ]);
    let mut empty = Row::default();
    for _ in 0..options.rounds {
        let data = bench.fresh("empty")?;
        let server = bench.server(&data, &[], &cores)?;
        empty.first_answer.add(millis(server.first_answer));
        thread::sleep(SETTLING);
        empty.at_start.add(mib(server.usage()?.resident));
        empty.disk = mib(size(&data)?);
    }
    table.row(empty.cells(Size::default()));

    let (mut filled, mut tokens) = (Size::default(), Vec::new());
    for to in sizes {
        tokens.append(&mut fill(&data, bench.algorithm(), &steps(filled, to))?);
        filled = to;
        let requests = tokens.iter().map(|token| bearer(token));
        let place = Place {
            bench,
            data: &data,
            cores: &cores,
            requests: &bench.requests("growth.requests", &bench.ours.guarded, requests)?,
            token: &bearer(tokens.get(tokens.len() / 2).context("no user was signed in")?),
            flood: &flood,
        };
        bench.settle()?;
        let mut row = Row::default();
        for round in 1..=options.rounds {
            eprintln!("growth: {to:?}, round {round}");
            row.measure(&place)?;
        }
        row.disk = mib(size(&data)?);
        table.row(row.cells(to));
    }
    Ok(format!(
        "## Growth\n\n\
         The server on one core. GET /welcome over 64 connections with tokens drawn at random from all sessions, or from {KNOWN} \
         of them. The first answer is the first /welcome that is granted, of the empty database the first answer at all. The flood is \
         {FLOOD} connections that sign in (bcrypt at cost {}); the memory is what is resident.\n\n{table}",
        bench.cost()
    ))
}

/// `sizes` in an order in which a database only grows.
fn in_order(sizes: &[Size]) -> Result<Vec<Size>> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    ensure!(
        sizes.is_sorted_by_key(|size| size.sessions),
        "with more users there can't be fewer sessions: a database only grows"
    );
    Ok(sizes)
}

/// What a database lacks from one size to a larger one. The first users have the sessions, and the first [`KNOWN`] of these
/// have tokens that are known.
fn steps(from: Size, to: Size) -> Vec<Filling> {
    let (old, new) = (from.users, to.users);
    let (has, gets) = (from.sessions, to.sessions);
    let part = |first: usize, end: usize, there, session| Filling::Residents {
        numbers: first..end.max(first),
        there,
        session,
    };
    let parts = [
        part(has, gets.min(old).min(KNOWN), true, Live::Known),
        part(has.max(KNOWN), gets.min(old), true, Live::Unknown),
        part(old, gets.min(KNOWN), false, Live::Known),
        part(old.max(KNOWN), gets, false, Live::Unknown),
        part(old.max(gets), new, false, Live::No),
    ];
    let has_some =
        |filling: &Filling| !matches!(filling, Filling::Residents { numbers, .. } if numbers.is_empty());
    parts.into_iter().filter(has_some).collect()
}

impl Row {
    fn measure(&mut self, place: &Place) -> Result<()> {
        let (bench, cores) = (place.bench, place.cores);
        let cost = bench.cost().to_string();
        let load = steady(place.requests, bench.options.seconds, cores);
        let once = Load {
            order: Order::Once,
            seconds: 10 * load.seconds,
            ..load.clone()
        };
        let short = Load {
            seconds: WARM_UP,
            ..load.clone()
        };
        let guarded = bench.ours.guarded.raw(place.token);
        let whole = bench.whole(place.token)?;
        let flags = ["--password.bcrypt_cost", &cost];
        let mut server = bench.server_asked(place.data, &flags, cores, &guarded)?;
        self.first_answer.add(millis(server.first_answer));
        self.whole.add(millis(server.granted_after(&whole)?));
        thread::sleep(SETTLING);
        self.at_start.add(mib(server.usage()?.resident));

        once.send(server.port)?;
        short.send(server.port)?;
        let bare = bench.twin(false, cores)?;
        short.send(bare.port)?;
        self.speed.take(&server, &bare, &load, TURNS)?;
        self.loaded.add(mib(server.usage()?.resident));
        if let Err(error) = server.forget_peak() {
            eprintln!("{error:#}: it is that since the start");
        }
        sign_in::load(place.flood, FLOOD, bench.options.seconds, cores).send(server.port)?;
        self.flooded.add(mib(server.usage()?.peak));
        Ok(())
    }

    fn cells(&self, size: Size) -> [String; 11] {
        [
            size.users.to_string(),
            size.sessions.to_string(),
            self.first_answer.to_string(),
            self.whole.to_string(),
            self.at_start.to_string(),
            self.loaded.to_string(),
            self.flooded.to_string(),
            self.flooded.to(&self.loaded).to_string(),
            crate::table::short(self.disk),
            self.speed.server.rate.to_string(),
            self.speed.ratio().to_string(),
        ]
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// How much the files in a folder hold, in bytes.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() {
            size(&entry.path())?
        } else {
            kind.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(text: &[&str]) -> Vec<Size> {
        text.iter().map(|size| size.parse().unwrap()).collect()
    }

    #[test]
    fn a_size_is_users_with_a_session_each_or_users_and_sessions() {
        let size = |users, sessions| Size { users, sessions };
        assert_eq!(sizes(&["5", "5:2"]), [size(5, 5), size(5, 2)]);
        for bad in ["", "0", "5:0", "5:6", "5:", ":5", "1:1:1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_database_only_grows() {
        let order = |text: &[&str]| in_order(&sizes(text)).ok();
        assert_eq!(
            order(&["20", "1", "20:5", "3"]).unwrap(),
            sizes(&["1", "3", "20:5", "20"])
        );
        assert_eq!(order(&["10", "20:5"]), None);
    }

    #[test]
    fn every_user_is_filled_in_once_and_gets_a_session_once() {
        let sizes = in_order(&sizes(&[
            "1",
            "1000",
            "300000:2000",
            "300000:150000",
            "300000",
            "400000",
        ]));
        let (mut users, mut sessions, mut known, mut filled) = (0, 0, 0, Size::default());
        for to in sizes.unwrap() {
            for step in steps(filled, to) {
                let Filling::Residents {
                    numbers,
                    there,
                    session,
                } = step
                else {
                    panic!("{step:?}");
                };
                if !there {
                    assert_eq!(numbers.start, users);
                    users = numbers.end;
                }
                if session != Live::No {
                    assert_eq!(numbers.start, sessions);
                    sessions = numbers.end;
                }
                if session == Live::Known {
                    known = numbers.end;
                }
                assert!(sessions <= users);
            }
            filled = to;
            assert_eq!((users, sessions), (to.users, to.sessions));
            assert_eq!(known, sessions.min(KNOWN));
        }
    }
}
