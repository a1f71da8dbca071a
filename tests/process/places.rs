//! Connections beyond the bounds: the one that has been idle longest makes room, and no request is cut.

use std::{net::Ipv4Addr, thread, time::Duration};

use crate::{
    client::{Connection, Deadline, PASSWORD, PATIENCE, json_head, with_token},
    server::{Home, Server},
};

const WHOAMI: &str = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A client at `127.0.0.last`, which has asked once and keeps its connection.
fn idle(server: &Server, last: u8) -> Connection {
    let mut connection = server.connect_from(Ipv4Addr::new(127, 0, 0, last)).unwrap();
    ask(&mut connection);
    connection
}

/// As [`idle`], of a client whose place becomes free at about this moment: the server notes that a connection waits only after
/// its client may have read the answer.
fn idle_soon(server: &Server, last: u8) -> Connection {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let mut connection = server.connect_from(Ipv4Addr::new(127, 0, 0, last)).unwrap();
        if connection.send(WHOAMI).is_ok()
            && let Ok(answer) = connection.answer()
        {
            answer.assert_status(200);
            return connection;
        }
        assert!(!deadline.is_over(), "there was no room in time");
    }
}

/// How long the server may take, after an answer, to note that the connection waits.
const NOTED: Duration = Duration::from_millis(50);

fn ask(connection: &mut Connection) {
    connection.send(WHOAMI).unwrap();
    connection.answer().unwrap().assert_status(200);
    thread::sleep(NOTED);
}

/// A client that has sent a half of its request's body.
fn busy(server: &Server, last: u8) -> Connection {
    let mut connection = server.connect_from(Ipv4Addr::new(127, 0, 0, last)).unwrap();
    let head = json_head("/signin", &["Content-Length: 30", "Expect: 100-continue"]);
    connection.send(head).unwrap();
    connection.answer().unwrap().assert_status(100);
    connection.send("{\"username\":").unwrap();
    connection
}

/// Sends the rest of the body.
fn assert_is_served(connection: &mut Connection) {
    connection.send("\"x\",\"password\":\"y\"").unwrap();
    connection.answer().unwrap().assert_status(400);
}

fn assert_is_closed(connection: &mut Connection) {
    assert_eq!(connection.rest().unwrap(), b"");
}

#[test]
fn the_connection_that_is_idle_longest_makes_room() {
    let home = Home::new();
    let server = home.server().flag("--server.max_connections", "4").start();
    let mut silent = server.connect();
    let mut half = server.connect();
    half.send(&WHOAMI[..20]).unwrap();
    let (mut one, mut other) = (idle(&server, 2), idle(&server, 3));
    let mut third = idle(&server, 4);
    assert_is_closed(&mut silent);
    let mut fourth = idle(&server, 5);
    assert_is_closed(&mut half);
    // It is no longer the one that has been idle longest.
    ask(&mut one);
    let mut fifth = idle(&server, 6);
    assert_is_closed(&mut other);
    for connection in [&mut one, &mut third, &mut fourth, &mut fifth] {
        ask(connection);
    }
}

#[test]
fn addresses_with_their_whole_share_shut_no_client_out() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--server.max_connections", "8")
        .flag("--server.max_connections_per_address", "2")
        .start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    let mut held = Vec::new();
    for last in [2, 2, 3, 3, 4, 4, 5, 5] {
        held.push(idle(&server, last));
    }
    for _ in 0..10 {
        let soon = Deadline::after(Duration::from_secs(2));
        server.me(&token).assert_status(200);
        assert!(!soon.is_over(), "a client of another address had to wait");
    }
    drop(held);
}

#[test]
fn no_request_is_cut_to_make_room() {
    let home = Home::new();
    let server = home.server().flag("--server.max_connections", "3").start();
    let mut running: Vec<_> = (2..5).map(|last| busy(&server, last)).collect();
    let client = server.client();
    let waiting = thread::spawn(move || client.ask(&with_token("GET", "/me", "x")));
    thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished(), "there was no place for it");
    // The first that is idle makes room at once.
    assert_is_served(&mut running[1]);
    waiting.join().unwrap().assert_status(401);
    assert_is_closed(&mut running[1]);
    for index in [0, 2] {
        assert_is_served(&mut running[index]);
    }
}

#[test]
fn one_address_can_not_take_every_connection() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--server.max_connections_per_address", "3")
        .start();
    let mut held: Vec<_> = (0..3).map(|_| busy(&server, 1)).collect();
    let mut other = idle(&server, 2);
    // The server accepts each of these and closes it without an answer.
    for _ in 0..3 {
        assert_is_closed(&mut server.connect());
    }
    // One that is idle makes room for another one of its address, and of no other.
    assert_is_served(&mut held[1]);
    let mut next = idle_soon(&server, 1);
    assert_is_closed(&mut held[1]);
    let mut last = idle_soon(&server, 1);
    assert_is_closed(&mut next);
    ask(&mut other);
    ask(&mut last);
    for index in [0, 2] {
        assert_is_served(&mut held[index]);
    }
}

#[test]
fn a_connection_that_closes_gives_its_place_back() {
    let home = Home::new();
    let server = home.server().flag("--server.max_connections", "3").start();
    for _ in 0..3 {
        let running: Vec<_> = (0..3).map(|_| busy(&server, 1)).collect();
        drop(running);
    }
    ask(&mut server.connect());
}
