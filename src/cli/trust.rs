//! `image sign`, `image trust` and `image attestation`.

use super::access::access;
use super::args::trust::{AttestationArgs, Set, Show, Sign, SigningFlags, TrustVerb};
use super::output::{print, print_json, print_line, table};
use super::template::Format;
use crate::base::error::{Fault, Kind, fault};
use crate::base::units::human_size;
use crate::config::policy::{self, Policy, Requirement};
use crate::image::trust::{self, GpgSigner, KeyFile, Signer};
use crate::oci::reference::Reference;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write;

/// `box image sign`.
pub fn sign(args: &Sign) -> Result<u8> {
    let access = access(&args.access, None)?;
    for image in &args.images {
        let signer = match (&args.sign_by, &args.sign_by_sigstore_private_key) {
            (Some(key), _) => Signer::Gpg(GpgSigner {
                key,
                passphrase: args.sign_passphrase_file.as_deref(),
                folder: args.directory.as_deref(),
            }),
            (None, Some(path)) => Signer::Sigstore(KeyFile { path, passphrase: args.sign_passphrase_file.as_deref() }),
            (None, None) => return Err(fault(Kind::Usage, "there is no key to sign with")),
        };
        for place in trust::sign_image(&access, &reference(image)?, signer, args.all)? {
            print_line(&place)?;
        }
    }
    Ok(0)
}

/// With what `push` signs.
pub fn signer(flags: &SigningFlags) -> Option<Signer<'_>> {
    let passphrase = flags.sign_passphrase_file.as_deref();
    match (&flags.sign_by, &flags.sign_by_sigstore_private_key) {
        (Some(key), _) => Some(Signer::Gpg(GpgSigner { key, passphrase, folder: None })),
        (None, Some(path)) => Some(Signer::Sigstore(KeyFile { path, passphrase })),
        (None, None) => None,
    }
}

fn reference(text: &str) -> Result<Reference> {
    Reference::parse(text.strip_prefix("docker://").unwrap_or(text))
}

/// `box image trust …`.
pub fn trust(verb: &TrustVerb) -> Result<u8> {
    match verb {
        TrustVerb::Show(args) => show(args),
        TrustVerb::Set(args) => set(args),
    }
}

fn show(args: &Show) -> Result<u8> {
    let policy = Policy::load()?;
    if args.raw {
        let accept = json!({ "default": [{ "type": "insecureAcceptAnything" }] }).to_string();
        let text = policy.path().map_or(Ok(accept), std::fs::read_to_string).context("cannot read policy.json")?;
        return print(&text).map(|()| 0);
    }
    let mut rows = Vec::new();
    for (transport, scope, requirements) in policy.all() {
        if let Some(wanted) = &args.scope
            && scope != wanted
            && !(transport.is_empty() && wanted == "default")
        {
            continue;
        }
        rows.extend(requirements.iter().map(|requirement| row(transport, scope, requirement)));
    }
    if args.json {
        print_json(&Value::Array(rows))?;
        return Ok(0);
    }
    let mut lines = Vec::new();
    if !args.noheading {
        lines.push(["TRANSPORT", "NAME", "TYPE", "KEYS"].map(str::to_owned).to_vec());
    }
    let cell = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    lines.extend(rows.iter().map(|row| ["transport", "name", "type", "keys"].map(|key| cell(row, key)).to_vec()));
    print(&table(&lines))?;
    Ok(0)
}

fn row(transport: &str, scope: &str, requirement: &Requirement) -> Value {
    let paths = |one: &Option<std::path::PathBuf>, more: &[std::path::PathBuf]| {
        one.iter().chain(more).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    let (kind, keys) = match requirement {
        Requirement::Accept {} => ("accept", String::new()),
        Requirement::Reject {} => ("reject", String::new()),
        Requirement::SignedBy { key_path, key_paths, .. } => ("signed", paths(key_path, key_paths)),
        Requirement::SigstoreSigned { key_path, key_paths, .. } => ("sigstoreSigned", paths(key_path, key_paths)),
    };
    let (transport, scope) = match transport {
        "" => ("all", "default"),
        "docker" => ("repository", scope),
        other => (other, scope),
    };
    json!({ "transport": transport, "name": scope, "type": kind, "keys": keys })
}

fn set(args: &Set) -> Result<u8> {
    let keys = args.pubkeysfile.iter().map(|path| {
        let path = std::fs::canonicalize(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(path.display().to_string())
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let signed = matches!(args.kind.as_str(), "signedBy" | "sigstoreSigned");
    if signed == keys.is_empty() {
        let text = if signed { "a signature needs keys" } else { "only signatures have keys" };
        return Err(Fault::new(Kind::Usage, text).hint("--pubkeysfile FILE").into());
    }
    let requirement = match args.kind.as_str() {
        "accept" => json!({ "type": "insecureAcceptAnything" }),
        "reject" => json!({ "type": "reject" }),
        "signedBy" => json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPaths": keys }),
        _ => json!({ "type": "sigstoreSigned", "keyPaths": keys, "signedIdentity": { "type": "matchRepository" } }),
    };
    policy::set(&args.scope, requirement)?;
    Ok(0)
}

/// `box image attestation`.
pub fn attestation(args: &AttestationArgs) -> Result<u8> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let access = access(&args.access, None)?;
    let reference = reference(&args.image)?;
    let deed = || format!("cannot look at what is attached to `{}`", args.image.escape_debug());
    if let Some(digest) = &args.digest {
        let bytes = trust::attestation(&access, &reference, digest).with_context(deed)?;
        std::io::stdout().lock().write_all(&bytes).context("cannot write to stdout")?;
        return Ok(0);
    }
    let all = trust::attestations(&access, &reference).with_context(deed)?;
    let rows: Vec<Value> = all
        .iter()
        .map(|one| {
            json!({
                "Digest": one.digest.as_str(),
                "Type": one.kind,
                "MediaType": one.media_type,
                "Predicate": one.predicate,
                "Size": one.size,
            })
        })
        .collect();
    if let Some(format) = format {
        return print(&format.render(&rows, &str::to_ascii_uppercase)?).map(|()| 0);
    }
    let mut lines = vec![["DIGEST", "TYPE", "SIZE", "PREDICATE"].map(str::to_owned).to_vec()];
    lines.extend(all.iter().map(|one| {
        let digest = one.digest.digits().get(..12).unwrap_or_default().to_owned();
        let predicate = if one.predicate.is_empty() { &one.media_type } else { &one.predicate };
        vec![digest, one.kind.clone(), human_size(one.size, 3), predicate.clone()]
    }));
    print(&table(&lines))?;
    Ok(0)
}
