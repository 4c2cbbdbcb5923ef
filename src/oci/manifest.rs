//! Image manifests and indexes, from raw bytes: strict on what decides their meaning, lenient on unknown fields.
//!
//! The raw bytes stay what is stored and hashed; these types are only a view. A document must not be readable as both
//! an index and a manifest, and its media type must be the one it was served as (CVE-2021-41190).
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md>

use super::json::{self, DOCUMENT_LIMIT};
use super::platform::Platform;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use oci_spec::image::MediaType;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Docker's media type of a manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's media type of an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's media type of an image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's media type of a layer compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's media type of a layer that is not compressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// More layers or entries than this are refused.
const MOST_ENTRIES: usize = 1_000;

/// What a registry or a layout says about a piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Which platform it is for, in an index.
    pub platform: Option<Platform>,
    /// Its annotations. Tainted: never configuration.
    pub annotations: BTreeMap<String, String>,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// A plain tar archive.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// One image: a config and layers.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The OCI or the docker type.
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its annotations. Tainted: never configuration.
    pub annotations: BTreeMap<String, String>,
}

/// A list of images for several platforms.
#[derive(Debug, Clone)]
pub struct Index {
    /// The OCI or the docker type.
    pub media_type: String,
    /// The images.
    pub manifests: Vec<Descriptor>,
}

/// Either of both.
#[derive(Debug, Clone)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Index),
}

impl Document {
    /// Parse a document that was served, or listed, as `media_type`.
    ///
    /// Errors ([`Kind::BadData`]): ambiguous or damaged documents, other types.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self> {
        let map = json::object(bytes)?;
        json::exact_case(&map, &["schemaVersion", "mediaType", "manifests", "config", "layers", "annotations"])?;
        let own = json::text(&map, "mediaType")?;
        let served = media_type.filter(|served| !is_generic(served));
        if let (Some(own), Some(served)) = (&own, served)
            && own != served
        {
            let text = format!("it was announced as `{}` but is a `{}`", served.escape_debug(), own.escape_debug());
            return Err(fault(Kind::BadData, text));
        }
        match json::number(&map, "schemaVersion")? {
            Some(2) => {}
            Some(1) => {
                let text = "it is in the old format `schema 1`, which is no longer supported";
                return Err(Fault::new(Kind::BadData, text)
                    .hint("convert it: skopeo copy --format oci docker://OLD docker://NEW")
                    .into());
            }
            _ => return Err(fault(Kind::BadData, "it has no `schemaVersion` of 2")),
        }
        let (is_index, is_manifest) =
            (map.contains_key("manifests"), map.contains_key("layers") || map.contains_key("config"));
        let named = own.as_deref().or(served);
        match (is_index, is_manifest) {
            (true, true) => Err(fault(Kind::BadData, "it is both an index and a manifest")),
            (true, false) => Index::from_map(&map, named).map(Self::Index),
            (false, true) => Manifest::from_map(&map, named).map(Self::Manifest),
            (false, false) => Err(fault(Kind::BadData, "it is neither an index nor a manifest")),
        }
    }
}

impl Manifest {
    /// Parse a document that must be a manifest.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self> {
        match Document::parse(bytes, media_type)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(fault(Kind::BadData, "it is an index, not a manifest")),
        }
    }

    fn from_map(map: &Map<String, Value>, media_type: Option<&str>) -> Result<Self> {
        let oci = MediaType::ImageManifest.to_string();
        let media_type = match media_type {
            None => oci,
            Some(text) if text == oci || text == DOCKER_MANIFEST => text.to_owned(),
            Some(text) => {
                return Err(fault(Kind::BadData, format!("a manifest was announced as `{}`", text.escape_debug())));
            }
        };
        let config = json::map(map, "config")?.ok_or_else(|| fault(Kind::BadData, "it has no `config`"))?;
        let config = Descriptor::from_map(config).context("in its `config`")?;
        if config.media_type != MediaType::ImageConfig.to_string() && config.media_type != DOCKER_CONFIG {
            let text = format!("it is not a container image but a `{}`", config.media_type.escape_debug());
            return Err(fault(Kind::BadData, text));
        }
        check_document_size(config.size).context("in its `config`")?;
        let layers = descriptors(map, "layers")?;
        Ok(Self { media_type, config, layers, annotations: annotations(map)? })
    }
}

