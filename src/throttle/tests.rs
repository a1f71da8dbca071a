//! The throttle alone: its memory, what it keeps, and who shares a place with whom.

use std::{
    env, fs, iter,
    net::Ipv4Addr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    counters::longest_memory,
    places::{KINDS, PLACES_EACH},
    *,
};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    config::Config,
    config::StoreConfig,
    domain::{DeviceSignIn, Session},
    store::{self, UserCreation},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

async fn open(directory: &tempfile::TempDir) -> Arc<dyn Store> {
    let config = StoreConfig {
        path: directory.path().to_owned(),
        cache: 1 << 20,
    };
    store::open(&config, NOW, iter::empty().collect()).await.unwrap()
}

async fn throttle(directory: &tempfile::TempDir) -> Throttle {
    let store = open(directory).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let config = Config::default().throttle;
    Throttle::load(&config, store, clock).await.unwrap()
}

/// How much memory the process has, in KiB; nothing where the system does not say.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_bounds_the_memory_for_any_number_of_names() {
    let directory = tempfile::tempdir().unwrap();
    let throttle = throttle(&directory).await;
    let many = env::var("JWT_SERVER_NAMES").map_or(100_000, |many| many.parse().unwrap());
    let before = resident();
    for n in 0..many {
        let name = Username::parse(&format!("user{n}")).unwrap();
        let address = ClientAddress::new(Ipv4Addr::from_bits(0x0B00_0000 + n).into());
        // Refused or not: both is remembered.
        let _ = throttle.admit(Some(&name), None, Some(address)).await;
        let _ = throttle.admit_foreign_token(UserId::generate(NOW));
    }
    let after = resident();
    let places = (KINDS * PLACES_EACH) as usize;
    let (capacity, changed) = throttle.0.table.lock().capacity();
    assert_eq!(capacity, places);
    assert!(changed > places / 3 && changed <= places, "{changed}");
    throttle.keep().await.unwrap();
    assert_eq!(throttle.0.table.lock().capacity().1, 0);
    // Other tests run beside this one: the figure means something when it runs alone.
    println!(
        "resident before: {before:?} KiB, after: {after:?} KiB, kept: {:?} KiB",
        resident()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_attempts_are_found_again_and_forgotten_ones_go() {
    let directory = tempfile::tempdir().unwrap();
    let first = throttle(&directory).await;
    let name = Username::parse("ada").unwrap();
    let address = Some(ClientAddress::new([192, 0, 2, 1].into()));
    for _ in 0..30 {
        assert!(first.admit(Some(&name), None, address).await.is_ok());
    }
    first.keep().await.unwrap();
    let kept = first.0.store.attempts().await.unwrap().unwrap();
    assert_eq!(
        kept.places.len(),
        3,
        "the line, whose failures those are, and the bucket"
    );
    drop(first);

    let second = throttle(&directory).await;
    assert!(second.admit(Some(&name), None, address).await.is_err());
    let later = ManualClock::new(NOW.plus(Duration::from_hours(26)));
    let (config, store) = (Config::default().throttle, Arc::clone(&second.0.store));
    let third = Throttle::load(&config, store, Arc::new(later)).await.unwrap();
    assert!(third.admit(Some(&name), None, None).await.is_ok());
    third.keep().await.unwrap();
    let kept = third.0.store.attempts().await.unwrap().unwrap();
    assert_eq!(kept.places.len(), 2, "the line, anew, and whose failure that is");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_attempts_are_admitted_as_if_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let throttle = throttle(&directory).await;
    let mut config = Config::default().throttle;
    config.address_failures = 1000.try_into().unwrap();
    throttle.apply(&config);
    let (ada, home) = (
        User::sample("ada", NOW),
        ClientAddress::new([192, 0, 2, 1].into()),
    );
    let created = throttle
        .0
        .store
        .create_user(ada.clone(), Some(home.network()))
        .await;
    assert_eq!(created.unwrap(), UserCreation::Created);
    let mut running = Vec::new();
    for _ in 0..200 {
        let admitted = throttle.admit(Some(&ada.username), Some(&ada), Some(home)).await;
        running.extend(admitted.ok());
    }
    assert_eq!(
        running.len(),
        130,
        "a hundred of its own, and a stranger's thirty"
    );
    for attempt in running {
        attempt.unchecked();
    }
    for _ in 0..100 {
        let attempt = throttle.admit(Some(&ada.username), Some(&ada), Some(home)).await;
        assert!(attempt.is_ok(), "no password was checked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_token_has_a_hundred_failures_however_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let throttle = throttle(&directory).await;
    let (ada, eve) = (User::sample("ada", NOW), User::sample("eve", NOW));
    let (own, other) = ([1; 32], [2; 32]);
    let [own, other] = [own, other].map(DeviceTokenHash::from_bytes);
    for user in [&ada, &eve] {
        let created = throttle.0.store.create_user(user.clone(), None).await;
        assert_eq!(created.unwrap(), UserCreation::Created);
    }
    let hour = Duration::from_hours(1);
    for token in [own, other] {
        let (session, _) = Session::start(ada.id, hour, hour, NOW);
        let given = Some(DeviceSignIn::Given(token));
        let opened = throttle.0.store.open_session(session, 0, 9, given).await;
        assert!(opened.unwrap().is_some());
    }
    let mut running = Vec::new();
    for _ in 0..200 {
        running.extend(throttle.admit_device(Some(&ada), Some(own)).await.unwrap());
    }
    assert_eq!(running.len(), 100);
    let of = |user: Option<User>, token| {
        let throttle = &throttle;
        async move {
            throttle
                .admit_device(user.as_ref(), token)
                .await
                .unwrap()
                .is_some()
        }
    };
    assert!(of(Some(ada.clone()), Some(other)).await, "each by itself");
    for (user, token) in [
        (Some(eve), Some(own)),
        (None, Some(own)),
        (Some(ada.clone()), None),
    ] {
        assert!(!of(user, token).await);
    }
    // One that was not checked is taken back, and a right password takes back all.
    running.pop().unwrap().unchecked();
    assert!(of(Some(ada.clone()), Some(own)).await);
    assert!(!of(Some(ada.clone()), Some(own)).await);
    running.pop().unwrap().right();
    for _ in 0..100 {
        assert!(of(Some(ada.clone()), Some(own)).await);
    }
    assert!(!of(Some(ada), Some(own)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_accounts_at_one_address_get_no_more_than_turns() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let config = Config::default().throttle;
    let throttle = Throttle::load(&config, Arc::clone(&store), Arc::clone(&clock) as _)
        .await
        .unwrap();
    let home = ClientAddress::new([192, 0, 2, 1].into());
    let users: Vec<_> = (0..20).map(|n| User::sample(&format!("user{n}"), NOW)).collect();
    for user in &users {
        let created = store.create_user(user.clone(), Some(home.network())).await;
        assert_eq!(created.unwrap(), UserCreation::Created);
    }
    let mut admitted = vec![0; users.len()];
    let mut unchecked = 0;
    for second in 0..1800 {
        for (user, admitted) in users.iter().zip(&mut admitted) {
            let attempt = throttle.admit(Some(&user.username), Some(user), Some(home)).await;
            match attempt {
                // A full queue costs no turn: the same account has it again.
                Ok(attempt) if second % 7 == 3 => {
                    attempt.unchecked();
                    unchecked += 1;
                }
                Ok(_) => *admitted += 1,
                Err(_) => {}
            }
        }
        clock.advance(Duration::from_secs(1));
    }
    let all: u32 = admitted.iter().sum();
    assert!(unchecked > 0 && all <= 100 + 2 * 180 + 2, "{all} in half an hour");
    // Those that had the hundred of the address are the first ones; the turns go around.
    assert!(admitted.iter().all(|of_one| *of_one >= 7), "{admitted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_forgives_only_its_own_account() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let config = Config::default().throttle;
    let throttle = Throttle::load(&config, store, Arc::clone(&clock) as _)
        .await
        .unwrap();
    let ada = Username::parse("ada").unwrap();
    let line = |name: &Username| throttle.0.place(Kind::Line, name.as_str(), None);
    let mut names = (0..).map(|n| Username::parse(&format!("mallory{n}")).unwrap());
    let mallory = names.find(|name| line(name) == line(&ada)).unwrap();
    let network = |n: u8| Some(ClientAddress::new([198, 51, 100, n].into()));
    for _ in 0..30 {
        assert!(throttle.admit(Some(&ada), None, network(1)).await.is_ok());
    }
    // Who made that account may sign in to it, when their turn comes, and be a stranger again from elsewhere.
    assert!(throttle.admit(Some(&mallory), None, network(2)).await.is_err());
    clock.advance(Duration::from_secs(30));
    let attempt = throttle
        .admit(Some(&mallory), None, network(2))
        .await
        .ok()
        .unwrap();
    attempt.right();
    assert!(throttle.admit(Some(&ada), None, network(3)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_ends_while_attempts_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let throttle = throttle(&directory).await;
    let (table, over) = (throttle.0.table.clone(), Arc::new(AtomicBool::new(false)));
    table.lock().mark_changed(7);
    let flood = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                table.lock().mark_changed(7);
                thread::yield_now();
            }
        })
    };
    let kept = tokio::time::timeout(Duration::from_secs(5), throttle.keep()).await;
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    kept.expect("it writes what had changed, and not for ever")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_years_ahead_shuts_no_client_out() {
    let directory = tempfile::tempdir().unwrap();
    let before = throttle(&directory).await;
    let ahead = ManualClock::new(NOW.plus(Duration::from_hours(365 * 24)));
    let (config, store) = (Config::default().throttle, Arc::clone(&before.0.store));
    let wrong = Throttle::load(&config, store, Arc::new(ahead)).await.unwrap();
    let name = Username::parse("ada").unwrap();
    let address = Some(ClientAddress::new([192, 0, 2, 1].into()));
    for _ in 0..40 {
        let _ = wrong.admit(Some(&name), None, address).await;
    }
    wrong.keep().await.unwrap();

    let store = Arc::clone(&before.0.store);
    let right = Throttle::load(&config, store, Arc::clone(&before.0.clock))
        .await
        .unwrap();
    assert!(right.admit(Some(&name), None, address).await.is_ok());
    right.keep().await.unwrap();
    let kept = right.0.store.attempts().await.unwrap().unwrap();
    assert!(
        kept.places
            .iter()
            .all(|(_, attempts)| attempts.at <= NOW.plus(longest_memory(&config)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_shuts_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let before = throttle(&directory).await;
    let ahead = SettableClock(Mutex::new(NOW.plus(Duration::from_hours(365 * 24))));
    let (config, clock) = (Config::default().throttle, Arc::new(ahead));
    let throttle = Throttle::load(&config, Arc::clone(&before.0.store), Arc::clone(&clock) as _)
        .await
        .unwrap();
    let name = Username::parse("ada").unwrap();
    let address = Some(ClientAddress::new([192, 0, 2, 1].into()));
    for _ in 0..40 {
        let _ = throttle.admit(Some(&name), None, address).await;
    }
    assert!(throttle.admit(Some(&name), None, address).await.is_err());
    *clock.0.lock().unwrap() = NOW;
    throttle.go_back();
    assert!(throttle.admit(Some(&name), None, address).await.is_ok());
    // The buckets refill by the time that there is now.
    for _ in 0..config.address_failures.get() {
        let _ = throttle.admit(None, None, address).await;
    }
    assert!(throttle.admit(None, None, address).await.is_err());
    *clock.0.lock().unwrap() = NOW.plus(config.address_refill);
    assert!(throttle.admit(None, None, address).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_in_doubt_forgets_no_failure() {
    /// It shows a year later, which is not certain.
    struct InDoubt;

    impl Clock for InDoubt {
        fn now(&self) -> Timestamp {
            NOW.plus(Duration::from_hours(365 * 24))
        }

        fn settled(&self) -> Timestamp {
            NOW
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let before = throttle(&directory).await;
    let name = Username::parse("ada").unwrap();
    let address = Some(ClientAddress::new([192, 0, 2, 1].into()));
    let _ = before.admit(Some(&name), None, address).await;
    before.keep().await.unwrap();
    let store = Arc::clone(&before.0.store);
    let kept = store.attempts().await.unwrap();
    assert!(!kept.as_ref().unwrap().places.is_empty());
    let wrong = Throttle::load(&Config::default().throttle, Arc::clone(&store), Arc::new(InDoubt))
        .await
        .unwrap();
    wrong.keep().await.unwrap();
    assert_eq!(store.attempts().await.unwrap(), kept);
}

/// A clock that a test sets.
struct SettableClock(Mutex<Timestamp>);

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_limits_hold_for_the_next_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let throttle = throttle(&directory).await;
    let address = Some(ClientAddress::new([192, 0, 2, 1].into()));
    let mut config = Config::default().throttle;
    for _ in 0..3 {
        assert!(throttle.admit(None, None, address).await.is_ok());
    }
    config.address_failures = 3.try_into().unwrap();
    throttle.apply(&config);
    assert!(
        throttle.admit(None, None, address).await.is_err(),
        "three were counted"
    );
    config.address_failures = 5.try_into().unwrap();
    throttle.apply(&config);
    for admitted in [true, true, false] {
        let attempt = throttle.admit(None, None, address).await;
        assert_eq!(attempt.is_ok(), admitted, "and stay counted");
    }
}
