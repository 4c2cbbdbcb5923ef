//! The words of `-v`, `--mount` and `--tmpfs`. Parsing is pure; [`resolve`] then looks at the host.

use super::request::Mount;
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// Parse `-v HOST:CTR[:OPTIONS]`.
pub fn parse_volume(text: &str) -> Result<Mount> {
    let shown = text.escape_debug();
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] if target.starts_with('/') => return Err(no_volumes(text)),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => {
            return Err(Fault::new(Kind::Usage, format!("`-v {shown}` is not HOST:CONTAINER[:OPTIONS]"))
                .hint("box run -v /srv/www:/www:ro IMAGE")
                .into());
        }
    };
    if source.is_empty() {
        return Err(fault(Kind::Usage, format!("`-v {shown}` has no folder of the host before the first colon")));
    }
    if !source.starts_with('/') && !source.starts_with('.') {
        return Err(no_volumes(source));
    }
    let (mut read_only, mut recursive) = (false, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "rbind" => recursive = true,
            "bind" => recursive = false,
            // What box does anyway (mounts are private), or what has no meaning without SELinux or a virtual machine.
            "private" | "rprivate" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            _ => {
                let option = option.escape_debug();
                return Err(Fault::new(Kind::Usage, format!("`-v {shown}`: box has no mount option `{option}`"))
                    .hint("the options are: ro rw bind rbind private z Z")
                    .into());
            }
        }
    }
    Ok(Mount::Bind { source: source.into(), target: parse_target(target, text)?, read_only, recursive })
}

/// Parse `--mount type=bind,src=…,dst=…[,ro]` or `type=tmpfs,dst=…[,tmpfs-size=…]`: comma-separated values, in
/// which a field may be quoted.
pub fn parse_mount(text: &str) -> Result<Mount> {
    let shown = text.escape_debug();
    let mut kind = None;
    let mut rest = Vec::new();
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (field, None),
        };
        match key.as_str() {
            "type" => kind = value,
            _ => rest.push((key, value)),
        }
    }
    match kind.as_deref() {
        Some("bind") => bind(&rest, text),
        Some("tmpfs") => tmpfs(&rest, text),
        Some("volume") | None => Err(no_volumes(text)),
        Some(kind) => Err(Fault::new(
            Kind::Usage,
            format!("`--mount {shown}`: box has no mounts of type `{}`", kind.escape_debug()),
        )
        .hint("the types are: bind tmpfs")
        .into()),
    }
}

fn bind(fields: &[(String, Option<String>)], text: &str) -> Result<Mount> {
    let (mut source, mut target, mut read_only, mut recursive) = (None, None, false, true);
    for (key, value) in fields {
        match (key.as_str(), value.as_deref()) {
            ("src" | "source", Some(value)) if !value.is_empty() => source = Some(PathBuf::from(value)),
            ("dst" | "dest" | "destination" | "target", Some(value)) => target = Some(parse_target(value, text)?),
            ("ro" | "readonly", value) => read_only = boolean(value, text)?,
            ("rw", value) => read_only = !boolean(value, text)?,
            ("bind-nonrecursive", value) => recursive = !boolean(value, text)?,
            ("bind-propagation", Some("private" | "rprivate")) | ("relabel" | "consistency", Some(_)) => {}
            _ => return Err(unknown_field(key, text, "src dst ro bind-nonrecursive")),
        }
    }
    match (source, target) {
        (Some(source), Some(target)) => Ok(Mount::Bind { source, target, read_only, recursive }),
        (None, _) => Err(missing("src", text)),
        (_, None) => Err(missing("dst", text)),
    }
}

fn tmpfs(fields: &[(String, Option<String>)], text: &str) -> Result<Mount> {
    let (mut target, mut options) = (None, Vec::new());
    for (key, value) in fields {
        match (key.as_str(), value.as_deref()) {
            ("dst" | "dest" | "destination" | "target", Some(value)) => target = Some(parse_target(value, text)?),
            ("tmpfs-size" | "size", Some(value)) => options.push(format!("size={value}")),
            ("tmpfs-mode" | "mode", Some(value)) => options.push(format!("mode={value}")),
            ("ro" | "readonly", value) => options.push(if boolean(value, text)? { "ro" } else { "rw" }.to_owned()),
            ("exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid" | "noatime", None) => options.push(key.clone()),
            _ => return Err(unknown_field(key, text, "dst tmpfs-size tmpfs-mode ro exec suid dev")),
        }
    }
    check_tmpfs(&options, text)?;
    Ok(Mount::Tmpfs { target: target.ok_or_else(|| missing("dst", text))?, options })
}