impl Index {
    fn from_map(map: &Map<String, Value>, media_type: Option<&str>) -> Result<Self> {
        let oci = MediaType::ImageIndex.to_string();
        let media_type = match media_type {
            None => oci,
            Some(text) if text == oci || text == DOCKER_LIST => text.to_owned(),
            Some(text) => {
                return Err(fault(Kind::BadData, format!("an index was announced as `{}`", text.escape_debug())));
            }
        };
        Ok(Self { media_type, manifests: descriptors(map, "manifests")? })
    }

    /// The image that fits a platform best; the first of equals.
    ///
    /// An entry without a platform counts only if it is alone. Attestations (`unknown/unknown`) never fit.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        if let [only] = self.manifests.as_slice()
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let ranked = self.manifests.iter().filter_map(|entry| {
            let rank = platform.rank(entry.platform.as_ref()?)?;
            Some((rank, entry))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry).ok_or_else(|| {
            let mut there: Vec<String> = Vec::new();
            for entry in self.manifests.iter().filter_map(|entry| entry.platform.as_ref()) {
                let text = entry.to_string();
                if entry.os != "unknown" && !there.contains(&text) && there.len() < 12 {
                    there.push(text);
                }
            }
            let fault = Fault::new(Kind::NotFound, format!("there is no image for {platform}"));
            match there.first() {
                Some(first) => fault.hint(format!("there are {}: --platform {first}", there.join(", "))).into(),
                None => fault.into(),
            }
        })
    }
}

impl Descriptor {
    /// Parse one descriptor.
    pub fn from_map(map: &Map<String, Value>) -> Result<Self> {
        json::exact_case(map, &["mediaType", "digest", "size", "urls", "platform", "annotations", "data"])?;
        let platform = json::map(map, "platform")?.map(platform).transpose()?;
        Ok(Self {
            media_type: json::text(map, "mediaType")?.unwrap_or_default(),
            digest: json::digest(map, "digest")?,
            size: json::number(map, "size")?.ok_or_else(|| fault(Kind::BadData, "it has no `size`"))?,
            platform,
            annotations: annotations(map)?,
        })
    }

    /// Whether it names an index rather than one image.
    pub fn is_index(&self) -> bool {
        self.media_type == DOCKER_LIST || MediaType::from(self.media_type.as_str()) == MediaType::ImageIndex
    }

