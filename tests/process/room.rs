//! A disk that becomes full under a running server and has room again later: the server continues by itself and loses nothing
//! that it has answered, even after a kill in between. The disk is a small file system in memory where the system allows this
//! user to mount one. A limit on the length of files, which the test lifts again, works everywhere.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    client::{Answer, Client, Deadline, PASSWORD, PATIENCE, sign_in, sign_up, with_token},
    full::NO_ROOM,
    kill::{Acknowledged, refreshing, rounds},
    server::{Home, MOMENT, Program, Server},
};

/// What the log says when there is room again.
const ROOM_AGAIN: &str = "there is room on the disk again";

/// A disk that a test can fill and clear.
trait Disk {
    /// The server, with its database on this disk.
    fn under(&self, server: Program) -> Program;

    /// Takes all the room.
    fn fill(&self, server: &Server);

    fn clear(&self, server: &Server);
}

/// A disk that is full when the database's file has its present length.
struct Limit<'a>(&'a Home);

impl Disk for Limit<'_> {
    fn under(&self, server: Program) -> Program {
        // In blocks of at least 512 bytes: more than the test needs.
        server.longest_file(1 << 30)
    }

    fn fill(&self, server: &Server) {
        let length = fs::metadata(self.0.path("data/db")).unwrap().len();
        // Within a write.
        server.limit_files(Some(length + 1000));
    }

    fn clear(&self, server: &Server) {
        server.limit_files(None);
    }
}

/// A disk in memory, unmounted when this is dropped.
struct Small {
    keeper: Child,
    home: PathBuf,
}

impl Small {
    const BYTES: usize = 48 << 20;

