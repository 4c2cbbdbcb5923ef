//! Simple signatures: small documents signed by GnuPG, kept in a lookaside.
//!
//! Keys are imported into a folder of their own for each check, so that only those that the policy names count.
//! <https://github.com/containers/image/blob/main/docs/containers-signature.5.md>

use super::Asked;
use super::lookaside::Lookaside;
use super::signing::GpgSigner;
use super::sigstore::simple_words;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::config::policy::{Requirement, keys};
use crate::oci::reference::Reference;
use anyhow::{Context, Result};
use serde_json::json;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes with this.
struct Home(PathBuf);

impl Home {
    fn new() -> Result<Self> {
        let id = crate::base::id::ContainerId::random();
        let path = std::env::temp_dir().join(format!("box-gpg-{}", id.short()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make folder `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = crate::base::fs::remove_tree(&self.0);
    }
}

/// Check the requirement `signedBy`.
pub(super) async fn check(asked: &Asked<'_>, requirement: &Requirement) -> Result<()> {
    let Requirement::SignedBy { key_type, key_path, key_paths, key_data, signed_identity } = requirement else {
        return Ok(());
    };
    if key_type != "GPGKeys" {
        return Err(fault(Kind::Host, format!("it wants keys of the type `{}`", key_type.escape_debug())));
    }
    let paths: Vec<&Path> = key_path.iter().chain(key_paths).map(AsRef::as_ref).collect();
    let datas: Vec<&str> = key_data.iter().map(String::as_str).collect();
    let keys = keys(&paths, &datas)?;
    let Some(lookaside) = Lookaside::of(asked.reference)? else {
        return Err(fault(Kind::Host, "it wants a signature, and no `lookaside` in registries.d says where they are"));
    };
    let home = Home::new()?;
    for key in &keys {
        let output = gpg(&home.0, &["--import"], key)?;
        if !output.status.success() {
            return Err(fault(Kind::Host, "gpg cannot read one of its keys"));
        }
    }
    let mut why = "it wants a signature, and there is none";
    for digest in asked.digests {
        for signature in lookaside.read(asked.reference, digest).await? {
            why = "no signature is by one of its keys";
            let Some(payload) = verified(&home.0, &signature)? else { continue };
            why = "what is signed is another image or name";
            let Some((digest, name)) = simple_words(&payload) else { continue };
            if asked.is_meant(&digest, &name, signed_identity) {
                return Ok(());
            }
        }
    }
    Err(fault(Kind::BadData, why))
}

/// What a signature signs, if it is good.
fn verified(home: &Path, signature: &[u8]) -> Result<Option<Vec<u8>>> {
    let output = gpg(home, &["--status-fd", "2", "--decrypt"], signature)?;
    let status = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")).collect();
    let has = |word: &str| lines.iter().any(|line| line.split(' ').next() == Some(word));
    // One signature, good now: expired and revoked keys do not count.
    let signatures = lines.iter().filter(|line| line.starts_with("NEWSIG")).count();
    let bad = ["BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA"].iter().any(|word| has(word));
    let good = output.status.success() && has("GOODSIG") && has("VALIDSIG") && !bad && signatures == 1;
    Ok(good.then_some(output.stdout))
}

/// Sign an image's digest under a name with a key of the caller's own key ring: a simple signature.
pub fn sign_simple(reference: &Reference, digest: &Digest, signer: &GpgSigner<'_>) -> Result<Vec<u8>> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": reference.stored_name() },
            "image": { "docker-manifest-digest": digest.as_str() },
            "type": "atomic container signature",
        },
        "optional": { "creator": concat!("box ", env!("CARGO_PKG_VERSION")), "timestamp": crate::base::time::now() / 1_000_000_000 },
    });
    let key = signer.key;
    let passphrase = signer.passphrase.map(|path| path.display().to_string());
    let mut words: Vec<&str> = Vec::new();
    if let Some(path) = &passphrase {
        words.extend(["--pinentry-mode", "loopback", "--passphrase-file", path]);
    }
    words.extend(["--local-user", key, "--sign"]);
    let output = run(None, &words, &serde_json::to_vec(&payload)?)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().last().unwrap_or_default().trim_start_matches("gpg: ").to_owned();
        let fault = Fault::new(Kind::Host, format!("gpg cannot sign with `{}`: {words}", key.escape_debug()));
        return Err(fault.hint("gpg --list-secret-keys").into());
    }
    Ok(output.stdout)
}

fn gpg(home: &Path, words: &[&str], input: &[u8]) -> Result<Output> {
    run(Some(home), words, input)
}

/// Run gpg without questions; `input` is what it reads.
fn run(home: Option<&Path>, words: &[&str], input: &[u8]) -> Result<Output> {
    let Some(program) = program::find("gpg") else {
        let fault = Fault::new(Kind::Host, "signatures of GnuPG need the program `gpg`");
        return Err(fault.hint(program::how_to_install("gnupg", &[])).into());
    };
    let mut command = Command::new(program);
    command.args(["--batch", "--quiet", "--no-tty"]);
    if let Some(home) = home {
        command.arg("--homedir").arg(home).args(["--no-autostart", "--trust-model", "always", "--no-options"]);
    }
    command.args(words).stdin(program::input(input)?);
    command.output().context("cannot run `gpg`")
}
