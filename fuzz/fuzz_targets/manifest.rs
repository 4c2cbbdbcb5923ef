//! Manifests, indexes, configs and tables of contents: read or refused, never a panic, and no place outside a layer.
#![no_main]

use boxlib::oci::contents::{Table, stargz_table, stretches};
use boxlib::oci::image::{Document, ImageConfig};
use boxlib::oci::platform::Platform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for kind in [None, Some("application/vnd.oci.image.index.v1+json"), Some("application/vnd.oci.image.manifest.v1+json")] {
        match Document::parse(bytes, kind) {
            Ok(Document::Index(index)) => {
                let _ = index.choose(&Platform::host());
            }
            Ok(Document::Manifest(manifest)) => {
                for layer in &manifest.layers {
                    let _ = layer.packing();
                    if let Some(Table::Zstd { range, .. }) = Table::of(&layer.annotations, layer.size) {
                        assert!(range.start <= range.end && range.end <= layer.size);
                    }
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let _ = ImageConfig::parse(bytes).map(|config| config.platform().to_string());
    let _ = stargz_table(bytes);
    let mut before = 0;
    for stretch in stretches(bytes, 1 << 20).unwrap_or_default() {
        assert!(stretch.range.start >= before && stretch.range.start <= stretch.range.end && stretch.range.end <= 1 << 20);
        before = stretch.range.end;
    }
});
