//! Keys that OpenSSL generated (`tests/keys`), and keys that the server generates.

use std::fs;

use super::*;

fn file(name: &str) -> String {
    fs::read_to_string(format!("tests/keys/{name}.pem")).unwrap()
}

fn read(name: &str, algorithm: Algorithm) -> Result<KeyPair, KeyError> {
    KeyPair::from_pem(&file(name), algorithm)
}

#[test]
fn every_form_of_a_private_key_gives_the_same_key() {
    for (names, algorithm) in [
        (&["rsa-pkcs8", "rsa-pkcs1"][..], Algorithm::Rs256),
        (&["ec-pkcs8", "ec-sec1"], Algorithm::Es256),
        (&["ed25519"], Algorithm::EdDsa),
    ] {
        let thumbprints: Vec<_> = names
            .iter()
            .map(|name| read(name, algorithm).unwrap().public().thumbprint())
            .collect();
        assert!(thumbprints.iter().all(|thumbprint| *thumbprint == thumbprints[0]));
        let again = read(names[0], algorithm).unwrap();
        let again = KeyPair::from_pkcs8(algorithm, again.pkcs8().expose_secret()).unwrap();
        assert_eq!(again.public().thumbprint(), thumbprints[0]);
        assert_eq!(again.public().algorithm(), algorithm);
    }
}

#[test]
fn a_public_half_is_the_one_that_openssl_reads() {
    let PublicKey::P256 { x, y } = *read("ec-sec1", Algorithm::Es256).unwrap().public() else {
        panic!()
    };
    assert_eq!(
        (x[..3].to_vec(), y[29..].to_vec()),
        (vec![0xd2, 0x56, 0xf0], vec![0x9f, 0xbe, 0x9a])
    );
    let rsa = read("rsa-pkcs1", Algorithm::Rs256).unwrap();
    let PublicKey::Rsa { n, e } = rsa.public() else {
        panic!()
    };
    assert_eq!((n.len(), n[0], e.as_slice()), (256, 0x8c, &[1, 0, 1][..]));
}

#[test]
fn the_error_names_the_kind_of_the_key_and_the_wanted_one() {
    for (name, algorithm, found, wanted) in [
        ("rsa-pkcs8", Algorithm::Es256, "an RSA key", "an EC key on P-256"),
        ("rsa-pkcs1", Algorithm::EdDsa, "an RSA key", "an Ed25519 key"),
        ("ec-sec1", Algorithm::Rs256, "an EC key on P-256", "an RSA key"),
        (
            "ec-pkcs8",
            Algorithm::EdDsa,
            "an EC key on P-256",
            "an Ed25519 key",
        ),
        (
            "ec-p384",
            Algorithm::Es256,
            "an EC key on another curve than P-256",
            "an EC key on P-256",
        ),
        (
            "ed25519",
            Algorithm::Es256,
            "an Ed25519 key",
            "an EC key on P-256",
        ),
    ] {
        let error = read(name, algorithm).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("it holds {found}, and {algorithm} takes {wanted}"),
            "{name}"
        );
    }
}

#[test]
fn a_text_without_a_usable_key_is_refused_with_the_reason() {
    let cut = file("ed25519").replace("MC4C", "MC4A");
    let twice = file("ed25519") + &file("ec-pkcs8");
    let (ed25519, rs256) = (Algorithm::EdDsa, Algorithm::Rs256);
    for (text, algorithm, error) in [
        (file("rsa-public"), rs256, KeyError::Public),
        (file("rsa-1024"), rs256, KeyError::BadSize(1024)),
        (file("rsa-encrypted"), rs256, KeyError::Encrypted),
        (file("ec-encrypted"), Algorithm::Es256, KeyError::Encrypted),
        (twice, ed25519, KeyError::Several),
        (cut, ed25519, KeyError::Damaged),
        (String::new(), ed25519, KeyError::NotPem),
        ("a secret".into(), ed25519, KeyError::NotPem),
        (
            "-----BEGIN PRIVATE KEY-----\nMC4C".into(),
            ed25519,
            KeyError::NotPem,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----".into(),
            ed25519,
            KeyError::NotPem,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".into(),
            ed25519,
            KeyError::Damaged,
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----".into(),
            ed25519,
            KeyError::UnknownForm,
        ),
    ] {
        assert_eq!(KeyPair::from_pem(&text, algorithm).unwrap_err(), error, "{text}");
    }
}

/// The reader of DER must end in an error and never in a panic, for any input.
#[test]
fn no_cut_or_changed_key_makes_the_reader_panic() {
    for (name, algorithm) in [("ed25519", Algorithm::EdDsa), ("ec-sec1", Algorithm::Es256)] {
        let pem = file(name).trim_end().to_owned();
        for place in 0..pem.len() {
            let _ = KeyPair::from_pem(&pem[..place], algorithm).map(|_| panic!("cut at {place}"));
            for other in ['A', '/', '-', '\n'] {
                let mut changed = pem.clone();
                changed.replace_range(place..=place, &other.to_string());
                let _ = KeyPair::from_pem(&changed, algorithm);
            }
        }
    }
}

#[test]
fn generated_keys_differ_and_read_back() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let [one, two] = [(); 2].map(|()| KeyPair::generate(algorithm).unwrap());
        assert_ne!(one.public(), two.public());
        let again = KeyPair::from_pkcs8(algorithm, one.pkcs8().expose_secret()).unwrap();
        assert_eq!(again.public(), one.public());
        if let PublicKey::Rsa { n, .. } = one.public() {
            assert_eq!((n.len() * 8, n[0] >> 7), (2048, 1));
        }
    }
    assert!(KeyPair::generate(Algorithm::Hs256).is_err());
}

#[test]
fn debug_of_a_key_pair_shows_nothing_private() {
    let pair = read("ed25519", Algorithm::EdDsa).unwrap();
    let shown = format!("{pair:?}");
    assert_eq!(shown, format!("KeyPair(EdDSA, {})", pair.public().thumbprint()));
}

#[test]
fn hs256_has_no_key_pair() {
    let wanted = KeyError::WrongKind {
        found: "a key pair",
        wanted: Algorithm::Hs256,
    };
    assert_eq!(KeyPair::generate(Algorithm::Hs256).unwrap_err(), wanted);
    assert_eq!(KeyPair::from_pkcs8(Algorithm::Hs256, &[]).unwrap_err(), wanted);
    assert_eq!(
        read("ed25519", Algorithm::Hs256).unwrap_err().to_string(),
        "it holds an Ed25519 key, and HS256 takes a secret, not a key pair"
    );
}

#[test]
fn an_rsa_pair_reads_back_from_its_pkcs1_form() {
    let rsa = read("rsa-pkcs8", Algorithm::Rs256).unwrap();
    let pkcs1 = rsa.pkcs1().unwrap();
    let again = RsaKeyPair::from_der(pkcs1.expose_secret()).unwrap();
    assert_eq!(KeyPair::of_rsa(&again).unwrap().public(), rsa.public());
}
