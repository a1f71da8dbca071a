//! Where the server listens: several addresses, both loopbacks, and Unix sockets for proxies.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::UnixStream,
    },
    path::Path,
};

use serde_json::Value;

use crate::{
    client::{Client, PATIENCE},
    server::{Home, Server},
};

const WHOAMI: &str = "GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The addresses in the banner, as they are printed there.
fn addresses(server: &Server) -> Vec<String> {
    let banner = server.banner();
    let lines = banner
        .lines()
        .filter_map(|line| line.trim().strip_prefix("listening on"));
    lines.map(|address| address.trim().to_owned()).collect()
}

/// The address that a client at this address of the banner has.
fn seen_at(address: &str) -> Value {
    let address: SocketAddr = address.strip_prefix("http://").unwrap().parse().unwrap();
    let answer = Client(address).ask(WHOAMI);
    answer.assert_status(200);
    answer.json()["address"].clone()
}

/// The address of the client of a request over a Unix socket, with these lines in its header.
fn seen_over(path: &Path, lines: &str) -> Value {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = WHOAMI.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["address"].clone()
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        println!("not tried: this machine has no IPv6");
    }
    has
}

#[test]
fn localhost_is_both_loopback_addresses() {
    if !has_ipv6() {
        return;
    }
    let home = Home::new();
    for name in ["localhost:0", "LOCALHOST:0"] {
        let server = home.server().flag("--listen", name).start();
        let found = addresses(&server);
        let port = port(&found[0]);
        assert_eq!(
            found,
            [format!("http://127.0.0.1:{port}"), format!("http://[::1]:{port}")]
        );
        assert_eq!(seen_at(&found[0]), "127.0.0.1");
        assert_eq!(seen_at(&found[1]), "::1");
        server.kill();
    }
}

#[test]
fn a_port_in_use_on_either_loopback_is_an_error() {
    if !has_ipv6() {
        return;
    }
    let home = Home::new();
    for taken in ["127.0.0.1:0", "[::1]:0"] {
        let taken = TcpListener::bind(taken).unwrap();
        let address = taken.local_addr().unwrap();
        let name = format!("localhost:{}", address.port());
        let line = home.server().flag("--listen", &name).run().assert_refused(1);
        for part in [
            format!("can't listen on {address}, a part of {name} (server.listen): Address already in use"),
            "--listen".to_owned(),
        ] {
            assert!(line.contains(&part), "{line}");
        }
        assert!(!home.path("data").exists());
    }
}

#[test]
fn a_host_without_ipv6_has_the_other_loopback() {
    let home = Home::new();
    let server = match home
        .server()
        .flag("--listen", "localhost:0")
        .without_ipv6()
        .try_start()
    {
        Ok(server) => server,
        Err(ended) if ended.code == Some(99) || ended.err.contains("unshare") => {
            println!("not tried: no network without IPv6 can be made here: {ended:?}");
            return;
        }
        Err(ended) => panic!("{ended:?}"),
    };
    let found = addresses(&server);
    assert_eq!(found, [format!("http://127.0.0.1:{}", port(&found[0]))]);
    server.logs("INFO this machine has no address ::1");
}

#[test]
fn the_server_listens_at_every_address_of_the_setting() {
    let home = Home::new();
    let both = ["127.0.0.1:0", "127.0.0.2:0"];
    home.write(
        "jwt-server.toml",
        "[server]\nlisten = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\n",
    );
    home.write("string.toml", "[server]\nlisten = \"127.0.0.1:0, 127.0.0.2:0\"\n");
    let program = |arguments: &[&str]| {
        home.program(&["--password.bcrypt_cost", "4"])
            .arguments(arguments)
    };
    for program in [
        program(&[]),
        program(&["--config", "string.toml"]),
        program(&["--listen", both[0], "--listen", both[1]]),
        program(&["--listen", both[0], "--server.listen", both[1]]),
        program(&["--listen", "127.0.0.1:0,127.0.0.2:0"]),
        program(&[]).variable("JWT_SERVER__SERVER__LISTEN", "127.0.0.1:0,127.0.0.2:0"),
    ] {
        let server = program.start();
        let found = addresses(&server);
        assert_eq!(found.len(), 2, "{found:?}");
        for (address, start) in found.iter().zip(["http://127.0.0.1:", "http://127.0.0.2:"]) {
            assert!(address.starts_with(start), "{found:?}");
            assert_eq!(seen_at(address), "127.0.0.1");
        }
        server.kill();
    }
    // A flag wins over the file, and does not add to it.
    let server = home.server().start();
    assert_eq!(addresses(&server).len(), 1);
}

#[test]
fn one_address_that_can_not_be_had_is_named_with_the_reason() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, reason) in [
        (taken.as_str(), "Address already in use"),
        ("192.0.2.1:0", "this machine does not have the address"),
        ("unix:nowhere/socket", "its directory does not exist"),
        (&format!("unix:{}", "x".repeat(120)), "at most 107 bytes"),
    ] {
        let listen = format!("127.0.0.1:0,unix:made,{address}");
        let line = home.server().flag("--listen", &listen).run().assert_refused(1);
        let shown = address.strip_prefix("unix:").unwrap_or(address);
        assert!(
            line.contains("can't listen on") && line.contains(shown) && line.contains(reason),
            "{line}"
        );
        assert!(
            !home.path("made").exists(),
            "the socket that was made first is removed"
        );
        assert!(!home.path("data").exists());
    }
}

