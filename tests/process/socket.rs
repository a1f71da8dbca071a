//! The socket: clients that are slow, send too much, or send garbage. The server cuts each off or answers with an error, and
//! serves other clients without delay.

use std::{io, thread, time::Duration};

use crate::{
    client::{Answer, Connection, Deadline, PASSWORD, json_head, post_json, with_token},
    server::{Home, Server},
};

/// The unfinished header of a request.
const HALF_A_HEADER: &str = "GET /me HTTP/1.1\r\nHost: loc";
/// A request without credentials.
const WITHOUT_TOKEN: &str = "GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// `server.max_body`, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// A server with short timeouts, and the token of a signed-in user.
struct Scene {
    server: Server,
    token: String,
    // Dropped last: the server needs its directory as long as it runs.
    _home: Home,
}

fn scene() -> Scene {
    let home = Home::new();
    let server = home
        .server()
        .flag("--server.header_timeout", "300ms")
        .flag("--server.idle_timeout", "300ms")
        .flag("--server.body_timeout", "300ms")
        .start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    Scene {
        server,
        token,
        _home: home,
    }
}

impl Scene {
    fn connect(&self) -> Connection {
        self.server.connect()
    }

    /// Asserts that the server answers another client within a second.
    #[track_caller]
    fn assert_others_are_served(&self) {
        let soon = Deadline::after(Duration::from_secs(1));
        self.server.me(&self.token).assert_status(200);
        assert!(!soon.is_over(), "another client waited for more than a second");
    }

    /// Asserts that the server soon closes `connection` without an answer.
    #[track_caller]
    fn assert_cut_off(&self, connection: &mut Connection) {
        let soon = Deadline::after(Duration::from_secs(3));
        self.assert_others_are_served();
        let rest = connection.rest().unwrap();
        assert_eq!(rest, b"", "{}", String::from_utf8_lossy(&rest));
        assert!(!soon.is_over(), "the connection was closed late");
    }
}

/// The answer to a request that the server may refuse before it has read all of it.
fn send_and_answer(connection: &mut Connection, text: impl AsRef<[u8]>) -> io::Result<Answer> {
    // The server may have closed its end, after it answered.
    let _ = connection.send(text);
    connection.answer()
}

fn chunk(content: &str) -> String {
    format!("{:x}\r\n{content}\r\n", content.len())
}

#[test]
fn half_a_header_is_cut_off() {
    let scene = scene();
    let mut slow = scene.connect();
    slow.send(HALF_A_HEADER).unwrap();
    scene.assert_cut_off(&mut slow);
}

#[test]
fn a_header_that_drips_in_is_cut_off() {
    let scene = scene();
    let mut slow = scene.connect();
    slow.send(HALF_A_HEADER).unwrap();
    let soon = Deadline::after(Duration::from_secs(3));
    while slow.send("x").is_ok() {
        assert!(!soon.is_over(), "a byte now and then keeps a connection open");
        thread::sleep(Duration::from_millis(20));
    }
    scene.assert_others_are_served();
}

#[test]
fn silence_before_or_after_a_request_is_cut_off() {
    let scene = scene();
    let mut silent = scene.connect();
    scene.assert_cut_off(&mut silent);

    let home = Home::new();
    let server = home
        .server()
        .flag("--server.header_timeout", "300ms")
        .flag("--server.idle_timeout", "2s")
        .start();
    let mut silenced = server.connect();
    let late = Deadline::after(Duration::from_secs(2));
    for pause in [0, 1500] {
        thread::sleep(Duration::from_millis(pause));
        silenced.send(WITHOUT_TOKEN).unwrap();
        silenced.answer().unwrap().assert_status(401);
    }
    assert_eq!(silenced.rest().unwrap(), b"");
    assert!(late.is_over(), "an idle connection was closed early");
    // A header that begins on an idle connection has no more time than another one.
    let mut slow = server.connect();
    slow.send(WITHOUT_TOKEN).unwrap();
    slow.answer().unwrap().assert_status(401);
    slow.send(HALF_A_HEADER).unwrap();
    let soon = Deadline::after(Duration::from_millis(1500));
    assert_eq!(slow.rest().unwrap(), b"");
    assert!(!soon.is_over(), "the connection was closed late");
}