/// Parse `--tmpfs CTR[:OPTIONS]`.
pub fn parse_tmpfs(text: &str) -> Result<Mount> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<String> = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
    check_tmpfs(&options, text)?;
    Ok(Mount::Tmpfs { target: parse_target(target, text)?, options })
}

/// Options that the kernel would refuse are refused here, where they can be named.
fn check_tmpfs(options: &[String], text: &str) -> Result<()> {
    const FLAGS: [&str; 12] = [
        "rw",
        "ro",
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "noatime",
        "relatime",
        "strictatime",
        "nodiratime",
    ];
    for option in options {
        let valid = match option.split_once('=') {
            None => FLAGS.contains(&option.as_str()),
            Some(("size", size)) => is_size(size, "kmgt%"),
            Some(("nr_inodes" | "nr_blocks", count)) => is_size(count, "kmgt"),
            Some(("mode", mode)) => (3..=5).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b)),
            Some(("uid" | "gid", id)) => id.parse::<u32>().is_ok(),
            Some(_) => false,
        };
        if !valid {
            let (option, shown) = (option.escape_debug(), text.escape_debug());
            return Err(Fault::new(Kind::Usage, format!("`{option}` in `{shown}` is not an option of tmpfs"))
                .hint("box run --tmpfs /tmp:size=64m,mode=1777,exec IMAGE")
                .into());
        }
    }
    Ok(())
}

/// Digits with at most one of these suffixes, in any case.
fn is_size(text: &str, suffixes: &str) -> bool {
    let digits = text.strip_suffix(|c: char| suffixes.contains(c.to_ascii_lowercase())).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A mount point in the container: absolute, not the root itself.
fn parse_target(target: &str, text: &str) -> Result<PathBuf> {
    let shown = text.escape_debug();
    if !target.starts_with('/') {
        let target = target.escape_debug();
        return Err(fault(Kind::Usage, format!("`{target}` in `{shown}` is not an absolute path in the container")));
    }
    let mut clean = PathBuf::from("/");
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    match clean.parent() {
        None => Err(fault(Kind::Usage, format!("`{shown}` would cover the container's whole root"))),
        Some(_) => Ok(clean),
    }
}

/// Make sources absolute, check that they are there and that no two mounts have the same target.
pub fn resolve(mounts: &mut [Mount]) -> Result<()> {
    let mut targets = std::collections::BTreeSet::new();
    for mount in mounts {
        if let Mount::Bind { source, .. } = mount {
            *source = std::path::absolute(&*source)?;
            if let Err(error) = std::fs::metadata(&*source) {
                let shown = source.display().to_string();
                let fault = Fault::new(Kind::Usage, format!("cannot mount `{}`", shown.escape_debug()));
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                return Err(
                    if missing { fault.hint(format!("mkdir -p {}", quoted(&shown))) } else { fault }.because(error)
                );
            }
        }
        let (Mount::Bind { target, .. } | Mount::Tmpfs { target, .. }) = mount;
        if !targets.insert(target.clone()) {
            let target = target.display().to_string();
            return Err(fault(Kind::Usage, format!("two mounts have the target `{}`", target.escape_debug())));
        }
    }
    Ok(())
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    match word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c)) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The fields of one line of comma-separated values, with double quotes.
fn fields(text: &str) -> Result<Vec<String>> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(fault(Kind::Usage, format!("`--mount {}` has a quote that is not closed", text.escape_debug())));
    }
    fields.push(field);
    fields.retain(|field| !field.is_empty());
    Ok(fields)
}

fn boolean(value: Option<&str>, text: &str) -> Result<bool> {
    match value {
        None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(fault(
            Kind::Usage,
            format!("`{}` in `--mount {}` is neither true nor false", other.escape_debug(), text.escape_debug()),
        )),
    }
}

fn missing(field: &str, text: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("`--mount {}` has no `{field}=`", text.escape_debug()))
        .hint("box run --mount type=bind,src=/srv/www,dst=/www,ro IMAGE")
        .into()
}

fn unknown_field(key: &str, text: &str, known: &str) -> anyhow::Error {
    let (key, text) = (key.escape_debug(), text.escape_debug());
    Fault::new(Kind::Usage, format!("`--mount {text}`: box has no mount option `{key}`, or it has a wrong value"))
        .hint(format!("the options are: {known}"))
        .into()
}