    /// Returns `None` if this user may mount nothing.
    fn mount(home: &Home) -> Option<Self> {
        let disk = home.path("disk");
        fs::create_dir(&disk).unwrap();
        let size = Self::BYTES;
        let script = format!(
            "mount -t tmpfs -o size={size} none '{}' && echo mounted && exec cat",
            disk.display()
        );
        let mut keeper = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.take()?).read_line(&mut line).ok()?;
        let small = Self {
            keeper,
            home: home.path(""),
        };
        (line == "mounted\n").then_some(small)
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }

    /// A file of the disk, under a path of this process.
    fn path(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.id());
        let disk = self.home.join("disk").join(name);
        Path::new(&root).join(disk.strip_prefix("/").unwrap())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Disk for Small {
    fn under(&self, server: Program) -> Program {
        server
            .flag("--store.path", "disk/data")
            .among_mounts_of(self.keeper.id(), &self.home)
    }

    fn fill(&self, _: &Server) {
        let mut filler = File::create(self.path("filler")).unwrap();
        loop {
            match filler.write_all(&[7; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn clear(&self, _: &Server) {
        self.free();
    }
}

/// Sends requests that write, until there is no room. Returns what the server answered.
fn until_no_room(server: &Server, round: usize) -> Vec<Acknowledged> {
    let mut facts = Vec::new();
    for number in 0..5000 {
        let name = format!("filler-{round}-{number}");
        let answer = server.sign_up(&name, PASSWORD);
        if answer.status != 201 {
            answer.assert_problem(503, "storage_unavailable");
            return facts;
        }
        facts.push(Acknowledged::User(name));
    }
    panic!("there was room for all of {}", facts.len());
}

fn assert_all_hold<'a>(facts: impl IntoIterator<Item = &'a Acknowledged>, server: &Server) {
    for fact in facts {
        fact.assert_holds(server);
    }
}

fn assert_the_server_continues(home: &Home, disk: &dyn Disk) {
    const ROUNDS: usize = 3;
    let start = || refreshing(disk.under(home.server())).start();
    let server = start();
    let mut facts = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("ada-{round}");
        server.sign_up(&name, PASSWORD).assert_status(201);
        let [live, revoked, refused] = [(); 3].map(|()| server.sign_in(&name, PASSWORD).token());
        server.log_out(&revoked).assert_status(204);
        disk.fill(&server);
        facts.extend(until_no_room(&server, round));
        server.logs_times(NO_ROOM, round + 1);

        for answer in [
            server.sign_up("barbara", PASSWORD),
            server.sign_in(&name, PASSWORD),
            server.sign_in(&name, "wrong, but not known to be"),
            server.log_out(&refused),
            server.refresh(&live),
        ] {
            answer.assert_problem(503, "storage_unavailable");
        }
        server.me(&live).assert_status(200);
        server.me(&refused).assert_status(200);
        server.me(&revoked).assert_problem(401, "invalid_token");

        disk.clear(&server);
        server.logs_times(ROOM_AGAIN, round + 1);
        // A refused request has not taken effect, and a client can repeat it.
        server.me(&live).assert_status(200);
        server.me(&refused).assert_status(200);
        server.me(&revoked).assert_problem(401, "invalid_token");
        server.log_out(&refused).assert_status(204);
        server.me(&refused).assert_problem(401, "invalid_token");
        let successor = server.refresh(&live).token();
        server
            .sign_up(&format!("after-{round}"), PASSWORD)
            .assert_status(201);
        facts.push(Acknowledged::User(name));
        facts.push(Acknowledged::User(format!("after-{round}")));
        facts.extend([revoked, refused].map(Acknowledged::Revoked));
        facts.push(Acknowledged::Refreshed { old: live, successor });
        assert_all_hold(&facts, &server);
    }
    let log = server.kill().err;
    assert_eq!(log.matches(NO_ROOM).count(), ROUNDS, "{log}");
    assert_eq!(log.matches(ROOM_AGAIN).count(), ROUNDS, "{log}");
    assert!(!log.contains("internal error"), "{log}");

    let server = start();
    assert_all_hold(&facts, &server);
    assert!(
        !server.banner().contains("note: the signing key"),
        "{}",
        server.banner()
    );
}

#[test]
fn when_files_may_grow_again_the_server_continues_by_itself() {
    let home = Home::new();
    assert_the_server_continues(&home, &Limit(&home));
}

#[test]
fn when_a_disk_has_room_again_the_server_continues_by_itself() {
    let home = Home::new();
    match Small::mount(&home) {
        Some(disk) => assert_the_server_continues(&home, &disk),
        None => println!("not tried: this system lets this user make no mount of their own (unshare -rm)"),
    }
}

/// A client that works, and that the server refuses while there is no room.
struct Worker {
    client: Client,
    facts: Vec<Acknowledged>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// Why a worker did not finish its turn.
enum Cut {
    NoRoom,
    Gone,
}

impl Worker {
    fn work(mut self, name: &str) -> Vec<Acknowledged> {
        for turn in 0.. {
            match self.turn(&format!("{name}-{turn}")) {
                Ok(()) => {}
                Err(Cut::NoRoom) => thread::sleep(MOMENT),
                Err(Cut::Gone) => break,
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.facts
    }

    fn turn(&mut self, name: &str) -> Result<(), Cut> {
        self.ask(&sign_up(name, PASSWORD), 201)?;
        self.note(Acknowledged::User(name.to_owned()));
        let old = self.ask(&sign_in(name, PASSWORD), 200)?.token();
        self.note(Acknowledged::Live(old.clone()));
        let successor = self.ask(&with_token("GET", "/refresh", &old), 200)?.token();
        self.note(Acknowledged::Refreshed { old, successor });
        let revoked = self.ask(&sign_in(name, PASSWORD), 200)?.token();
        self.ask(&with_token("POST", "/logout", &revoked), 204)?;
        self.note(Acknowledged::Revoked(revoked));
        // What the server has answered holds at every moment.
        for fact in self.facts.iter().rev().take(3) {
            let (token, status) = match fact {
                Acknowledged::User(_) | Acknowledged::PasswordChanged(_) | Acknowledged::Deleted(_) => {
                    continue;
                }
                Acknowledged::Rotated { access, .. } => (access, 200),
                Acknowledged::Live(token) => (token, 200),
                Acknowledged::Refreshed { successor, .. } => (successor, 200),
                Acknowledged::Revoked(token) => (token, 401),
            };
            let me = self
                .client
                .try_ask(&with_token("GET", "/me", token))
                .map_err(|_| Cut::Gone)?;
            assert_eq!(me.status, status, "{fact:?}");
        }
        Ok(())
    }

    fn ask(&self, request: &str, status: u16) -> Result<Answer, Cut> {
        let answer = self.client.try_ask(request).map_err(|_| Cut::Gone)?;
        if answer.status == 503 {
            return Err(Cut::NoRoom);
        }
        answer.assert_status(status);
        Ok(answer)
    }

    fn note(&mut self, fact: Acknowledged) {
        self.facts.push(fact);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Four clients at work.
struct Load {
    workers: Vec<JoinHandle<Vec<Acknowledged>>>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn on(server: &Server, round: usize) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let worker = |number| {
            let worker = Worker {
                client: server.client(),
                facts: Vec::new(),
                answered: Arc::clone(&answered),
                stop: Arc::clone(&stop),
            };
            thread::spawn(move || worker.work(&format!("user-{round}-{number}")))
        };
        Self {
            workers: (0..4).map(worker).collect(),
            answered,
            stop,
        }
    }

    /// Waits until the server has given so many more answers.
    fn until_answered(&self, more: usize) {
        let (from, deadline) = (self.answered.load(Ordering::Relaxed), Deadline::after(PATIENCE));
        while self.answered.load(Ordering::Relaxed) < from + more {
            assert!(!deadline.is_over(), "the clients make no progress");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let facts = self.workers.into_iter().flat_map(|worker| worker.join().unwrap());
        facts.collect()
    }
}

#[test]
fn full_disks_and_kill_9_lose_nothing_that_was_answered() {
    const ROUNDS: usize = 4;
    /// How many facts of earlier rounds the test checks again after each round. After the last one it checks all.
    const AGAIN: usize = 200;
    let home = Home::new();
    let Some(disk) = Small::mount(&home) else {
        println!("not tried: this system lets this user make no mount of their own (unshare -rm)");
        return;
    };
    let rounds = rounds(ROUNDS);
    let start = || refreshing(disk.under(home.server())).start();
    let mut server = start();
    let (mut facts, mut outages) = (Vec::new(), 0);
    for round in 0..rounds {
        let load = Load::on(&server, round);
        // Another number each time, so that the outage interrupts other work.
        load.until_answered(20 + 7 * (round % 20));
        disk.fill(&server);
        outages += 1;
        server.logs_times(NO_ROOM, outages);
        match round % 4 {
            1 => {
                // During the outage.
                server.kill();
                disk.free();
                (server, outages) = (start(), 0);
            }
            3 => {
                // About when the server opens its database again.
                disk.free();
                thread::sleep(Duration::from_millis(53 * (round as u64 % 24)));
                server.kill();
                (server, outages) = (start(), 0);
            }
            _ => {
                disk.free();
                server.logs_times(ROOM_AGAIN, outages);
                load.until_answered(20);
            }
        }
        let earlier = facts.len();
        facts.extend(load.stop());
        assert_all_hold(&facts[earlier..], &server);
        // A later outage has lost none of the earlier facts. The stride selects others each time.
        let stride = earlier / AGAIN + 1;
        let some = facts[..earlier].iter().skip(round % stride).step_by(stride);
        assert_all_hold(some, &server);
    }
    let log = server.kill().err;
    assert!(!log.contains("internal error"), "{log}");
    let server = start();
    assert_all_hold(&facts, &server);
    println!(
        "{rounds} rounds of a full disk, every other one with kill -9, {} acknowledged writes, none lost",
        facts.len()
    );
}