/// The server gives the buffers of an idle connection back after a second.
#[test]
fn a_request_in_pieces_is_the_same_request() {
    let home = Home::new();
    send_in_pieces(&home.start(), Duration::from_millis(1400));
}

/// The server gives the buffers of an idle connection back at once if a quarter of all connections has some.
#[test]
fn a_request_in_pieces_is_the_same_without_buffers() {
    let home = Home::new();
    let server = home.server().flag("--server.max_connections", "2").start();
    send_in_pieces(&server, Duration::from_millis(50));
}

fn send_in_pieces(server: &Server, pause: Duration) {
    let pause = || thread::sleep(pause);
    let mut connection = server.connect();
    let (one, rest) = WITHOUT_TOKEN.split_at(9);
    let (other, last) = rest.split_at(9);
    for (piece, wait) in [(one, true), (other, true), (last, false), (WITHOUT_TOKEN, false)] {
        connection.send(piece).unwrap();
        if wait {
            pause();
        }
    }
    for _ in 0..2 {
        connection.answer().unwrap().assert_problem(401, "missing_token");
    }
    pause();
    connection.send([WITHOUT_TOKEN, one].concat()).unwrap();
    connection.answer().unwrap().assert_problem(401, "missing_token");
    pause();
    connection.send(rest).unwrap();
    connection.answer().unwrap().assert_problem(401, "missing_token");
    let long = format!(
        "GET /me HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n",
        "x".repeat(9000)
    );
    connection.send(long).unwrap();
    pause();
    connection.send("\r\n").unwrap();
    connection.answer().unwrap().assert_problem(401, "missing_token");
    // More than the server answers at a time.
    connection.send(WITHOUT_TOKEN.repeat(100)).unwrap();
    for _ in 0..100 {
        connection.answer().unwrap().assert_problem(401, "missing_token");
    }
}

#[test]
fn a_body_that_stops_halfway_is_answered_408() {
    let scene = scene();
    let mut slow = scene.connect();
    slow.send(json_head("/signin", &["Content-Length: 100"]) + "{\"username\": ")
        .unwrap();
    let soon = Deadline::after(Duration::from_secs(3));
    scene.assert_others_are_served();
    slow.answer().unwrap().assert_problem(408, "body_timeout");
    assert_eq!(slow.rest().unwrap(), b"");
    assert!(!soon.is_over(), "the connection was closed late");
}

#[test]
fn a_body_that_drips_in_is_answered_408() {
    let scene = scene();
    let mut slow = scene.connect();
    slow.send(json_head("/signup", &["Transfer-Encoding: chunked"]))
        .unwrap();
    let soon = Deadline::after(Duration::from_secs(3));
    while slow.send(chunk(" ")).is_ok() {
        assert!(!soon.is_over(), "a byte now and then keeps a request open");
        thread::sleep(Duration::from_millis(20));
    }
    slow.answer().unwrap().assert_problem(408, "body_timeout");
    scene.assert_others_are_served();
}

#[test]
fn a_body_of_ten_gibibytes_is_answered_413_before_it_is_read() {
    let scene = scene();
    let mut greedy = scene.connect();
    // Well before the body's timeout.
    let soon = Deadline::after(Duration::from_millis(250));
    greedy
        .send(json_head("/signup", &["Content-Length: 10737418240"]))
        .unwrap();
    let answer = greedy.answer().unwrap();
    assert!(
        !soon.is_over(),
        "the server waited for a body that it does not read"
    );
    answer.assert_problem(413, "body_too_large");
    assert_eq!(greedy.rest().unwrap(), b"");
    scene.assert_others_are_served();
}

#[test]
fn endless_chunks_are_answered_413() {
    let scene = scene();
    let mut greedy = scene.connect();
    greedy
        .send(json_head("/signup", &["Transfer-Encoding: chunked"]))
        .unwrap();
    let more = chunk(&" ".repeat(4096));
    let mut sent = 0;
    while sent < 1 << 30 && greedy.send(&more).is_ok() {
        sent += more.len();
    }
    assert!(sent < 1 << 30, "a gibibyte of chunks was taken");
    greedy.answer().unwrap().assert_problem(413, "body_too_large");
    scene.assert_others_are_served();
}

