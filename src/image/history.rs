//! `history`: how an image was made, the last step first.

use super::Image;
use crate::store::Store;

/// A step of an image's making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, RFC 3339, as written.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// The bytes of file content in its layer; 0 for a step without one.
    pub size: u64,
}

/// The steps, the last first. A layer that the history does not tell of is a step without words.
pub fn history(store: &Store, image: &Image) -> Vec<Step> {
    let mut sizes = image.layers.iter().map(|layer| store.layer_size(&layer.diff_id).unwrap_or(0));
    let mut steps: Vec<Step> = Vec::new();
    for told in &image.config.history {
        steps.push(Step {
            created: told.created.clone(),
            created_by: told.created_by.clone().unwrap_or_default(),
            comment: told.comment.clone().unwrap_or_default(),
            size: if told.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
        });
    }
    let untold =
        |size| Step { created: image.config.created.clone(), created_by: String::new(), comment: String::new(), size };
    steps.extend(sizes.map(untold));
    steps.reverse();
    steps
}
