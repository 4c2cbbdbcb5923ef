//! The words of `-v`, `--mount`, `--tmpfs` and `--image-volume`. Pure: `settle` looks at the host later.

use super::options::KNOWN;
use super::{ImageVolumes, Mount, Options, Source, VolumeWish};
use crate::base::error::{Fault, Kind, fault};
use crate::volume;
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// Parse `-v [SOURCE:]CTR[:OPTIONS]`: a folder of the host begins with `/`, `.` or `~`, anything else is a volume.
pub fn parse_volume(text: &str) -> Result<Mount> {
    let shown = text.escape_debug();
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, words) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] if source.starts_with('/') && !target.starts_with('/') && is_options(target) => {
            // `-v /data:ro`: an anonymous volume, with options.
            ("", source, target)
        }
        [source, target] => (source, target, ""),
        [source, target, words] => (source, target, words),
        _ => {
            return Err(Fault::new(Kind::Usage, format!("`-v {shown}` is not [HOST|VOLUME:]CONTAINER[:OPTIONS]"))
                .hint("box run -v /srv/www:/www:ro IMAGE")
                .into());
        }
    };
    if source.is_empty() && parts.len() > 1 && parts[0].is_empty() {
        return Err(fault(Kind::Usage, format!("`-v {shown}` has nothing before the first colon")));
    }
    let source = if source.starts_with(['/', '.', '~']) {
        Source::Bind { source: source.into() }
    } else {
        named_volume(source, VolumeWish::default())?
    };
    let mut options = Options::default();
    for word in split(words) {
        if !options.take(&word) {
            let word = word.escape_debug();
            return Err(Fault::new(Kind::Usage, format!("`-v {shown}`: box has no mount option `{word}`"))
                .hint(format!("the options are: {KNOWN}"))
                .into());
        }
    }
    finish(Mount { target: parse_target(target, text)?, source, options }, text)
}

/// Whether all of these words are mount options.
fn is_options(words: &str) -> bool {
    !words.is_empty() && split(words).iter().all(|word| Options::default().take(word))
}

/// A volume by name, or an anonymous one.
fn named_volume(name: &str, make: VolumeWish) -> Result<Source> {
    if !name.is_empty() && volume::check_name(name).is_err() {
        let text = format!("`{}` is neither the path of a folder nor the name of a volume", name.escape_debug());
        return Err(Fault::new(Kind::Usage, text).hint(format!("a folder has a slash first: ./{name}")).into());
    }
    Ok(Source::Volume { name: name.to_owned(), anonymous: name.is_empty(), make })
}

/// Parse `--mount type=…,src=…,dst=…`: comma-separated values, in which a field may be quoted.
pub fn parse_mount(text: &str) -> Result<Mount> {
    let mut kind = "volume".to_owned();
    let mut rest = Vec::new();
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (field, None),
        };
        match (key.as_str(), value) {
            ("type", Some(value)) => kind = value,
            (_, value) => rest.push((key, value)),
        }
    }
    let kind = Type::parse(&kind, text)?;
    let mut found = Fields::default();
    for (key, value) in &rest {
        if !found.take(kind, key, value.as_deref(), text)? {
            let (key, text) = (key.escape_debug(), text.escape_debug());
            let fault = format!("`--mount {text}`: there is no mount option `{key}` here, or it has a wrong value");
            return Err(Fault::new(Kind::Usage, fault).hint(format!("the options are: {}", kind.known())).into());
        }
    }
    finish(found.mount(kind, text)?, text)
}

/// `type=` of `--mount`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bind,
    Volume,
    Tmpfs,
    Image,
    Devpts,
    Glob,
}