#[test]
fn a_chunked_body_has_the_same_limit_as_any_other() {
    let scene = scene();
    let chunked = |length: usize| {
        let mut connection = scene.connect();
        let text = json_head("/signup", &["Transfer-Encoding: chunked"])
            + &chunk(&" ".repeat(length / 2))
            + &chunk(&" ".repeat(length - length / 2))
            + "0\r\n\r\n";
        send_and_answer(&mut connection, text).unwrap()
    };
    chunked(MAX_BODY).assert_problem(400, "malformed_json");
    chunked(MAX_BODY + 1).assert_problem(413, "body_too_large");
    let announced = |length: usize| scene.server.ask(&post_json("/signup", &" ".repeat(length)));
    announced(MAX_BODY).assert_problem(400, "malformed_json");
    announced(MAX_BODY + 1).assert_problem(413, "body_too_large");
    scene.assert_others_are_served();
}

#[test]
fn an_oversized_header_is_answered_431() {
    let scene = scene();
    let long_line = format!("X-Long: {}\r\n", "x".repeat(20_000));
    let many_lines = "X-Short: x\r\n".repeat(100);
    for lines in [long_line, many_lines] {
        let mut greedy = scene.connect();
        let text = format!("GET /me HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        let answer = send_and_answer(&mut greedy, text).unwrap();
        answer.assert_status(431);
        greedy.rest().unwrap();
    }
    let mut endless = scene.connect();
    endless
        .send("GET /me HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        .unwrap();
    let mut sent = 0;
    while sent < 1 << 26 && endless.send([b'x'; 4096]).is_ok() {
        sent += 4096;
    }
    assert!(sent < 1 << 26, "64 MiB of header were taken");
    scene.assert_others_are_served();
}

#[test]
fn an_oversized_header_or_a_missing_host_gets_a_problem() {
    let scene = scene();
    let long = format!(
        "GET /me HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let many = format!(
        "GET /me HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X-Short: x\r\n".repeat(100)
    );
    let nameless = "GET /me HTTP/1.1\r\n\r\n";
    let misnamed = "GET /me HTTP/1.1\r\nHost: a b/c\r\n\r\n";
    for (text, status) in [
        (long.as_str(), 431),
        (&many, 431),
        (nameless, 400),
        (misnamed, 400),
    ] {
        let mut connection = scene.connect();
        let answer = send_and_answer(&mut connection, text).unwrap();
        answer.assert_status(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn a_client_that_never_reads_is_cut_off() {
    let scene = scene();
    let mut deaf = scene.connect();
    let asks = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let soon = Deadline::after(Duration::from_secs(10));
    // Until neither side reads any more; then the server closes the connection.
    while deaf.send(&asks).is_ok() {
        assert!(!soon.is_over(), "a client that reads nothing is still served");
    }
    scene.assert_others_are_served();
}

#[test]
fn a_hundred_slow_clients_delay_no_other_client() {
    let scene = scene();
    let mut slow: Vec<_> = (0..100).map(|_| scene.connect()).collect();
    for (number, connection) in slow.iter_mut().enumerate() {
        // Some send nothing, some half a header, some half a body.
        let text = match number % 3 {
            0 => String::new(),
            1 => HALF_A_HEADER.to_owned(),
            _ => json_head("/signin", &["Content-Length: 100"]) + "{",
        };
        connection.send(text).unwrap();
    }
    for _ in 0..5 {
        scene.assert_others_are_served();
    }
    scene.server.sign_in("ada", PASSWORD).assert_status(200);
    let soon = Deadline::after(Duration::from_secs(3));
    for connection in &mut slow {
        connection.rest().unwrap();
    }
    assert!(!soon.is_over(), "some slow clients were not cut off");
    scene.assert_others_are_served();
}

#[test]
fn a_refused_body_of_a_mebibyte_lets_its_client_read_the_413() {
    let home = Home::new();
    let server = home.start();
    for framing in ["Content-Length: 1048576", "Transfer-Encoding: chunked"] {
        let mut greedy = server.connect();
        greedy.send(json_head("/signup", &[framing])).unwrap();
        let piece = " ".repeat(1 << 16);
        for _ in 0..16 {
            let piece = if framing.starts_with('C') {
                piece.clone()
            } else {
                chunk(&piece)
            };
            // Slower than a refusal, so that most is sent after it.
            thread::sleep(Duration::from_millis(5));
            greedy.send(piece).expect("the server reads on");
        }
        greedy.answer().unwrap().assert_problem(413, "body_too_large");
    }
}

#[test]
fn a_client_that_sends_on_after_its_answer_is_cut_off() {
    let home = Home::new();
    let server = home.start();
    for (pause, length) in [(0, 1 << 16), (50, 10)] {
        let mut greedy = server.connect();
        greedy
            .send(json_head("/signup", &["Content-Length: 10737418240"]))
            .unwrap();
        greedy.answer().unwrap().assert_problem(413, "body_too_large");
        let soon = Deadline::after(Duration::from_secs(8));
        let piece = " ".repeat(length);
        while greedy.send(&piece).is_ok() {
            assert!(!soon.is_over(), "the server still reads");
            thread::sleep(Duration::from_millis(pause));
        }
    }
}

/// RFC 9113, section 3.4, has the preface, and section 4.1 the frames.
#[test]
fn a_client_of_http_2_gets_an_answer_that_it_can_read() {
    let scene = scene();
    let mut other = scene.connect();
    other
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
        .unwrap();
    let answer = other.rest().unwrap();
    assert!(
        answer.starts_with(b"\0\0\0\x04\0\0\0\0\0"),
        "no settings: {answer:?}"
    );
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("http_version_not_supported"), "{text}");
}

#[test]
fn head_is_answered_as_get_without_the_body() {
    let scene = scene();
    let get = scene.server.me(&scene.token);
    let mut connection = scene.connect();
    connection.send(with_token("HEAD", "/me", &scene.token)).unwrap();
    let head = connection.answer_to_head().unwrap();
    head.assert_status(200);
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(connection.rest().unwrap(), b"");
}

#[test]
fn a_connection_serves_more_than_one_request() {
    let scene = scene();
    let mut connection = scene.connect();
    let with_token = format!(
        "GET /me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.token
    );
    connection.send(&with_token).unwrap();
    connection.answer().unwrap().assert_status(200);
    // An earlier request on the connection had a token, and this one has none.
    connection
        .send("GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    connection.answer().unwrap().assert_problem(401, "missing_token");
    // The server answers two at once in their order.
    connection
        .send(format!(
            "{with_token}GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))
        .unwrap();
    connection.answer().unwrap().assert_status(200);
    connection.answer().unwrap().assert_problem(404, "not_found");
}

#[test]
fn a_body_with_two_lengths_is_refused() {
    let scene = scene();
    let mut twofold = scene.connect();
    let head = json_head("/signup", &["Content-Length: 2", "Content-Length: 40"]);
    let answer = send_and_answer(
        &mut twofold,
        head + "{}" + "GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .unwrap();
    answer.assert_status(400);
    assert_eq!(twofold.rest().unwrap(), b"", "the second request was answered");
    scene.assert_others_are_served();
}

/// RFC 9112, section 6.1, allows a server to refuse such a body or to follow its chunks. It must close the connection either
/// way, so that no request can hide after the body.
#[test]
fn a_body_with_a_length_and_chunks_hides_no_second_request() {
    let scene = scene();
    for framing in [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ] {
        let mut twofold = scene.connect();
        let text = json_head("/signup", &framing)
            + &chunk("{}")
            + "0\r\n\r\n"
            + &with_token("GET", "/me", &scene.token);
        let answer = send_and_answer(&mut twofold, text).unwrap();
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(twofold.rest().unwrap(), b"", "the second request was answered");
    }
    scene.assert_others_are_served();
}

#[test]
fn garbage_after_a_request_closes_only_that_connection() {
    let scene = scene();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"NOT HTTP AT ALL\r\n\r\n",
    ] {
        let mut connection = scene.connect();
        let request = format!(
            "GET /me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            scene.token
        );
        connection.send([request.as_bytes(), garbage].concat()).unwrap();
        connection.answer().unwrap().assert_status(200);
        connection.answer().unwrap().assert_status(400);
        assert_eq!(connection.rest().unwrap(), b"");
        scene.assert_others_are_served();
    }
}
