//! What a token costs: checked for the first time, checked again, and made.

use std::cell::RefCell;

use divan::Bencher;
use jwt_server::domain::BearerToken;

use crate::server::{Server, algorithms};

/// How many tokens there are to be seen for the first time, before they are anew.
const TOKENS: usize = 512;

/// `Auth::authenticate` of a token that this process has not seen.
#[divan::bench(args = algorithms(), sample_size = 256)]
fn first_seen(bencher: Bencher, algorithm: &str) {
    let server = Server::new(algorithm, "").expect("a known algorithm");
    let tokens: Vec<BearerToken> = (0..TOKENS).map(|_| server.sign_in()).collect();
    let turn = RefCell::new((0, server.anew()));
    let next = || {
        let (at, auth) = &mut *turn.borrow_mut();
        if *at == TOKENS {
            (*at, *auth) = (0, server.anew());
        }
        *at += 1;
        (auth.clone(), &tokens[*at - 1])
    };
    bencher.with_inputs(next).bench_local_values(|(auth, token)| {
        server
            .runtime
            .block_on(auth.authenticate(token))
            .expect("a good token")
    });
}

/// The same of one that it has seen.
#[divan::bench(args = algorithms(), sample_size = 256)]
fn seen_again(bencher: Bencher, algorithm: &str) {
    let server = Server::new(algorithm, "").expect("a known algorithm");
    let token = server.sign_in();
    bencher.bench_local(|| {
        server
            .runtime
            .block_on(server.auth.authenticate(&token))
            .expect("a good token")
    });
}

/// Nothing of the public interface signs alone: `Auth::refresh` of a token that has a successor already verifies the one and
/// signs the other, and writes nothing. What `tokens::seen_again` takes is to be taken off.
#[divan::bench(args = algorithms(), sample_size = 256)]
fn sign_and_verify(bencher: Bencher, algorithm: &str) {
    let server = Server::new(algorithm, "refresh_window = \"5m\"").expect("a known algorithm");
    let token = server.sign_in();
    server.refresh(&token);
    bencher.bench_local(|| server.refresh(&token));
}
