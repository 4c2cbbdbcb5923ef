//! What all steps of one build share: what was asked for, the contexts, and what steps have made so far.

use super::request::BuildRequest;
use super::shared::{Shared, Used};
use super::step::{Base, Op, Step, StepId};
use crate::base::digest::Digest;
use crate::dockerfile::ignore::Patterns;
use crate::engine::Engine;
use crate::store::StepResult;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// The version of what keys are made of: results of another are not found.
const KEYS: &str = "box build 1";

/// What a build works with.
pub struct Site<'a> {
    /// The store, and who we are.
    pub engine: &'a Engine,
    /// What was asked for.
    pub request: &'a BuildRequest,
    /// Folders to copy from.
    pub contexts: Vec<ContextFolder>,
    /// What steps have made.
    pub made: HashMap<StepId, Made>,
    /// What others know: `--cache-from`.
    pub shared: Shared,
    /// All results that were used or made, for `--cache-to`.
    pub used: Vec<Used>,
    /// The steps that the image of this platform stands on.
    pub in_image: HashSet<StepId>,
    /// The ids of all cache mounts that steps ask for.
    pub caches: BTreeSet<String>,
    /// In a worker that began before its base was there: the base.
    pub late: OnceCell<Made>,
}

/// The result of a step, and the keys by which it is found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Known {
    /// All of them.
    pub keys: Vec<Digest>,
    /// What it is.
    pub result: StepResult,
}

/// A context on the disk.
pub struct ContextFolder {
    /// Where.
    pub path: PathBuf,
    /// What errors call it.
    pub name: String,
    /// What is not to be seen of it.
    pub ignore: Option<Patterns>,
    /// What the ignore file is called.
    pub ignore_file: String,
}

/// What a step has made, with all that it stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// By diff id, lowest first.
    pub layers: Vec<Digest>,
    /// Whether the last of them is its own.
    pub changed: bool,
    /// The newest time among all that it depends on, seconds since 1970.
    pub epoch: i64,
}

impl Site<'_> {
    /// Whether a base is there.
    pub fn is_made(&self, base: &Base) -> bool {
        match base {
            Base::Layers { .. } => true,
            Base::Step(step) => self.made.contains_key(step),
        }
    }

    /// The layers of a base whose step has ended, and its time.
    pub fn layers(&self, base: &Base) -> Result<(Vec<Digest>, i64)> {
        match base {
            Base::Layers { layers, epoch } => Ok((layers.clone(), *epoch)),
            Base::Step(step) => {
                let made = self.made.get(step).or_else(|| self.late.get());
                let made = made.context("a step was begun before what it stands on")?;
                Ok((made.layers.clone(), made.epoch))
            }
        }
    }

    /// The result of a key, known here or to others; its layer is here or can be brought ([`super::shared::bring`]).
    pub fn result(&self, key: &Digest) -> Option<StepResult> {
        let store = &self.engine.store;
        store.result(key).or_else(|| {
            let result = self.shared.result(key)?;
            let is_there = |layer: &Digest| self.shared.has_layer(layer) || store.has_layer(layer);
            result.layer.as_ref().is_none_or(is_there).then(|| result.clone())
        })
    }

    /// The key of a step that can be found without reading files: it depends on layers and words alone.
    pub fn key(&self, step: &Step) -> Result<Option<Digest>> {
        let mut inputs = vec![self.layers(&step.base)?.0];
        match &step.op {
            Op::Folder(_) => {}
            Op::Run(run) => {
                for from in run.mounts.iter().filter_map(|mount| mount.from.as_ref()) {
                    let Some(base) = from.base() else { return Ok(None) };
                    inputs.push(self.layers(base)?.0);
                }
            }
            Op::Copy(copy) => {
                if !copy.remote.is_empty() {
                    return Ok(None);
                }
                match copy.from.base() {
                    Some(base) => inputs.push(self.layers(base)?.0),
                    None if copy.sources.is_empty() => {}
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(digest(&(&step.op, inputs, self.latest()))))
    }

    /// The key of a step that depends on the content of files, too.
    pub fn content_key(&self, step: &Step, content: &[Digest]) -> Result<Digest> {
        let base = match &step.op {
            // Whatever the base is.
            Op::Copy(copy) if copy.link => Vec::new(),
            _ => self.layers(&step.base)?.0,
        };
        // Where files come from does not matter, nor by which words they were named: their destinations are in the
        // digest of a copy's content.
        Ok(match &step.op {
            Op::Copy(_) => digest(&("copy", base, content, self.latest())),
            op => digest(&(op, base, content, self.latest())),
        })
    }

    /// No file is younger, if that was asked for.
    pub fn latest(&self) -> Option<i64> {
        self.request.epoch.filter(|_| self.request.rewrite_timestamps)
    }
}

fn digest(parts: &impl serde::Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(&(KEYS, parts)).unwrap_or_default())
}
