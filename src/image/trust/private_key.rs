//! Private keys that images are signed with: PEM with PKCS#8, or cosign's form of it, encrypted by a passphrase.
//!
//! cosign's is a JSON document in PEM: PKCS#8 as NaCl's secretbox (XSalsa20 and Poly1305), whose key scrypt (RFC 7914) makes
//! of the passphrase. <https://github.com/sigstore/cosign/blob/main/doc/cosign_generate-key-pair.md>,
//! <https://pkg.go.dev/github.com/secure-systems-lab/go-securesystemslib/encrypted>

use super::sigstore::block;
use crate::base::base64;
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use anyhow::{Context, Result};
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair};
use serde::Deserialize;
use std::path::Path;

/// A file of a key or a passphrase larger than this is none.
const LIMIT: u64 = 1 << 20;
/// What scrypt may take: a file could ask for all memory. cosign's keys ask for 32 MiB, with N = 32768 and r = 8.
const MOST_MEMORY: u64 = 128 << 20;
/// The labels that cosign has used.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

/// A private key, and how its passphrase is had.
#[derive(Debug, Clone, Copy)]
pub struct KeyFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// A file with its passphrase; `None`: `COSIGN_PASSWORD`, if it is encrypted.
    pub passphrase: Option<&'a Path>,
}

/// cosign's document.
#[derive(Deserialize)]
struct Encrypted {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

/// What scrypt is to do.
#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Sign a document with the key of a file: ECDSA P-256 with SHA-256, or Ed25519.
///
/// Errors ([`Kind::Usage`]): no such key; it is encrypted, and the passphrase is missing or another.
pub fn sign(key: &KeyFile<'_>, payload: &[u8]) -> Result<Vec<u8>> {
    let deed = || format!("cannot use the private key `{}`", key.path.display());
    let pem = read_limited(key.path, LIMIT).with_context(deed)?;
    let pkcs8 = pkcs8(&pem, || passphrase(key.passphrase)).with_context(deed)?;
    signature_of(payload, &pkcs8).with_context(deed)
}

/// The passphrase of a file, less the end of its line, or of the environment.
fn passphrase(file: Option<&Path>) -> Result<Vec<u8>> {
    let Some(path) = file else {
        let missing = || Fault::new(Kind::Usage, "it is encrypted, and there is no passphrase");
        let hint = "COSIGN_PASSWORD=… in the environment, or --sign-passphrase-file FILE";
        return Ok(env::cosign_password().ok_or_else(|| missing().hint(hint))?.into_bytes());
    };
    let mut text = read_limited(path, LIMIT)?;
    while matches!(text.last(), Some(b'\n' | b'\r')) {
        text.pop();
    }
    Ok(text)
}

/// The key itself (PKCS#8, DER) of a file's text.
fn pkcs8(pem: &[u8], passphrase: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    if let Some(whole) = ENCRYPTED.iter().find_map(|label| block(&text, label)) {
        let document = base64::decode(whole).ok_or_else(|| fault(Kind::Usage, "its base64 is damaged"))?;
        let document: Encrypted = serde_json::from_slice(&document)
            .map_err(|error| fault(Kind::Usage, format!("it is encrypted in an unknown way: {error}")))?;
        return decrypt(&document, &passphrase()?);
    }
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let fault = Fault::new(Kind::Usage, "it is encrypted by PKCS#8's own means, which box does not read");
        return Err(fault.hint("cosign import-key-pair --key KEY, or: openssl pkey -in KEY -out PLAIN").into());
    }
    let der = block(&text, "PRIVATE KEY").and_then(base64::decode);
    der.ok_or_else(|| fault(Kind::Usage, "it is not in PEM, form PKCS#8"))
}

fn decrypt(document: &Encrypted, passphrase: &[u8]) -> Result<Vec<u8>> {
    let unknown =
        |what: &str| fault(Kind::Usage, format!("it is encrypted in an unknown way: {}", what.escape_debug()));
    let Encrypted { kdf, cipher, ciphertext } = document;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        return Err(unknown(&format!("{} and {}", kdf.name, cipher.name)));
    }
    let decoded = |text: &str| base64::decode(text).ok_or_else(|| unknown("its base64 is damaged"));
    let Params { n, r, p } = kdf.params;
    let memory = n.saturating_mul(u64::from(r)).saturating_mul(128).saturating_mul(u64::from(p.max(1)));
    if !n.is_power_of_two() || n < 2 || memory > MOST_MEMORY {
        return Err(unknown(&format!("scrypt with N={n} r={r} p={p}")));
    }
    let params = scrypt::Params::new(n.ilog2() as u8, r, p, 32).map_err(|error| unknown(&error.to_string()))?;
    let mut key = Key::default();
    scrypt::scrypt(passphrase, &decoded(&kdf.salt)?, &params, &mut key).map_err(|error| unknown(&error.to_string()))?;
    let nonce: [u8; 24] = decoded(&cipher.nonce)?.try_into().map_err(|_| unknown("its nonce has another length"))?;
    let opened = XSalsa20Poly1305::new(&key).decrypt(&Nonce::from(nonce), decoded(ciphertext)?.as_slice());
    opened.map_err(|_| fault(Kind::Usage, "the passphrase is another, or the file is damaged"))
}