impl Type {
    fn parse(kind: &str, text: &str) -> Result<Self> {
        Ok(match kind {
            "bind" => Self::Bind,
            "volume" => Self::Volume,
            "tmpfs" => Self::Tmpfs,
            "image" => Self::Image,
            "devpts" => Self::Devpts,
            "glob" => Self::Glob,
            other => {
                let (other, text) = (other.escape_debug(), text.escape_debug());
                let fault = Fault::new(Kind::Usage, format!("`--mount {text}`: box has no mounts of type `{other}`"));
                return Err(fault.hint("the types are: bind volume tmpfs image devpts glob").into());
            }
        })
    }

    fn known(self) -> &'static str {
        match self {
            Self::Bind | Self::Glob => {
                "src dst ro bind-propagation bind-nonrecursive relabel U idmap subpath exec suid dev"
            }
            Self::Volume => "src dst ro volume-nocopy volume-driver volume-opt volume-label subpath U idmap",
            Self::Tmpfs => "dst tmpfs-size tmpfs-mode ro exec suid dev notmpcopyup",
            Self::Image => "src dst rw subpath",
            Self::Devpts => "dst uid gid mode max",
        }
    }

    /// Whether it shows files that lie somewhere.
    fn has_files(self) -> bool {
        matches!(self, Self::Bind | Self::Volume | Self::Image | Self::Glob)
    }
}

/// What `--mount` says, but for the type.
#[derive(Default)]
struct Fields {
    source: Option<String>,
    target: Option<String>,
    options: Options,
    make: VolumeWish,
    writable: bool,
}

