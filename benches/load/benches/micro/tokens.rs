//! What a token costs: checked for the first time, checked again, and made.

use std::cell::RefCell;

use divan::Bencher;
use jwt_server::domain::BearerToken;

use crate::server::{Restarted, Server, algorithms};

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

/// How many live sessions there are to be asked for at random.
const LIVE: usize = 100_000;

/// `Auth::authenticate` of any of a hundred thousand tokens, each seen before, in a server that has just been started. What
/// it takes longer than `seen_again` is the time until memory answers.
#[divan::bench(sample_size = 1000, sample_count = 500)]
fn seen_again_of_many(bencher: Bencher) {
    let server = Restarted::signed_in(LIVE);
    let ask = |token: &BearerToken| {
        let asked = server.auth.authenticate(token);
        server.runtime.block_on(asked).expect("a good token")
    };
    for token in &server.tokens {
        ask(token);
    }
    let turn = RefCell::new(1_u64);
    // Anew, because a token that is presented has just been read from a socket.
    let next = || {
        let state = &mut *turn.borrow_mut();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(*state >> 33).expect("31 bits") % server.tokens.len();
        BearerToken::parse(server.tokens[at].expose()).expect("a token")
    };
    bencher.with_inputs(next).bench_local_refs(|token| ask(token));
}
