//! Platforms: operating system, processor, variant; which image of a list fits which of them.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-index.md>

use crate::base::error::{Fault, Kind};
use anyhow::Result;
use oci_spec::image::{Arch, Os};
use std::fmt;

/// A platform in the words of Go (`linux`, `amd64`, `v8`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platform {
    /// The operating system.
    pub os: String,
    /// The processor.
    pub arch: String,
    /// Its generation, if that matters.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that box runs on.
    pub fn host() -> Self {
        let arch = Arch::default().to_string();
        let variant = (arch == "arm").then(|| "v7".to_owned());
        Self { os: Os::default().to_string(), arch, variant }
    }

    /// Parse `OS/ARCH[/VARIANT]`, or `ARCH` alone for Linux; common other names of processors are understood.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Fault::new(Kind::Usage, format!("`{}` is not a platform", text.escape_debug()))
                .hint("write it as OS/ARCH[/VARIANT], such as linux/arm64")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.len() <= 32
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !parts.iter().all(word) {
            return Err(bad().into());
        }
        let (os, arch, variant) = match parts.as_slice() {
            [arch] => ("linux", *arch, None),
            [os, arch] => (*os, *arch, None),
            [os, arch, variant] => (*os, *arch, Some(*variant)),
            _ => return Err(bad().into()),
        };
        let (arch, variant) = normal(&arch.to_ascii_lowercase(), variant.map(str::to_ascii_lowercase));
        Ok(Self { os: os.to_ascii_lowercase(), arch, variant })
    }

    /// What `--platform`, `--os`, `--arch` and `--variant` say together; `None` if none of them is given.
    pub fn chosen(
        platform: Option<&str>,
        os: Option<&str>,
        arch: Option<&str>,
        variant: Option<&str>,
    ) -> Result<Option<Self>> {
        let Some(platform) = platform else {
            if os.or(arch).or(variant).is_none() {
                return Ok(None);
            }
            let host = Self::host();
            let (os, arch) = (os.unwrap_or(&host.os), arch.unwrap_or(&host.arch));
            let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
            return Self::parse(&format!("{os}/{arch}{variant}")).map(Some);
        };
        if os.or(arch).or(variant).is_some() {
            let text = "`--platform` says it all: it cannot be given with --os, --arch or --variant";
            return Err(Fault::new(Kind::Usage, text).into());
        }
        Self::parse(platform).map(Some)
    }

    /// Whether this machine's processor executes programs for `image` itself, of whatever generation.
    pub fn executes(&self, image: &Self) -> bool {
        let (arch, _) = normal(&image.arch, None);
        // 64-bit kernels run what their processors were before; `rank` prefers an image's own.
        let before = [("amd64", "386"), ("arm64", "arm")];
        arch == self.arch || before.contains(&(self.arch.as_str(), arch.as_str()))
    }

    /// How well an image made for `image` runs here: 0 is best, `None` not at all.
    pub fn rank(&self, image: &Self) -> Option<u32> {
        let (arch, variant) = normal(&image.arch, image.variant.clone());
        if image.os != self.os || arch != self.arch {
            return None;
        }
        let (have, wanted) = (variant.as_deref(), self.variant.as_deref());
        match (self.arch.as_str(), wanted, have) {
            _ if have == wanted => Some(0),
            // 32-bit ARM runs everything older than itself; the newest of that is best.
            ("arm", wanted, have) => {
                let (wanted, have) = (level(wanted.unwrap_or("v7"))?, level(have.unwrap_or("v6"))?);
                wanted.checked_sub(have).map(|distance| distance + 1)
            }
            // Levels of amd64 are taken only if asked for, or if nothing else is there and the processor has them.
            ("amd64", None, Some(have)) => {
                let have = level(have)?;
                (have <= host_amd64_level()).then_some(have)
            }
            ("amd64", Some(wanted), have) => {
                let (wanted, have) = (level(wanted)?, level(have.unwrap_or("v1"))?);
                wanted.checked_sub(have).map(|distance| distance + 1)
            }
            (_, None, Some(_)) | (_, Some(_), None) => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// One spelling for each processor, as containerd's platforms package has it.
fn normal(arch: &str, variant: Option<String>) -> (String, Option<String>) {
    let variant = variant.filter(|variant| !variant.is_empty());
    match (arch, variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".into(), None),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64".into(), variant),
        ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64".into(), None),
        ("aarch64" | "arm64", _) => ("arm64".into(), variant),
        ("armhf", _) => ("arm".into(), Some("v7".into())),
        ("armel", _) => ("arm".into(), Some("v6".into())),
        ("arm", Some("5" | "6" | "7" | "8")) => ("arm".into(), variant.map(|variant| format!("v{variant}"))),
        ("i386" | "i686", _) => ("386".into(), None),
        ("ppc64el", _) => ("ppc64le".into(), variant),
        _ => (arch.to_owned(), variant),
    }
}

/// `v7` is 7.
fn level(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

/// Which of x86-64-v1 to v4 this processor is.
#[cfg(target_arch = "x86_64")]
fn host_amd64_level() -> u32 {
    let v2 = is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt");
    let v3 = v2
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt");
    let v4 = v3 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    1 + u32::from(v2) + u32::from(v3) + u32::from(v4)
}

/// Not such a processor: it runs none of the levels.
#[cfg(not(target_arch = "x86_64"))]
fn host_amd64_level() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("Linux/ARM/7", "linux/arm/v7"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "/", "a/b/c/d", "linux/", "linux/am d64", "a\n/b"] {
            assert!(Platform::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_runs_where() {
        let p = |text: &str| Platform::parse(text).unwrap();
        for (host, image, rank) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm/v7", "linux/arm/v7", Some(0)),
            ("linux/arm/v7", "linux/arm/v6", Some(2)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm/v7", "linux/arm", Some(2)),
            ("linux/amd64/v3", "linux/amd64/v2", Some(2)),
            ("linux/amd64/v2", "linux/amd64/v3", None),
            ("linux/amd64", "linux/amd64/v9", None),
        ] {
            assert_eq!(p(host).rank(&p(image)), rank, "{image} on {host}");
        }
        let executes = |host: &str, image: &str| p(host).executes(&p(image));
        assert!(executes("amd64", "386") && executes("amd64", "linux/amd64/v4") && executes("arm64", "linux/arm/v7"));
        assert!(!executes("amd64", "arm64") && !executes("386", "amd64"));
    }
}
