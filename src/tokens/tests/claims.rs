//! What a token must say, and how it is written.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_repeated_member_is_refused() {
    for bench in benches() {
        let payload = claims().to_string();
        for header in [
            r#"{"alg":"none","alg":"HS256","typ":"JWT","kid":"test-key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"test-key","kid":"test-key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"test-key","\u0061lg":"HS256"}"#,
        ] {
            let refused = bench.verify(&bench.signed(header.as_bytes(), payload.as_bytes()));
            assert_eq!(refused, Err(TokenRefusal::ForeignHeader), "{header}");
        }
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            let twice = format!("{{\"{name}\":{},{}", claims()[name], &payload[1..]);
            let refused =
                bench.verify(&bench.signed(bench.header().to_string().as_bytes(), twice.as_bytes()));
            assert_eq!(refused, Err(TokenRefusal::BadClaims), "{name}");
        }
    }
}

#[test]
fn every_claim_is_required() {
    for bench in benches() {
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            let refused = bench.verify(&bench.with_claims(&without(claims(), name)));
            assert_eq!(refused, Err(TokenRefusal::BadClaims), "no {name}");
        }
    }
}

#[test]
fn every_claim_has_its_type_and_no_other() {
    for bench in benches() {
        let wrong = [
            json!(null),
            json!(true),
            json!(1.5),
            json!(-1),
            json!("1800000300"),
            json!(["x"]),
            json!([1]),
            json!({"x": 1}),
            json!("x".repeat(1000)),
        ];
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            for value in &wrong {
                let right = match name {
                    "roles" => value == &json!(["x"]),
                    "username" => value.is_string(),
                    _ => false,
                };
                let verified = bench.verify(&bench.with_claims(&with(name, value.clone())));
                assert_eq!(verified.is_ok(), right, "{name}: {value}");
            }
        }
        // Numbers that JSON can write and no clock can show.
        for number in [
            "1e3",
            "1.8e9",
            "1800000300.0",
            "1e400",
            "-0",
            "-1",
            "18446744073709551616",
            "1_000",
            "0x1",
            "01",
        ] {
            for name in ["iat", "exp"] {
                let payload = claims().to_string();
                let known = claims()[name].to_string();
                let forged = payload.replace(&format!("\"{name}\":{known}"), &format!("\"{name}\":{number}"));
                assert_ne!(forged, payload);
                let refused =
                    bench.verify(&bench.signed(bench.header().to_string().as_bytes(), forged.as_bytes()));
                assert_eq!(refused, Err(TokenRefusal::BadClaims), "{name}: {number}");
            }
        }
    }
}

#[test]
fn claims_that_are_not_this_servers_are_refused() {
    for bench in benches() {
        for (name, value, why) in [
            ("iss", json!("another-server"), TokenRefusal::WrongIssuer),
            ("iss", json!("JWT-SERVER"), TokenRefusal::WrongIssuer),
            ("aud", json!("somebody"), TokenRefusal::WrongAudience),
            ("aud", json!([]), TokenRefusal::WrongAudience),
            ("aud", json!(7), TokenRefusal::BadClaims),
            ("nbf", json!(0), TokenRefusal::BadClaims),
            ("Admin", json!(true), TokenRefusal::BadClaims),
            ("client_id", json!("app"), TokenRefusal::BadClaims),
            ("tenant", json!({"name": "north"}), TokenRefusal::BadClaims),
            (
                "sub",
                json!("018F0000-0000-7000-8000-000000000001"),
                TokenRefusal::BadClaims,
            ),
            (
                "sid",
                json!("018f000000007000800000000000000002"),
                TokenRefusal::BadClaims,
            ),
            ("jti", json!("AAAAAAAAAAAAAAAAAAAAAB"), TokenRefusal::BadClaims),
            ("exp", json!(NOW.as_secs()), TokenRefusal::BadClaims),
            ("exp", json!(0), TokenRefusal::BadClaims),
            ("iat", json!(NOW.as_secs() + 1), TokenRefusal::NotYetValid),
        ] {
            let refused = bench.verify(&bench.with_claims(&with(name, value.clone())));
            assert_eq!(refused, Err(why), "{name}: {value}");
        }
    }
}

