//! The server behind a proxy, and calls from pages of other origins.

use crate::{client::PASSWORD, server::Home};

fn whoami(lines: &str) -> String {
    format!("GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

#[test]
fn x_forwarded_for_is_believed_only_from_a_trusted_proxy() {
    let lines = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n";
    let home = Home::new();
    let server = home.start();
    let answer = server.ask(&whoami(lines));
    answer.assert_status(200);
    assert_eq!(answer.json()["address"], "127.0.0.1");
    server.ask(&whoami(lines)).assert_status(200);
    server.signal("TERM");
    let ended = server.wait().assert_success();
    let said = ended.err.matches("that is not in server.trusted_proxies").count();
    assert_eq!(said, 1, "{ended:?}");

    for trusted in [
        "127.0.0.0/8",
        "::ffff:127.0.0.0/104",
        "10.0.0.0/8,::ffff:127.0.0.1",
    ] {
        let server = home.server().flag("--server.trusted_proxies", trusted).start();
        assert_eq!(
            server.ask(&whoami(lines)).json()["address"],
            "192.0.2.7",
            "{trusted}"
        );
        server.kill();
    }
}

#[test]
fn an_ipv4_proxy_is_known_on_a_socket_for_ipv6() {
    let home = Home::new();
    for trusted in ["127.0.0.0/8", "::ffff:127.0.0.0/104"] {
        let server = home
            .server()
            .flag("--listen", "[::]:0")
            .flag("--server.trusted_proxies", trusted);
        let Ok(server) = server.try_start() else {
            println!("not tried: this machine has no IPv6");
            return;
        };
        let seen = server.ask(&whoami("X-Forwarded-For: 192.0.2.7\r\n")).json()["address"].clone();
        assert_eq!(seen, "192.0.2.7", "{trusted}");
        server.kill();
    }
}

#[test]
fn only_the_header_of_the_setting_is_read_and_the_log_says_so() {
    let (one, other) = (
        "X-Forwarded-For: 192.0.2.7\r\n",
        "Forwarded: for=\"[2001:db8::1]:99\"\r\n",
    );
    let both = [one, other].concat();
    let home = Home::new();
    for (setting, read, ignored, address) in [
        ("X-Forwarded-For", one, other, "192.0.2.7"),
        ("Forwarded", other, one, "2001:db8::1"),
    ] {
        let server = home
            .server()
            .flag("--server.trusted_proxies", "127.0.0.0/8")
            .flag("--server.forwarded_header", setting)
            .start();
        let seen = |lines: &str| server.ask(&whoami(lines)).json()["address"].clone();
        assert_eq!(seen(read), address);
        assert_eq!(seen(&both), address);
        for lines in [ignored, "", ""] {
            assert_eq!(seen(lines), "127.0.0.1", "{lines}");
        }
        server.signal("TERM");
        let ended = server.wait().assert_success();
        for said in ["which is ignored", "has no header"] {
            assert_eq!(ended.err.matches(said).count(), 1, "{said}: {ended:?}");
        }
    }
}

#[test]
fn a_proxy_that_is_no_network_is_refused_at_the_start() {
    let home = Home::new();
    let line = home
        .server()
        .flag("--server.trusted_proxies", "10.0.0.0/33")
        .run()
        .assert_refused(2);
    assert!(
        line.contains("server.trusted_proxies") && line.contains("10.0.0.0/8"),
        "{line}"
    );
}

#[test]
fn a_page_of_a_configured_origin_may_call_and_others_may_not() {
    let origin = "https://app.example.org";
    let home = Home::new();
    let server = home.server().flag("--server.cors_origins", origin).start();
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /signin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n"
        )
    };
    let allowed = server.ask(&preflight(origin));
    allowed.assert_status(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(origin));
    for (name, value) in [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "content-type"),
    ] {
        assert!(allowed.header(name).unwrap().contains(value), "{name}");
    }
    assert!(
        !allowed
            .header("access-control-allow-headers")
            .unwrap()
            .contains("x-csrf")
    );
    let other = server.ask(&preflight("https://evil.example.org"));
    assert_eq!(other.header("access-control-allow-origin"), None);

    let call = |origin: &str| whoami(&format!("Origin: {origin}\r\n"));
    let called = server.ask(&call(origin));
    assert_eq!(called.header("access-control-allow-origin"), Some(origin));
    assert!(
        called
            .header("access-control-expose-headers")
            .unwrap()
            .contains("www-authenticate")
    );
    assert_eq!(
        server
            .ask(&call("https://evil.example.org"))
            .header("access-control-allow-origin"),
        None
    );
}

#[test]
fn pages_of_an_app_may_send_the_headers_of_the_setting() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--server.cors_origins", "capacitor://localhost")
        .flag("--server.cors_headers", "authorization,x-csrf-token")
        .start();
    let answer = server.ask(
        "OPTIONS /signin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: capacitor://localhost\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-csrf-token\r\n\r\n",
    );
    answer.assert_status(200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("capacitor://localhost")
    );
    let headers = answer.header("access-control-allow-headers").unwrap();
    assert!(
        headers.contains("x-csrf-token") && !headers.contains("accept"),
        "{headers}"
    );
}

#[test]
fn an_origin_that_no_browser_sends_is_refused_at_the_start() {
    let home = Home::new();
    for origin in ["https://*.example.org", "https://app.example.org:"] {
        let line = home
            .server()
            .flag("--server.cors_origins", origin)
            .run()
            .assert_refused(2);
        assert!(
            line.contains(origin) && line.contains("without wildcards"),
            "{line}"
        );
    }
}

#[test]
fn without_origins_a_preflight_is_like_any_other_method() {
    let home = Home::new();
    let server = home.start();
    let ask = "OPTIONS /signin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://x.example\r\n\r\n";
    let answer = server.ask(ask);
    answer.assert_status(405);
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn every_answer_has_the_security_headers_of_an_api() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    for answer in [
        server.me(&token),
        server.me("x"),
        server.ask(&whoami("")),
        server.log_out(&token),
    ] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
    }
}