    /// How the layer is packed by its media type; `None` for what is no layer box can unpack.
    pub fn packing(&self) -> Option<Packing> {
        match (MediaType::from(self.media_type.as_str()), self.media_type.as_str()) {
            (MediaType::ImageLayer | MediaType::ImageLayerNonDistributable, _) | (_, DOCKER_LAYER) => {
                Some(Packing::None)
            }
            (MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip, _)
            | (_, DOCKER_LAYER_GZIP | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") => {
                Some(Packing::Gzip)
            }
            (MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd, _)
            | (_, "application/vnd.docker.image.rootfs.diff.tar.zstd") => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// A document of this size is refused before it is fetched.
pub fn check_document_size(size: u64) -> Result<()> {
    if size > DOCUMENT_LIMIT {
        return Err(fault(Kind::BadData, format!("it is said to have {size} bytes, more than {DOCUMENT_LIMIT}")));
    }
    Ok(())
}

/// Media types that servers send when they know none.
fn is_generic(media_type: &str) -> bool {
    matches!(media_type, "" | "application/json" | "text/plain" | "application/octet-stream")
}

fn descriptors(map: &Map<String, Value>, key: &str) -> Result<Vec<Descriptor>> {
    let list = json::list(map, key)?.ok_or_else(|| fault(Kind::BadData, format!("it has no `{key}`")))?;
    if list.len() > MOST_ENTRIES {
        return Err(fault(Kind::BadData, format!("it has more than {MOST_ENTRIES} `{key}`")));
    }
    list.iter()
        .map(|item| match item {
            Value::Object(map) => Descriptor::from_map(map),
            _ => Err(fault(Kind::BadData, "an entry is not an object")),
        })
        .collect::<Result<_>>()
        .with_context(|| format!("in its `{key}`"))
}

fn platform(map: &Map<String, Value>) -> Result<Platform> {
    Ok(Platform {
        os: json::text(map, "os")?.unwrap_or_default(),
        arch: json::text(map, "architecture")?.unwrap_or_default(),
        variant: json::text(map, "variant")?.filter(|variant| !variant.is_empty()),
    })
}

fn annotations(map: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let Some(map) = json::map(map, "annotations")? else { return Ok(BTreeMap::new()) };
    let pairs = map.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    pairs.collect::<Option<_>>().ok_or_else(|| fault(Kind::BadData, "an annotation is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn manifest(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{D}","size":2}},
            "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{D}","size":3}}]{extra}}}"#
        )
    }

    #[test]
    fn manifests() {
        for (text, served) in [
            (manifest(""), None),
            (manifest(""), Some(OCI)),
            (manifest(""), Some("application/json")),
            (manifest(r#","mediaType":"application/vnd.oci.image.manifest.v1+json","x":{"y":[1]}"#), Some(OCI)),
            (manifest(r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#), Some(DOCKER_MANIFEST)),
        ] {
            let manifest = Manifest::parse(text.as_bytes(), served).unwrap();
            assert_eq!(manifest.layers[0].packing(), Some(Packing::Gzip));
            assert_eq!(manifest.config.size, 2);
        }
    }

    #[test]
    fn what_is_refused() {
        let with_digest = |digest: &str| manifest("").replacen(D, digest, 1);
        let upper = D.to_uppercase();
        let newline = format!("{D}\\n");
        for (text, served) in [
            (manifest(r#","manifests":[]"#), None),
            (manifest(r#","Layers":[]"#), None),
            (manifest(r#","layers":[]"#), None),
            (manifest(""), Some(OCI_INDEX)),
            (manifest(r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#), Some(DOCKER_MANIFEST)),
            (manifest(r#","mediaType":"application/vnd.oci.image.index.v1+json""#), None),
            (manifest("").replace(":2,\"config\"", ":1,\"config\""), None),
            (manifest("").replace("image.config", "other.config"), None),
            (manifest("").replace("\"size\":2", "\"size\":-1"), None),
            (manifest("").replace("\"size\":2", "\"size\":99999999999"), None),
            (manifest("").replace("\"size\":2", "\"size\":\"2\""), None),
            (manifest("").replace("\"size\":3", "\"x\":3"), None),
            (with_digest("sha256:../../x"), None),
            (with_digest("md5:d41d8cd98f00b204e9800998ecf8427e"), None),
            (with_digest(&upper), None),
            (with_digest(&newline), None),
            (with_digest(""), None),
            (r#"{"schemaVersion":2}"#.into(), None),
            (format!("{} ", "{") + &" ".repeat(5 << 20) + "}", None),
        ] {
            assert!(Manifest::parse(text.as_bytes(), served).is_err(), "{served:?} {:.400}", text);
        }
    }

    #[test]
    fn the_platform_decides() {
        let entry = |digit: &str, platform: &str| {
            let digest = format!("sha256:{}", digit.repeat(64));
            format!(r#"{{"mediaType":"{OCI}","digest":"{digest}","size":1,"platform":{platform}}}"#)
        };
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{},{},{},{}]}}"#,
            entry("0", r#"{"os":"unknown","architecture":"unknown"}"#),
            entry("1", r#"{"os":"linux","architecture":"amd64"}"#),
            entry("2", r#"{"os":"linux","architecture":"arm","variant":"v6"}"#),
            entry("3", r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
        );
        let Document::Index(index) = Document::parse(text.as_bytes(), Some(OCI_INDEX)).unwrap() else { panic!() };
        for (platform, digit) in [("linux/amd64", "1"), ("linux/arm/v7", "2"), ("linux/arm64", "3")] {
            let chosen = index.choose(&Platform::parse(platform).unwrap()).unwrap();
            assert_eq!(chosen.digest.digits(), digit.repeat(64), "{platform}");
        }
        let error = index.choose(&Platform::parse("linux/riscv64").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "there is no image for linux/riscv64");
    }
}