/// Also if the settings name none: those of a moment ago may have.
#[test]
fn the_claims_of_attributes_are_accepted() {
    for bench in benches() {
        for value in [json!("north"), json!(7), json!(true), json!(["a", "b"])] {
            let verified = bench.verify(&bench.with_claims(&with("tenant", value.clone())));
            assert!(verified.is_ok(), "{value}: {verified:?}");
        }
    }
}

#[test]
fn an_audience_is_required_exactly_when_one_is_configured() {
    for bench in benches() {
        let ours = tokens_for(&["api", "web"], &bench.ring());
        let verified = |claims: &Value| verify_at(&ours, &bench.with_claims(claims), NOW).map(|_| ());
        assert_eq!(verified(&with("aud", json!("api"))), Ok(()));
        assert_eq!(verified(&with("aud", json!(["other", "web"]))), Ok(()));
        for wrong in [
            claims(),
            with("aud", json!("other")),
            with("aud", json!(["API"])),
            with("aud", json!([])),
        ] {
            assert_eq!(verified(&wrong), Err(TokenRefusal::WrongAudience), "{wrong}");
        }
    }
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for bench in benches() {
        let (head, payload) = (bench.header().to_string(), claims().to_string());
        let values = claims()
            .as_object()
            .unwrap()
            .values()
            .cloned()
            .collect::<Value>()
            .to_string();
        let bad = [
            Vec::new(),
            b"null".to_vec(),
            values.into_bytes(),
            format!("{payload} x").into_bytes(),
            format!("{payload}{payload}").into_bytes(),
            format!("\u{feff}{payload}").into_bytes(),
            payload.replace("ada", "\\ud800").into_bytes(),
            payload[..payload.len() - 1].into(),
            payload.replace("ada", "\u{1}").into_bytes(),
            [b"{\"iss\":\"\xff\"," as &[u8], &payload.as_bytes()[1..]].concat(),
            "[".repeat(5000).into_bytes(),
            "{\"a\":".repeat(1000).into_bytes(),
        ];
        for bytes in bad {
            let shown = String::from_utf8_lossy(&bytes)
                .chars()
                .take(60)
                .collect::<String>();
            let as_payload = bench.verify(&bench.signed(head.as_bytes(), &bytes));
            assert_eq!(as_payload, Err(TokenRefusal::BadClaims), "payload {shown}");
            let as_header = bench.verify(&bench.signed(&bytes, payload.as_bytes()));
            assert_eq!(as_header, Err(TokenRefusal::ForeignHeader), "header {shown}");
        }
    }
}

#[test]
fn a_token_has_three_parts_and_one_spelling() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        let [head, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        for other in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            head.into(),
            format!("{head}.{payload}"),
            format!("{head}.{payload}."),
            format!("{head}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{signature}"),
            format!("{head}.{payload}.{signature}{signature}"),
            format!("{head}.{payload}.{}", &signature[..signature.len() - 1]),
            format!("{head}.{payload}.{}", &signature[..22]),
            format!("{token}="),
            format!("{head}=.{payload}.{signature}"),
            format!("{head}.{payload}==.{signature}"),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{head} .{payload}.{signature}"),
            token.replace('-', "+").replace('_', "/") + "+",
            format!("{head}.{payload}.{}", signature.replace(['-', '_'], "/") + "/"),
            token.to_uppercase(),
            token.repeat(2),
            "a".repeat(1 << 20),
        ] {
            assert!(bench.verify(&other).is_err(), "{other:?}");
        }
    }
}

#[test]
fn a_token_with_any_bit_changed_is_refused() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        assert!(bench.verify(&token).is_ok());
        for place in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                // What is no UTF-8 never gets as far as the verifier.
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    bench.verify(&changed).is_err(),
                    "byte {place}, bit {bit}: {changed}"
                );
            }
        }
    }
}

#[test]
fn every_other_last_character_of_a_signature_is_refused() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        let (start, last) = token.split_at(token.len() - 1);
        let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        for other in alphabet.filter(|c| last != c.to_string()) {
            assert!(bench.verify(&format!("{start}{other}")).is_err(), "{other}");
        }
    }
}