/// Named and anonymous volumes are of a later release; a folder is what there is.
fn no_volumes(text: &str) -> anyhow::Error {
    let name = text.split([':', ',']).next().unwrap_or_default();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let folder = if plain && !name.starts_with('/') { name } else { "data" };
    Fault::new(Kind::Usage, format!("`{}` asks for a volume, and this release has only folders", text.escape_debug()))
        .hint(format!("a folder has a slash: mkdir -p ./{folder} && box run -v ./{folder}:/data IMAGE"))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(source: &str, target: &str, read_only: bool, recursive: bool) -> Option<Mount> {
        Some(Mount::Bind { source: source.into(), target: target.into(), read_only, recursive })
    }

    fn memory(target: &str, options: &[&str]) -> Option<Mount> {
        Some(Mount::Tmpfs { target: target.into(), options: options.iter().map(|o| (*o).to_owned()).collect() })
    }

    fn check(parse: fn(&str) -> Result<Mount>, cases: &[(&str, Option<Mount>)]) {
        for (text, expected) in cases {
            assert_eq!(parse(text).ok(), *expected, "{text}");
        }
    }

    #[test]
    fn volumes() {
        check(
            parse_volume,
            &[
                ("/a:/b", bound("/a", "/b", false, true)),
                ("/a:/b:ro", bound("/a", "/b", true, true)),
                ("./a:/b/../c:rw,Z", bound("./a", "/c", false, true)),
                ("..:/b:bind,ro", bound("..", "/b", true, false)),
                ("/a b:/c d", bound("/a b", "/c d", false, true)),
                ("name:/b", None),
                ("/b", None),
                ("/a:b", None),
                ("/a:/", None),
                ("/a:/b/..", None),
                ("/a:/b:ro:x", None),
                ("/a:/b:nope", None),
                (":/b", None),
                ("/a:", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn mounts() {
        check(
            parse_mount,
            &[
                ("type=bind,src=/a,dst=/b", bound("/a", "/b", false, true)),
                ("type=bind,source=/a,target=/b,readonly", bound("/a", "/b", true, true)),
                ("type=bind,src=/a,destination=/b,ro=false", bound("/a", "/b", false, true)),
                ("dst=/b,src=a,ro=1,type=bind,bind-nonrecursive", bound("a", "/b", true, false)),
                ("type=bind,\"src=/a,c\",dst=/b", bound("/a,c", "/b", false, true)),
                ("type=tmpfs,dst=/b", memory("/b", &[])),
                (
                    "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=1777,exec",
                    memory("/b", &["size=64m", "mode=1777", "exec"]),
                ),
                ("type=tmpfs,dst=/b,ro", memory("/b", &["ro"])),
                ("type=tmpfs,dst=/b,tmpfs-size=x", None),
                ("type=tmpfs", None),
                ("type=tmpfs,src=/a,dst=/b", None),
                ("type=bind,dst=/b", None),
                ("type=bind,src=/a", None),
                ("type=bind,src=,dst=/b", None),
                ("type=bind,src=/a,dst=/b,ro=maybe", None),
                ("type=bind,src=/a,dst=/b,bind-propagation=shared", None),
                ("type=bind,src=/a,dst=b", None),
                ("type=bind,\"src=/a,dst=/b", None),
                ("type=volume,src=x,dst=/b", None),
                ("type=image,src=x,dst=/b", None),
                ("src=x,dst=/b", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn memory_mounts() {
        check(
            parse_tmpfs,
            &[
                ("/tmp", memory("/tmp", &[])),
                ("/tmp:size=64m,exec", memory("/tmp", &["size=64m", "exec"])),
                ("/tmp:size=50%,uid=1000,mode=0700", memory("/tmp", &["size=50%", "uid=1000", "mode=0700"])),
                ("/tmp:size=64x", None),
                ("/tmp:mode=rwx", None),
                ("/tmp:lower=/", None),
                ("tmp", None),
                ("/", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn the_host_is_looked_at() {
        let mut mounts = vec![parse_volume("/proc:/a").unwrap(), parse_tmpfs("/b").unwrap()];
        resolve(&mut mounts).unwrap();
        let error = resolve(&mut [parse_volume("/no such:/a").unwrap()]).unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>().unwrap().hints, ["mkdir -p '/no such'"]);
        assert!(format!("{error:#}").starts_with("cannot mount `/no such`: No such file"));
        let twice = resolve(&mut [parse_tmpfs("/b").unwrap(), parse_volume("/proc:/b").unwrap()]).unwrap_err();
        assert_eq!(twice.to_string(), "two mounts have the target `/b`");
        let mut relative = vec![parse_volume(".:/a").unwrap()];
        resolve(&mut relative).unwrap();
        assert!(matches!(&relative[0], Mount::Bind { source, .. } if source.is_absolute()));
    }
}
