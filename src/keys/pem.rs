//! The private key in a PEM file (RFC 7468), and as much of its DER (X.690) as says which kind of key it is. The cryptographic
//! library checks the numbers in it.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::error::KeyError;

/// A private key, as a file holds it.
pub(super) struct PrivateDer {
    pub(super) kind: Kind,
    pub(super) form: Form,
    pub(super) der: SecretSlice<u8>,
}

/// Which kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An RSA key of this many bits.
    Rsa(usize),
    P256,
    Ed25519,
    Other(&'static str),
}

/// In which form the DER holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ED25519: &[u8] = b"\x2b\x65\x70";

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The curve of a SEC 1 key.
const PARAMETERS: u8 = 0xa0;

/// The only private key in `text`.
///
/// # Errors
/// [`KeyError`], which names what `text` holds instead.
pub(super) fn private_key(text: &str) -> Result<PrivateDer, KeyError> {
    let mut found = None;
    let mut public = false;
    let mut rest = text;
    while let Some((_, block)) = rest.split_once("-----BEGIN ") {
        let (label, body) = block.split_once("-----").ok_or(KeyError::NotPem)?;
        let end = format!("-----END {label}-----");
        let (body, after) = body.split_once(&end).ok_or(KeyError::NotPem)?;
        rest = after;
        let form = match label {
            "PRIVATE KEY" => Form::Pkcs8,
            "RSA PRIVATE KEY" => Form::Pkcs1,
            "EC PRIVATE KEY" => Form::Sec1,
            "EC PARAMETERS" => continue,
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
                public = true;
                continue;
            }
            _ => return Err(KeyError::UnknownForm),
        };
        if body.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        if found.is_some() {
            return Err(KeyError::Several);
        }
        let lines: String = body.split_ascii_whitespace().collect();
        let lines = SecretString::from(lines);
        let der = STANDARD.decode(lines.expose_secret());
        found = Some((form, SecretSlice::from(der.map_err(|_| KeyError::NotPem)?)));
    }
    let (form, der) = found.ok_or(if public {
        KeyError::Public
    } else {
        KeyError::NotPem
    })?;
    let kind = kind(form, der.expose_secret()).ok_or(KeyError::Damaged)?;
    Ok(PrivateDer { kind, form, der })
}

fn kind(form: Form, der: &[u8]) -> Option<Kind> {
    match form {
        Form::Pkcs1 => modulus_bits(der).map(Kind::Rsa),
        Form::Sec1 => {
            let (key, _) = value(der, SEQUENCE)?;
            let (_, rest) = value(key, INTEGER)?;
            let (_, rest) = value(rest, OCTETS)?;
            let (parameters, _) = value(rest, PARAMETERS)?;
            Some(curve(value(parameters, OBJECT)?.0))
        }
        Form::Pkcs8 => {
            let (algorithm, key) = pkcs8(der)?;
            let (object, parameters) = value(algorithm, OBJECT)?;
            Some(match object {
                RSA => Kind::Rsa(modulus_bits(key)?),
                RSA_PSS => Kind::Other("an RSA key for PSS alone"),
                EC => curve(value(parameters, OBJECT)?.0),
                ED25519 => Kind::Ed25519,
                _ => Kind::Other("a key of a kind that this server does not know"),
            })
        }
    }
}

fn curve(object: &[u8]) -> Kind {
    match object {
        P256 => Kind::P256,
        _ => Kind::Other("an EC key on another curve than P-256"),
    }
}

/// The PKCS #1 key inside a PKCS #8 RSA key.
pub(super) fn pkcs1_of_pkcs8(der: &[u8]) -> Option<&[u8]> {
    pkcs8(der).map(|(_, key)| key)
}

/// The algorithm and the key of a `PrivateKeyInfo` (RFC 5208, section 5).
fn pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, _) = value(der, SEQUENCE)?;
    let (_, rest) = value(info, INTEGER)?;
    let (algorithm, rest) = value(rest, SEQUENCE)?;
    let (key, _) = value(rest, OCTETS)?;
    Some((algorithm, key))
}

/// The bits of the modulus of an `RSAPrivateKey` (RFC 8017, appendix A.1.2).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (key, _) = value(der, SEQUENCE)?;
    let (_, rest) = value(key, INTEGER)?;
    let (modulus, _) = value(rest, INTEGER)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

/// The first value of `der`, and the bytes after it. Returns `None` unless it has this `tag` and is whole.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = der else {
        return None;
    };
    if *found != tag {
        return None;
    }
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            // The length of every accepted key fits two bytes.
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            if bytes.len() > 2 {
                return None;
            }
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The DER value of `content` with this tag.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length], content].concat()
    }

    /// A `PrivateKeyInfo` of this algorithm, with `parameters` and an empty key.
    fn info(object: &[u8], parameters: &[u8]) -> Vec<u8> {
        let algorithm = [der(OBJECT, object), parameters.to_vec()].concat();
        let parts = [
            der(INTEGER, &[0]),
            der(SEQUENCE, &algorithm),
            der(OCTETS, &der(SEQUENCE, &[])),
        ];
        der(SEQUENCE, &parts.concat())
    }

    #[test]
    fn a_key_of_an_unknown_kind_is_named() {
        let secp256k1: &[u8] = b"\x2b\x81\x04\x00\x0a";
        for (der, expected) in [
            (info(RSA_PSS, &[]), Some(Kind::Other("an RSA key for PSS alone"))),
            (
                info(b"\x2b\x65\x71", &[]),
                Some(Kind::Other("a key of a kind that this server does not know")),
            ),
            (
                info(EC, &der(OBJECT, secp256k1)),
                Some(Kind::Other("an EC key on another curve than P-256")),
            ),
            (info(EC, &der(OBJECT, P256)), Some(Kind::P256)),
            (info(ED25519, &[]), Some(Kind::Ed25519)),
            (info(RSA, &[]), None),
        ] {
            assert_eq!(kind(Form::Pkcs8, &der), expected, "{der:02x?}");
        }
    }

    #[test]
    fn a_value_with_a_wrong_length_is_no_value() {
        for der in [
            &[][..],
            &[INTEGER],
            &[INTEGER, 1],
            &[OCTETS, 1, 7],
            &[INTEGER, 0x81],
            &[INTEGER, 0x82, 1],
            &[INTEGER, 0x83, 0, 0, 1, 7],
            &[INTEGER, 0xff, 0],
        ] {
            assert_eq!(value(der, INTEGER), None, "{der:02x?}");
        }
        let long = [&[INTEGER, 0x81, 0x80][..], &[7; 0x80], &[9]].concat();
        assert_eq!(value(&long, INTEGER), Some((&[7; 0x80][..], &[9][..])));
        assert_eq!(
            value(&[INTEGER, 0x82, 0, 1, 7], INTEGER),
            Some((&[7][..], &[][..]))
        );
    }

    #[test]
    fn the_bits_of_a_modulus_do_not_count_leading_zeros() {
        let key = |modulus: &[u8]| {
            let parts = [der(INTEGER, &[0]), der(INTEGER, modulus)];
            der(SEQUENCE, &parts.concat())
        };
        assert_eq!(modulus_bits(&key(&[0, 0x80, 0])), Some(16));
        assert_eq!(modulus_bits(&key(&[1])), Some(1));
        assert_eq!(modulus_bits(&key(&[0, 0])), None);
    }
}
