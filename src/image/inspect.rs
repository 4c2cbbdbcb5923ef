//! `image inspect`: an image in podman's keys.

use super::Image;
use crate::oci::image::{History, ImageConfig};
use crate::store::Store;
use serde_json::{Map, Value, json};

/// Everything about an image, for people and scripts.
pub fn inspect(store: &Store, image: &Image) -> Value {
    let config = &image.config;
    let size = image.size(store);
    let top: Vec<String> =
        image.layers.iter().rev().map(|layer| store.layer_path(&layer.diff_id).display().to_string()).collect();
    let mut data = Map::new();
    if let Some((upper, lower)) = top.split_first() {
        data.insert("UpperDir".into(), upper.as_str().into());
        if !lower.is_empty() {
            data.insert("LowerDir".into(), lower.join(":").into());
        }
    }
    json!({
        "Id": image.id.digits(),
        "Digest": image.manifest.digest.as_str(),
        "RepoTags": image.repo_tags(),
        "RepoDigests": image.repo_digests(),
        "Parent": "",
        "Comment": config.history.last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        "Created": config.created,
        "Config": settings(config),
        "Version": "",
        "Author": config.author.clone().unwrap_or_default(),
        "Architecture": config.architecture,
        "Os": config.os,
        "Variant": config.variant,
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": { "Name": "overlay", "Data": data },
        "RootFS": { "Type": "layers", "Layers": config.diff_ids },
        "Labels": config.labels,
        "Annotations": image.annotations,
        "ManifestType": image.manifest.media_type,
        "User": config.user,
        "History": config.history.iter().map(step).collect::<Vec<_>>(),
        "NamesHistory": image.all_names(),
    })
}

/// The `Config` part, without what is not set, as docker and podman print it.
fn settings(config: &ImageConfig) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        if !empty {
            map.insert(key.to_owned(), value);
        }
    };
    let set = |keys: &[String]| Value::Object(keys.iter().map(|key| (key.clone(), json!({}))).collect());
    put("User", config.user.as_str().into());
    put("ExposedPorts", set(&config.exposed_ports));
    put("Env", json!(config.env));
    put("Entrypoint", json!(config.entrypoint));
    put("Cmd", json!(config.cmd));
    put("Volumes", set(&config.volumes));
    put("WorkingDir", config.working_dir.as_str().into());
    put("Labels", json!(config.labels));
    put("StopSignal", json!(config.stop_signal));
    put("StopTimeout", json!(config.stop_timeout));
    put("Healthcheck", json!(config.healthcheck));
    put("OnBuild", json!(config.on_build));
    put("Shell", json!(config.shell));
    Value::Object(map)
}

fn step(step: &History) -> Value {
    let mut map = Map::new();
    for (key, value) in [
        ("created", &step.created),
        ("created_by", &step.created_by),
        ("comment", &step.comment),
        ("author", &step.author),
    ] {
        if let Some(value) = value {
            map.insert(key.to_owned(), value.as_str().into());
        }
    }
    if step.empty_layer {
        map.insert("empty_layer".to_owned(), true.into());
    }
    Value::Object(map)
}
