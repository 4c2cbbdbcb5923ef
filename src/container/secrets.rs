//! Secrets that a container is given: as files in memory, or as variables. They are read at each start, and are in no
//! record, so that neither `inspect` nor an image of the container has them.

use super::mounts::outside;
use super::record::Container;
use crate::base::error::{Fault, Kind, fault};
use crate::engine::Engine;
use crate::volume::secret;
use anyhow::{Context, Result};
use oci_spec::runtime::{MountBuilder, Spec};
use rustix::fs::{Gid, Mode, Uid};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One `--secret`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its name or id, as typed.
    pub name: String,
    /// How the container gets it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its value, if it is nobody's secret by name; not kept.
    #[serde(skip)]
    pub value: Option<Vec<u8>>,
}

/// How a container gets a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Delivery {
    /// As a file.
    Mount {
        /// Absolute, in the container.
        target: PathBuf,
        /// Its owner, in the container's ids.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its mode.
        mode: u32,
    },
    /// As a variable.
    Env {
        /// The variable's name.
        target: String,
    },
}

/// Secrets with their values.
pub type Values = Vec<(Delivery, Vec<u8>)>;

/// Parse `--secret NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]`.
pub fn parse(text: &str) -> Result<Given> {
    let shown = text.escape_debug().to_string();
    let wrong = |what: &str| {
        Fault::new(Kind::Usage, format!("`--secret {shown}`: {what}"))
            .hint("box run --secret NAME,type=mount,target=/run/secrets/x,mode=0400 IMAGE")
    };
    let mut words = text.split(',');
    let first = words.next().unwrap_or_default();
    // docker's `source=NAME`, too.
    let mut name = first.strip_prefix("source=").unwrap_or(first).to_owned();
    let (mut kind, mut target, mut uid, mut gid, mut mode) = ("mount", None, None, None, None);
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| wrong(&format!("`{word}` is not KEY=VALUE")))?;
        let number = |radix: u32, what: &str| {
            u32::from_str_radix(value, radix).map_err(|_| wrong(&format!("`{key}={value}` is not {what}")))
        };
        match key {
            "source" => name = value.to_owned(),
            "type" => kind = value,
            "target" => target = Some(value.to_owned()),
            "uid" => uid = Some(number(10, "an id")?),
            "gid" => gid = Some(number(10, "an id")?),
            "mode" => mode = Some(number(8, "a mode")?),
            _ => return Err(wrong(&format!("there is no field `{key}`")).into()),
        }
    }
    if name.is_empty() || name.contains('=') {
        return Err(wrong("it begins with the secret's name").into());
    }
    let delivery = match kind {
        "mount" => {
            let target = PathBuf::from(target.unwrap_or_else(|| name.clone()));
            let mode = mode.unwrap_or(0o444);
            if mode > 0o777 || target.components().any(|part| part == std::path::Component::ParentDir) {
                return Err(wrong("its mode has at most three digits, its target no `..`").into());
            }
            let target = Path::new("/run/secrets").join(target);
            Delivery::Mount { target, uid: uid.unwrap_or(0), gid: gid.unwrap_or(0), mode }
        }
        "env" if uid.or(gid).or(mode).is_some() => {
            return Err(wrong("uid, gid and mode are a file's, not a variable's").into());
        }
        "env" => {
            let target = target.unwrap_or_else(|| name.clone());
            if target.is_empty() || target.contains(['=', '\0']) {
                return Err(wrong("a variable's name holds no `=`").into());
            }
            Delivery::Env { target }
        }
        other => return Err(wrong(&format!("`type={other}` is neither mount nor env")).into()),
    };
    Ok(Given { name, delivery, value: None })
}

/// Whether all of them exist. For `create`, so that a wrong name is told at once.
pub fn check(engine: &Engine, given: &[Given]) -> Result<()> {
    let named = given.iter().filter(|given| given.value.is_none());
    named.into_iter().try_for_each(|given| secret::find(&engine.dirs, &given.name).map(drop))
}

