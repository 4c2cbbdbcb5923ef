//! Copies that begin before what they are laid on is there: they look at the files that they take while other steps are
//! at work, and wait then.

use super::copy::Ahead;
use super::pool::Pool;
use super::site::{Made, Site};
use super::step::{Op, Step, StepId, Unpack};
use super::worker::{Reporter, Worker};
use crate::base::digest::Digest;
use anyhow::{Context, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

/// Those that have begun so, by their step: each with the pipe by which it hears of its base.
#[derive(Default)]
pub struct Early {
    begun: HashMap<StepId, (Worker, File)>,
    /// Whether one was ended in the middle of something.
    pub ended: bool,
}

/// What a copy waits for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// What its base has made.
    pub base: Made,
    /// The step's key.
    pub key: Option<Digest>,
}

impl Early {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether a step is one that can begin so, and has not yet: it takes files that are there, and its base is not.
    pub fn fits(&self, site: &Site<'_>, id: StepId, step: &Step) -> bool {
        let Op::Copy(copy) = &step.op else { return false };
        let from_is_made = copy.from.base().is_none_or(|base| site.is_made(base));
        let takes_files = copy.unpack == Unpack::Never && copy.remote.is_empty() && !copy.sources.is_empty();
        takes_files && from_is_made && !copy.link && !site.is_made(&step.base) && !self.begun.contains_key(&id)
    }

    /// Begin a step; `work` is what it does, and is handed what waits.
    pub fn begin(&mut self, id: StepId, work: impl FnOnce(&Reporter, Waiting) -> Result<Value>) -> Result<()> {
        let (hears, tells) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        let worker = Worker::fork(move |reporter| work(reporter, Waiting(File::from(hears))))?;
        self.begun.insert(id, (worker, File::from(tells)));
        Ok(())
    }

    /// Let a step go on, if it has begun: it is shown from now on.
    pub fn go_on(&mut self, id: StepId, name: &str, start: &Start, pool: &mut Pool<'_>) -> Result<Option<StepId>> {
        let Some((worker, mut tells)) = self.begun.remove(&id) else { return Ok(None) };
        let step = pool.adopt(name, worker);
        // One that has failed by now says why itself.
        let mut line = serde_json::to_vec(start)?;
        line.push(b'\n');
        let _ = tells.write_all(&line);
        Ok(Some(step))
    }

    /// End a step whose result is known now.
    pub fn end(&mut self, id: StepId) {
        if let Some((worker, _)) = self.begun.remove(&id) {
            worker.kill();
            self.ended = true;
        }
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.begun.drain().for_each(|(_, (worker, _))| worker.kill());
    }
}

/// In a worker that has begun early.
pub struct Waiting(File);

impl Waiting {
    /// Wait until the base is there.
    pub fn start(self) -> Result<Start> {
        // A line, as the end of the pipe is never seen: whoever was forked since has the other end open.
        let mut line = String::new();
        BufReader::new(self.0).read_line(&mut line).context("cannot hear of the step's base")?;
        serde_json::from_str(&line).context("nothing was heard of the step's base")
    }
}

/// What a copy does that begins early: it looks ahead, waits, and has then the base and its key.
pub fn look_ahead(
    site: &Site<'_>,
    waiting: Waiting,
    look: impl FnOnce() -> Result<Ahead>,
) -> Result<(Ahead, Option<Digest>)> {
    // What is wrong is found again, and told then.
    let ahead = look().unwrap_or_default();
    let Start { base, key } = waiting.start()?;
    let _ = site.late.set(base);
    Ok((ahead, key))
}