#[test]
fn an_address_that_is_listed_twice_is_refused() {
    let home = Home::new();
    for (listen, named) in [
        (
            "127.0.0.1:8000,127.0.0.1:8000",
            "127.0.0.1:8000 (server.listen): the setting has it twice; leave",
        ),
        (
            "localhost:8000,[::1]:8000",
            "[::1]:8000 (server.listen): the setting has it twice, because localhost:8000 includes it",
        ),
        (
            "127.0.0.1:8000,0.0.0.0:8000",
            "127.0.0.1:8000 (server.listen): the setting has it twice, because 0.0.0.0:8000 includes it",
        ),
        (
            "unix:x,unix:x",
            "unix:x (server.listen): the setting has it twice; leave",
        ),
    ] {
        let line = home.server().flag("--listen", listen).run().assert_refused(1);
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn all_of_ipv6_takes_ipv4_too_unless_that_is_listed() {
    if !has_ipv6() {
        return;
    }
    let home = Home::new();
    let server = home.server().flag("--listen", "[::]:0").start();
    let port = port(&addresses(&server)[0]);
    for address in [format!("http://127.0.0.1:{port}"), format!("http://[::1]:{port}")] {
        seen_at(&address);
    }
    server.kill();
    // The port was free a moment ago.
    let listen = format!("[::]:{port},0.0.0.0:{port}");
    let server = home.server().flag("--listen", &listen).start();
    assert_eq!(addresses(&server).len(), 2);
    assert_eq!(seen_at(&format!("http://127.0.0.1:{port}")), "127.0.0.1");
    assert_eq!(seen_at(&format!("http://[::1]:{port}")), "::1");
}

#[test]
fn a_unix_socket_is_for_proxies_and_has_its_mode() {
    let home = Home::new();
    let path = home.path("http.sock");
    for (flag, mode) in [(None, 0o660), (Some("600"), 0o600), (Some("666"), 0o666)] {
        let mut program = home.server().flag("--listen", "127.0.0.1:0,unix:http.sock");
        if let Some(flag) = flag {
            program = program.flag("--server.unix_mode", flag);
        }
        let server = program.start();
        assert!(
            addresses(&server)[1].ends_with("/http.sock"),
            "{}",
            server.banner()
        );
        let file = fs::symlink_metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o7777, mode);
        let warned = server.banner().contains("warning: server.unix_mode 666");
        assert_eq!(warned, mode == 0o666, "{}", server.banner());

        assert_eq!(
            seen_over(&path, "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n"),
            "192.0.2.7"
        );
        assert_eq!(seen_over(&path, ""), "127.0.0.1");
        assert_eq!(seen_over(&path, "X-Forwarded-For: unknown\r\n"), "127.0.0.1");
        // The same server, where no peer is a trusted proxy.
        assert_eq!(seen_at(&addresses(&server)[0]), "127.0.0.1");
        server.signal("TERM");
        server.wait().assert_success();
        assert!(!path.exists(), "a clean stop removes the socket");
    }
}

#[test]
fn the_socket_of_a_killed_server_is_replaced() {
    let home = Home::new();
    let start = || {
        home.server()
            .flag("--listen", "127.0.0.1:0,unix:http.sock")
            .start()
    };
    start().kill();
    let path = home.path("http.sock");
    assert!(path.exists());
    let server = start();
    assert_eq!(seen_over(&path, ""), "127.0.0.1");
    drop(server);
}

#[test]
fn the_socket_of_a_living_server_is_left_to_it() {
    let home = Home::new();
    let path = home.path("http.sock");
    let listen = format!("127.0.0.1:0,unix:{}", path.display());
    let _first = home.server().flag("--listen", &listen).start();
    let other = Home::new();
    let line = other.server().flag("--listen", &listen).run().assert_refused(1);
    assert!(
        line.contains(path.to_str().unwrap()) && line.contains("stop the process that listens there"),
        "{line}"
    );
    assert_eq!(seen_over(&path, ""), "127.0.0.1");
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let home = Home::new();
    home.write("file", "kept");
    symlink("nowhere", home.path("link")).unwrap();
    fs::create_dir(home.path("folder")).unwrap();
    for name in ["file", "link", "folder"] {
        let listen = format!("127.0.0.1:0,unix:{name}");
        let line = home.server().flag("--listen", &listen).run().assert_refused(1);
        assert!(line.contains("a file that is no socket is there"), "{line}");
        assert!(fs::symlink_metadata(home.path(name)).is_ok());
    }
    assert_eq!(fs::read_to_string(home.path("file")).unwrap(), "kept");
}

#[test]
fn a_refused_start_leaves_no_socket_behind() {
    let home = Home::new();
    home.write("data", "no directory");
    let line = home
        .server()
        .flag("--listen", "127.0.0.1:0,unix:http.sock")
        .run()
        .assert_refused(1);
    assert!(line.contains("Not a directory"), "{line}");
    assert!(!home.path("http.sock").exists());
}