/// Read the values, as the caller and not yet in the user's namespace: a driver may run the user's own programs.
pub fn read(engine: &Engine, given: &[Given]) -> Result<Values> {
    let value = |given: &Given| match &given.value {
        Some(value) => Ok(value.clone()),
        None => secret::find(&engine.dirs, &given.name)?.value(),
    };
    given.iter().map(|given| Ok((given.delivery.clone(), value(given)?))).collect()
}

/// Hand the values over: files into the container's run folder, which is memory and goes when the container ends, and
/// from there into the specification.
pub fn deliver(container: &Container, values: &Values, spec: &mut Spec) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let folder = container.run_dir.join("secrets");
    let deed = || format!("cannot write the secrets of container `{}`", container.config.name);
    crate::base::fs::remove_tree(&folder).with_context(deed)?;
    std::fs::DirBuilder::new().mode(0o700).create(&folder).with_context(deed)?;
    for (number, (delivery, value)) in values.iter().enumerate() {
        match delivery {
            Delivery::Env { target } => add_variable(spec, target, value)?,
            Delivery::Mount { target, uid, gid, mode } => {
                let file = folder.join(number.to_string());
                let maps = spec.linux().as_ref().map(|linux| (linux.uid_mappings(), linux.gid_mappings()));
                let (uids, gids) = maps.map_or((None, None), |(uids, gids)| (uids.as_deref(), gids.as_deref()));
                let owner = (outside(*uid, uids), outside(*gid, gids));
                write(&file, value, owner, *mode).with_context(deed)?;
                let options = ["bind", "ro", "nosuid", "nodev", "noexec", "rprivate"].map(str::to_owned).to_vec();
                let mount =
                    MountBuilder::default().destination(target).typ("bind").source(file).options(options).build()?;
                spec.mounts_mut().get_or_insert_default().push(mount);
            }
        }
    }
    Ok(())
}

/// The variables among the secrets, for one more process in the container.
pub fn add_variables(values: &Values, spec: &mut Spec) -> Result<()> {
    values.iter().try_for_each(|(delivery, value)| match delivery {
        Delivery::Env { target } => add_variable(spec, target, value),
        Delivery::Mount { .. } => Ok(()),
    })
}

fn add_variable(spec: &mut Spec, name: &str, value: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'));
    let text =
        text.ok_or_else(|| fault(Kind::Usage, format!("the secret for `{name}` is no text, which a variable is")))?;
    let process = spec.process_mut().as_mut().context("the specification has no process")?;
    let variables = process.env_mut().get_or_insert_default();
    variables.retain(|variable| variable.split('=').next() != Some(name));
    variables.push(format!("{name}={text}"));
    Ok(())
}

fn write(path: &Path, value: &[u8], owner: (u32, u32), mode: u32) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(value)?;
    rustix::fs::fchown(&file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
    Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let mount = |name: &str, target: &str, uid: u32, gid: u32, mode: u32| {
            Some(Given {
                name: name.into(),
                delivery: Delivery::Mount { target: target.into(), uid, gid, mode },
                value: None,
            })
        };
        let env = |name: &str, target: &str| {
            Some(Given { name: name.into(), delivery: Delivery::Env { target: target.into() }, value: None })
        };
        for (text, expected) in [
            ("a", mount("a", "/run/secrets/a", 0, 0, 0o444)),
            ("source=a,target=b", mount("a", "/run/secrets/b", 0, 0, 0o444)),
            ("a,target=/etc/key,uid=5,gid=6,mode=0400", mount("a", "/etc/key", 5, 6, 0o400)),
            ("a,type=env", env("a", "a")),
            ("a,type=env,target=TOKEN", env("a", "TOKEN")),
            ("", None),
            ("a,type=nope", None),
            ("a,mode=9", None),
            ("a,mode=7777", None),
            ("a,uid=x", None),
            ("a,target=../x", None),
            ("a,nope=1", None),
            ("a,nope", None),
            ("a,type=env,mode=0400", None),
            ("a,type=env,target=A=B", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
