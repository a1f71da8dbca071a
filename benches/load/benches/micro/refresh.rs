//! A refresh, with and without a write.

use std::{cell::RefCell, time::Duration};

use divan::Bencher;

use crate::server::{Server, algorithms};

/// `Auth::refresh` before the window: the same token comes back.
#[divan::bench(args = algorithms(), sample_size = 256)]
fn early(bencher: Bencher, algorithm: &str) {
    let server = Server::new(algorithm, "").expect("a known algorithm");
    let token = server.sign_in();
    bencher.bench_local(|| server.refresh(&token));
}

/// Inside the window: a successor is made and is on the disk.
#[divan::bench(args = algorithms())]
fn minting(bencher: Bencher, algorithm: &str) {
    let server = Server::new(algorithm, "refresh_window = \"5m\"").expect("a known algorithm");
    let newest = RefCell::new(server.sign_in());
    // Past the grace of the one before, so that the session does not fill up.
    let later = || server.clock.advance(Duration::from_secs(11));
    bencher.with_inputs(later).bench_local_values(|()| {
        let successor = server.refresh(&newest.borrow());
        newest.replace(successor);
    });
}
