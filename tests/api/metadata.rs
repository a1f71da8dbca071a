//! What the metadata tells OAuth's clients of this server: only endpoints that exist, under a URL that they can reach.

use jwt_server::{
    Config,
    config::{ConfigError, Settings},
    domain::Algorithm,
};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, Server, claims, request, seconds, spawn, spawn_with};

const PATH: &str = "/.well-known/oauth-authorization-server";

impl Server {
    async fn metadata(&self) -> Answer {
        self.send(request("GET", PATH)).await
    }
}

/// A configuration in which only the issuer is set.
fn issuer(text: &str) -> Result<Config, ConfigError> {
    let mut settings = Settings::default();
    settings.add_file("jwt-server.toml", &format!("[token]\nissuer = \"{text}\""))?;
    Config::read(&settings)
}

#[tokio::test]
async fn the_issuer_is_that_of_the_tokens_and_every_endpoint_is_there() {
    for (issuer, base) in [
        ("https://auth.example.org", "https://auth.example.org"),
        ("https://example.org/auth/", "https://example.org/auth"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("HTTPS://auth.example.org", "HTTPS://auth.example.org"),
        ("jwt-server", "http://localhost:8000"),
    ] {
        let server = spawn_with(|config| {
            config.token.issuer = issuer.into();
            config.token.algorithm = Algorithm::EdDsa;
        })
        .await;
        let answer = server.metadata().await;
        answer.assert_status(StatusCode::OK);
        assert_eq!(answer.header("content-type"), "application/json");
        let metadata = answer.json();
        let token = server.user("ada").await;
        assert_eq!(metadata["issuer"], claims(&token)["iss"]);
        assert_eq!(
            metadata,
            json!({
                "issuer": issuer,
                "jwks_uri": format!("{base}/.well-known/jwks.json"),
                "introspection_endpoint": format!("{base}/introspect"),
                "introspection_endpoint_auth_methods_supported": ["Bearer"],
                "revocation_endpoint": format!("{base}/revoke"),
                "revocation_endpoint_auth_methods_supported": ["none"],
                "response_types_supported": [],
                "grant_types_supported": [],
            })
        );
        let urls = metadata.as_object().unwrap().values().filter_map(Value::as_str);
        for path in urls
            .filter_map(|url| url.strip_prefix(base))
            .filter(|path| path.len() > 1)
        {
            let answer = server.send(request("GET", path)).await;
            assert_ne!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

#[tokio::test]
async fn public_keys_are_named_only_where_there_are_any() {
    let server = spawn().await;
    assert_eq!(server.metadata().await.json().get("jwks_uri"), None);
    let server = server
        .restart_with(|config| config.token.algorithm = Algorithm::Es256)
        .await;
    assert!(server.metadata().await.json()["jwks_uri"].is_string());
}

#[tokio::test]
async fn no_client_is_told_an_address_that_it_cannot_reach() {
    for change in [
        (|config| config.server.listen = vec!["0.0.0.0:8000".parse().unwrap()]) as fn(&mut Config),
        |config| config.server.listen.push("192.0.2.1:8000".parse().unwrap()),
        |config| config.server.listen = vec!["127.0.0.1:0".parse().unwrap()],
        |config| config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()],
    ] {
        let server = spawn_with(change).await;
        let headers = [("host", &b"evil.example.org"[..])];
        let answer = server.send_exactly("GET", PATH, &headers, "").await;
        let problem = answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
        assert!(problem["detail"].as_str().unwrap().contains("token.issuer"));
        assert!(!answer.text().contains("evil"));
    }
    let server = spawn_with(|config| config.server.listen = vec!["[::1]:8001".parse().unwrap()]).await;
    let metadata = server.metadata().await.json();
    assert_eq!(metadata["revocation_endpoint"], "http://[::1]:8001/revoke");
}

#[tokio::test]
async fn metadata_may_be_kept_and_is_sent_again_only_after_a_change() {
    let server = spawn().await;
    let first = server.metadata().await;
    assert_eq!(first.header("cache-control"), "public, max-age=300");
    let etag = first.header("etag").to_owned();
    let ask = async |server: &Server| {
        let headers = [("if-none-match", etag.as_bytes())];
        server.send_exactly("GET", PATH, &headers, "").await
    };
    server.advance(seconds(1000));
    let again = ask(&server).await;
    again.assert_status(StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty());
    let server = server
        .restart_with(|config| config.token.issuer = "https://auth.example.org".into())
        .await;
    ask(&server).await.assert_status(StatusCode::OK);
}

#[test]
fn an_issuer_is_a_name_or_a_whole_url() {
    for good in [
        "jwt-server",
        "urn:example:auth",
        "auth.example.org",
        "https://auth.example.org",
        "https://auth.example.org/",
        "http://[::1]:8000/auth",
    ] {
        assert_eq!(issuer(good).unwrap().token.issuer, good);
    }
    for bad in [
        "",
        "https://",
        "https:///auth",
        "https://auth.example.org?x",
        "https://auth.example.org#x",
        "https://ada@auth.example.org",
        "Https://ada@auth.example.org",
        "https://auth example.org",
        &"x".repeat(201),
    ] {
        let error = issuer(bad).unwrap_err().to_string();
        assert!(
            error.contains("token.issuer") && error.contains("accepted:"),
            "{error}"
        );
    }
}