/// The signature of a document by a private key.
fn signature_of(payload: &[u8], pkcs8: &[u8]) -> Result<Vec<u8>> {
    let random = ring::rand::SystemRandom::new();
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random) {
        let signed = pair.sign(&random, payload).map_err(|_| fault(Kind::Other, "cannot sign"))?;
        return Ok(signed.as_ref().to_vec());
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
        .map_err(|_| fault(Kind::Usage, "it is neither ECDSA P-256 nor Ed25519"))?;
    Ok(pair.sign(payload).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::UnparsedPublicKey;

    /// Made by libsodium's secretbox and OpenSSL's scrypt, as cosign makes it; the passphrase is `open sesame`.
    const COSIGN: &str = "\
-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjozMjc2OCwiciI6
OCwicCI6MX0sInNhbHQiOiJEajc2SkZmdlVURkUrT3BUSktxelQ4NE4rQ1pEcXBl
VnN4aUROSWY4OVZjPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJUZFlidGFodXBsMXZUMk12MFhVaDk3WkRzWTZmVDRDeiJ9LCJj
aXBoZXJ0ZXh0IjoiSm5vRzBQS0NYMnBEZVlNQkhmenk5RlhBM1ROUi8yTjZLRWl1
YWUrdlEzVmMrRjNScTFCUjBweUdOT3lDNXlrUjZMOVM5eEI4eXc4akErb1MzQ0J0
T25GckI2Z3F0OVpRQkFMaDRNLzZPUXBoODcyWjNFR0QzaFk1QUVFcEdFZ0luWFlE
WmJybW1HMDBzM1IwVnJ3TW1WV0xudmgxbFZyaXp0TzErTWZPZElOaU1ZWGtIK05i
ZGdrZTJzZlBqOFcwTlUzenVyN1VNVnZIYUE9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";

    const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElPjYc7jd6eFl3np1F5gC+O0QOBqG
utjzjRVi/3z4l3oOiRrTeJUsE6oa6zTNefujxDHDnNWfG9ytRa75MegR/Q==
-----END PUBLIC KEY-----
";

    #[test]
    fn a_key_of_cosign_is_opened_by_its_passphrase_alone() {
        let key = pkcs8(COSIGN.as_bytes(), || Ok(b"open sesame".to_vec())).unwrap();
        let signature = signature_of(b"text", &key).unwrap();
        let der = base64::decode(block(PUBLIC, "PUBLIC KEY").unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, &der[26..]);
        assert!(public.verify(b"text", &signature).is_ok() && public.verify(b"texts", &signature).is_err());
        let wrong = pkcs8(COSIGN.as_bytes(), || Ok(b"open sesam".to_vec())).unwrap_err();
        assert!(wrong.to_string().contains("passphrase"), "{wrong}");
    }

    #[test]
    fn what_a_file_may_not_ask_for() {
        let read = |document: &str| {
            let text = base64::encode(document.as_bytes());
            let label = ENCRYPTED[0];
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            pkcs8(pem.as_bytes(), || Ok(Vec::new())).unwrap_err().to_string()
        };
        let document = |kdf: &str, n: u64, nonce: &str| {
            format!(
                r#"{{"kdf":{{"name":"{kdf}","params":{{"N":{n},"r":8,"p":1}},"salt":"AA=="}},
                "cipher":{{"name":"nacl/secretbox","nonce":"{nonce}"}},"ciphertext":"AA=="}}"#
            )
        };
        for (document, says) in [
            ("x".to_owned(), "unknown way"),
            (document("argon2", 2, ""), "argon2"),
            (document("scrypt", 1 << 40, ""), "N=1099511627776"),
            (document("scrypt", 3, ""), "N=3"),
            (document("scrypt", 0, ""), "N=0"),
            (document("scrypt", 2, "AA=="), "nonce"),
            (document("scrypt", 2, &base64::encode(&[0; 24])), "passphrase"),
        ] {
            let said = read(&document);
            assert!(said.contains(says), "{document}: {said}");
        }
        let others = [("", "PKCS#8"), ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "own means")];
        for (pem, says) in others {
            let said = pkcs8(pem.as_bytes(), || Ok(Vec::new())).unwrap_err().to_string();
            assert!(said.contains(says), "{pem}: {said}");
        }
    }
}