impl Fields {
    /// Take a field; whether this type has it.
    fn take(&mut self, kind: Type, key: &str, value: Option<&str>, text: &str) -> Result<bool> {
        let pair = |value: &str| {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            (key.to_owned(), value.to_owned())
        };
        match (key, value) {
            ("src" | "source", Some(value)) if kind.has_files() => self.source = Some(value.to_owned()),
            ("dst" | "dest" | "destination" | "target", Some(value)) => self.target = Some(value.to_owned()),
            ("ro" | "readonly", value) if kind != Type::Devpts => self.options.read_only = boolean(value, text)?,
            ("rw" | "readwrite", value) if kind != Type::Devpts => {
                self.writable = boolean(value, text)?;
                self.options.read_only = !self.writable;
            }
            ("subpath" | "volume-subpath" | "image-subpath", Some(path)) if kind.has_files() => {
                self.options.subpath = Some(path.into());
            }
            ("U" | "chown", value) if kind.has_files() => self.options.chown = boolean(value, text)?,
            ("relabel", Some("shared" | "private")) | ("consistency", Some(_)) => {}
            ("bind-propagation", Some(value)) if kind.has_files() => return Ok(self.options.take(value)),
            ("bind-nonrecursive" | "bind-non-recursive", value) => self.options.single = boolean(value, text)?,
            ("volume-nocopy", value) if kind == Type::Volume => self.options.no_copy = boolean(value, text)?,
            ("volume-driver", Some(value)) if kind == Type::Volume => self.make.driver = value.to_owned(),
            ("volume-opt", Some(value)) if kind == Type::Volume => self.make.options.push(pair(value)),
            ("volume-label", Some(value)) if kind == Type::Volume => self.make.labels.push(pair(value)),
            ("tmpfs-size" | "size", Some(value)) if kind == Type::Tmpfs => self.data("size", value),
            ("tmpfs-mode", Some(value)) if kind == Type::Tmpfs => self.data("mode", value),
            ("mode", Some(value)) if matches!(kind, Type::Tmpfs | Type::Devpts) => self.data("mode", value),
            ("uid" | "gid", Some(value)) if matches!(kind, Type::Tmpfs | Type::Devpts) => self.data(key, value),
            ("max", Some(value)) if kind == Type::Devpts => self.data("max", value),
            ("tmpcopyup", None) if kind == Type::Tmpfs => self.options.no_copy = false,
            ("notmpcopyup", None) if kind == Type::Tmpfs => self.options.no_copy = true,
            (_, None) => return Ok(kind != Type::Devpts && key != "O" && self.options.take(key)),
            ("idmap", Some(_)) => {
                return Ok(kind.has_files() && self.options.take(&format!("idmap={}", value.unwrap_or_default())));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn data(&mut self, key: &str, value: &str) {
        self.options.data.push(format!("{key}={value}"));
    }

    fn mount(mut self, kind: Type, text: &str) -> Result<Mount> {
        let given = |field: &Option<String>, name: &str| {
            field.clone().filter(|value| !value.is_empty()).ok_or_else(|| missing(name, text))
        };
        let source = match kind {
            Type::Bind => Source::Bind { source: given(&self.source, "src")?.into() },
            Type::Volume => named_volume(self.source.as_deref().unwrap_or_default(), std::mem::take(&mut self.make))?,
            Type::Tmpfs => Source::Tmpfs,
            Type::Devpts => Source::Devpts,
            Type::Image => Source::Image { reference: given(&self.source, "src")?, layers: Vec::new() },
            Type::Glob => {
                let into = self.target.as_deref().map(|target| parse_target(target, text)).transpose()?;
                let pattern = PathBuf::from(given(&self.source, "src")?);
                // Where each goes is known when the pattern is looked up.
                let target = into.clone().unwrap_or_else(|| "/".into());
                return Ok(Mount { target, source: Source::Glob { pattern, into }, options: self.options });
            }
        };
        if kind == Type::Image && !self.writable {
            self.options.read_only = true;
        }
        if kind == Type::Tmpfs || kind == Type::Devpts {
            check_data(kind == Type::Tmpfs, &self.options.data, text)?;
        }
        Ok(Mount { target: parse_target(&given(&self.target, "dst")?, text)?, source, options: self.options })
    }
}

/// What only makes sense together, or not at all.
fn finish(mount: Mount, text: &str) -> Result<Mount> {
    let contradiction = |what: &str| Err(fault(Kind::Usage, format!("`{}`: {what}", text.escape_debug())));
    let options = &mount.options;
    if let Some(overlay) = &options.overlay {
        if overlay.upper.is_some() != overlay.work.is_some() {
            return contradiction("`upperdir` and `workdir` go together, on one file system");
        }
        if options.read_only {
            return contradiction("`O` keeps changes above the source, and `ro` allows none: choose one");
        }
        if !matches!(mount.source, Source::Bind { .. } | Source::Volume { .. }) {
            return contradiction("`O` is for folders and volumes");
        }
    }
    if options.subpath.is_some() && options.overlay.is_some() {
        return contradiction("`O` covers the whole source, `subpath` is a part of it: choose one");
    }
    if let Some(path) = &options.subpath {
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || path.as_os_str().is_empty() {
            return contradiction("`subpath` is a path inside the source, without `..`");
        }
    }
    if options.no_copy && matches!(mount.source, Source::Bind { .. }) {
        return contradiction("`nocopy` is for volumes: nothing is copied into a folder of yours");
    }
    Ok(mount)
}

/// Parse `--tmpfs CTR[:OPTIONS]`.
pub fn parse_tmpfs(text: &str) -> Result<Mount> {
    let (target, words) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = Mount::new(Source::Tmpfs, parse_target(target, text)?);
    for word in split(words) {
        match word.as_str() {
            "tmpcopyup" => mount.options.no_copy = false,
            "notmpcopyup" => mount.options.no_copy = true,
            _ if word.contains('=') => mount.options.data.push(word),
            // Of a new file system, not of what binds and volumes have.
            _ if !matches!(word.as_str(), "U" | "O" | "z" | "Z" | "bind" | "rbind") && mount.options.take(&word) => {}
            _ => mount.options.data.push(word),
        }
    }
    check_data(true, &mount.options.data, text)?;
    Ok(mount)
}

/// Parse `--image-volume`.
pub fn parse_image_volumes(text: &str) -> Result<ImageVolumes> {
    match text {
        "anonymous" | "bind" => Ok(ImageVolumes::Anonymous),
        "tmpfs" => Ok(ImageVolumes::Tmpfs),
        "ignore" => Ok(ImageVolumes::Ignore),
        other => Err(fault(
            Kind::Usage,
            format!("`--image-volume {}` is none of anonymous, tmpfs and ignore", other.escape_debug()),
        )),
    }
}

fn split(words: &str) -> Vec<String> {
    words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Options that the kernel would refuse are refused here, where they can be named.
fn check_data(tmpfs: bool, options: &[String], text: &str) -> Result<()> {
    for option in options {
        let valid = match option.split_once('=') {
            Some(("size", size)) if tmpfs => is_size(size, "kmgt%"),
            Some(("nr_inodes" | "nr_blocks", count)) if tmpfs => is_size(count, "kmgt"),
            Some(("mode", mode)) => (3..=5).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b)),
            Some(("uid" | "gid" | "max", id)) => id.parse::<u32>().is_ok(),
            _ => false,
        };
        if !valid {
            let (option, shown) = (option.escape_debug(), text.escape_debug());
            let kind = if tmpfs { "tmpfs" } else { "devpts" };
            return Err(Fault::new(Kind::Usage, format!("`{option}` in `{shown}` is not an option of {kind}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount in one line: what, where, and the options that are not the default.
    fn shown(mount: &Mount) -> String {
        let source = match &mount.source {
            Source::Bind { source } => format!("bind {}", source.display()),
            Source::Glob { pattern, into } => format!("glob {} into {into:?}", pattern.display()),
            Source::Volume { name, make, .. } if *make == VolumeWish::default() => format!("volume {name:?}"),
            Source::Volume { name, make, .. } => {
                format!("volume {name:?} {} {:?} {:?}", make.driver, make.options, make.labels)
            }
            Source::Image { reference, .. } => format!("image {reference}"),
            Source::Tmpfs => "tmpfs".into(),
            Source::Devpts => "devpts".into(),
        };
        let options = serde_json::to_string(&mount.options).unwrap().replace('"', "");
        format!("{source} on {} {options}", mount.target.display())
    }

    fn check(parse: fn(&str) -> Result<Mount>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let found = parse(text).map_or_else(|_| String::new(), |mount| shown(&mount));
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn volumes() {
        check(
            parse_volume,
            &[
                ("/a:/b", "bind /a on /b {}"),
                ("/a:/b:ro", "bind /a on /b {read_only:true}"),
                ("./a:/b/../c:rw,Z", "bind ./a on /c {relabel:true}"),
                ("..:/b:bind,ro", "bind .. on /b {read_only:true,single:true}"),
                ("~/a:/b", "bind ~/a on /b {}"),
                ("/a b:/c d", "bind /a b on /c d {}"),
                ("/a:/b:noexec,rshared,U", "bind /a on /b {flags:[noexec],propagation:rshared,chown:true}"),
                ("/a:/b:O", "bind /a on /b {overlay:{upper:null,work:null}}"),
                ("/a:/b:O,upperdir=/u,workdir=/w", "bind /a on /b {overlay:{upper:/u,work:/w}}"),
                ("/a:/b:idmap", "bind /a on /b {idmap:}"),
                ("name:/b", "volume \"name\" on /b {}"),
                ("name:/b:nocopy,ro", "volume \"name\" on /b {read_only:true,no_copy:true}"),
                ("/b", "volume \"\" on /b {}"),
                ("/b:ro", "volume \"\" on /b {read_only:true}"),
                ("/a:/b:O,upperdir=/u", ""),
                ("/a:/b:O,ro", ""),
                ("/a:/b:nocopy", ""),
                ("na/me:/b", ""),
                ("-n:/b", ""),
                ("/a:b", ""),
                ("/a:/", ""),
                ("/a:/b/..", ""),
                ("/a:/b:ro:x", ""),
                ("/a:/b:nope", ""),
                (":/b", ""),
                ("/a:", ""),
                ("", ""),
            ],
        );
    }

    #[test]
    fn mounts() {
        check(
            parse_mount,
            &[
                ("type=bind,src=/a,dst=/b", "bind /a on /b {}"),
                ("type=bind,source=/a,target=/b,readonly", "bind /a on /b {read_only:true}"),
                ("type=bind,src=/a,destination=/b,ro=false", "bind /a on /b {}"),
                ("dst=/b,src=a,ro=1,type=bind,bind-nonrecursive", "bind a on /b {read_only:true,single:true}"),
                ("type=bind,\"src=/a,c\",dst=/b", "bind /a,c on /b {}"),
                ("type=bind,src=/a,dst=/b,bind-propagation=rslave", "bind /a on /b {propagation:rslave}"),
                ("type=bind,src=/a,dst=/b,idmap=uids=0-1-2", "bind /a on /b {idmap:uids=0-1-2}"),
                ("type=volume,src=x,dst=/b", "volume \"x\" on /b {}"),
                ("src=x,dst=/b,subpath=a/b", "volume \"x\" on /b {subpath:a/b}"),
                ("type=volume,dst=/b,volume-nocopy", "volume \"\" on /b {no_copy:true}"),
                (
                    "src=x,dst=/b,volume-driver=local,volume-opt=type=tmpfs,volume-label=a=b",
                    "volume \"x\" local [(\"type\", \"tmpfs\")] [(\"a\", \"b\")] on /b {}",
                ),
                ("type=image,src=x,dst=/b", "image x on /b {read_only:true}"),
                ("type=image,src=x,dst=/b,rw=true,subpath=etc", "image x on /b {subpath:etc}"),
                ("type=devpts,dst=/b,gid=5,mode=0620", "devpts on /b {data:[gid=5,mode=0620]}"),
                ("type=glob,src=/lib/x*,ro", "glob /lib/x* into None on / {read_only:true}"),
                ("type=glob,src=/lib/x*,dst=/b", "glob /lib/x* into Some(\"/b\") on /b {}"),
                ("type=tmpfs,dst=/b", "tmpfs on /b {}"),
                (
                    "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=1777,exec",
                    "tmpfs on /b {flags:[exec],data:[size=64m,mode=1777]}",
                ),
                ("type=tmpfs,dst=/b,ro", "tmpfs on /b {read_only:true}"),
                ("type=tmpfs,dst=/b,tmpfs-size=x", ""),
                ("type=tmpfs", ""),
                ("type=tmpfs,src=/a,dst=/b", ""),
                ("type=bind,dst=/b", ""),
                ("type=bind,src=/a", ""),
                ("type=bind,src=,dst=/b", ""),
                ("type=bind,src=/a,dst=/b,ro=maybe", ""),
                ("type=bind,src=/a,dst=/b,volume-nocopy", ""),
                ("type=bind,src=/a,dst=/b,subpath=../x", ""),
                ("type=bind,src=/a,dst=b", ""),
                ("type=bind,\"src=/a,dst=/b", ""),
                ("type=artifact,src=x,dst=/b", ""),
                ("type=image,dst=/b", ""),
                ("", ""),
            ],
        );
    }

    #[test]
    fn memory_mounts() {
        check(
            parse_tmpfs,
            &[
                ("/tmp", "tmpfs on /tmp {}"),
                ("/tmp:size=64m,exec", "tmpfs on /tmp {flags:[exec],data:[size=64m]}"),
                ("/tmp:size=50%,uid=1000,mode=0700", "tmpfs on /tmp {data:[size=50%,uid=1000,mode=0700]}"),
                ("/tmp:notmpcopyup,ro", "tmpfs on /tmp {read_only:true,no_copy:true}"),
                ("/tmp:size=64x", ""),
                ("/tmp:mode=rwx", ""),
                ("/tmp:lower=/", ""),
                ("/tmp:U", ""),
                ("tmp", ""),
                ("/", ""),
                ("", ""),
            ],
        );
    }
}
