//! The corpus' second half: for each `tests/dockerfiles/NAME` that is one, `NAME.config`: the config and the history
//! of the image that comes of it, or the error that stops the planning.
//!
//! `BLESS=1 cargo test --lib build::corpus` writes them anew; read what it wrote.

use super::plan::{self, Found, Named, Sources};
use super::request::BuildRequest;
use crate::base::digest::Digest;
use crate::base::env;
use crate::base::error::Fault;
use crate::dockerfile::{self, Dockerfile};
use crate::image::Image;
use crate::oci::image::{History, ImageConfig};
use crate::oci::platform::Platform;
use crate::store::ManifestRef;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Every name is the same image, whose config has something of everything.
struct OneImage;

impl Sources for OneImage {
    fn image(&mut self, _: &str, _: &Platform) -> Result<Option<Found>> {
        let id = Digest::of(b"base");
        let image = Image {
            manifest: ManifestRef { digest: id.clone(), size: 0, media_type: String::new() },
            id,
            names: Vec::new(),
            past_names: Vec::new(),
            list: None,
            config: ImageConfig::default(),
            layers: Vec::new(),
            annotations: std::collections::BTreeMap::new(),
            read_only: false,
        };
        let document = json!({
            "architecture": "amd64", "os": "linux", "author": "base",
            "config": { "Cmd": ["base"], "Env": ["PATH=/bin", "BASE=1"], "Labels": { "base": "1" }, "WorkingDir": "/base" },
        });
        let Value::Object(document) = document else { unreachable!("an object") };
        Ok(Some((image, document)))
    }

    fn context(&self, _: &str) -> Option<Named> {
        None
    }
}

/// The config and the history, as text; or why there are none.
fn told(dockerfile: &Dockerfile) -> String {
    let platform = Platform::parse("linux/amd64").unwrap();
    match plan::plan(dockerfile, &BuildRequest::default(), &platform, &mut OneImage) {
        Ok(plan) => {
            let entry = |(entry, _): &(History, _)| entry.created_by.clone().unwrap_or_default();
            let history: Vec<String> = plan.history.iter().map(entry).collect();
            let mut document: Map<String, Value> = plan.settings.finish(&[], "", false);
            ["history", "created", "rootfs"].iter().for_each(|key| drop(document.shift_remove(*key)));
            document.insert("steps".to_owned(), history.into());
            serde_yaml::to_string(&document).unwrap()
        }
        Err(error) => {
            let shown = error.downcast_ref::<Fault>().map(|fault| fault.shown.join("\n")).unwrap_or_default();
            format!("error: {error:#}\n{shown}\n")
        }
    }
}

#[test]
fn each_comes_to_its_config() {
    let bless = env::by_name("BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some() {
            continue;
        }
        let Ok(dockerfile) = dockerfile::parse(&fs::read(&path).unwrap(), "Dockerfile") else { continue };
        count += 1;
        let (text, expected) = (told(&dockerfile), path.with_extension("config"));
        if bless {
            fs::write(&expected, &text).unwrap();
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&text) {
            wrong.push(format!("{}:\n{text}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 100, "the corpus is not there");
}
