//! The workers of a build, attended by its leader: one event loop, from which everything that is shown comes.

use super::event::{Event, Excerpt, Observer};
use super::step::StepId;
use super::worker::{Heard, Message, Reporter, Worker};
use crate::base::error::{self, Kind, fault};
use crate::sys::signals::Caught;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// How long the observer waits, at most, to draw again.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Workers, and who is told of them.
pub struct Pool<'a> {
    observer: &'a mut dyn Observer,
    jobs: Vec<Job>,
    caught: Caught,
    /// How many steps were shown.
    shown: usize,
}

struct Job {
    step: StepId,
    worker: Worker,
    answer: Option<Result<Value>>,
    cached: bool,
}

/// A step that has ended.
pub struct Finished {
    /// Which.
    pub step: StepId,
    /// With what.
    pub result: Result<Value>,
}

impl<'a> Pool<'a> {
    /// A pool without workers. From now on an interruption is an error of [`Pool::next`].
    pub fn new(observer: &'a mut dyn Observer) -> Result<Self> {
        let caught =
            Caught::these(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]).context("cannot catch signals")?;
        Ok(Self { observer, jobs: Vec::new(), caught, shown: 0 })
    }

    /// Show a step.
    pub fn begin(&mut self, name: &str) -> StepId {
        self.shown += 1;
        let step = StepId(self.shown);
        self.observer.tell(Event::Began { step, name });
        step
    }

    /// Show a step whose result is known.
    pub fn cached(&mut self, name: &str) {
        let step = self.begin(name);
        self.observer.tell(Event::Cached { step });
    }

    /// Tell the observer something.
    pub fn tell(&mut self, event: Event<'_>) {
        self.observer.tell(event);
    }

    /// Show a step, and do it in a worker.
    pub fn start(&mut self, name: &str, work: impl FnOnce(&Reporter) -> Result<Value>) -> Result<StepId> {
        let step = self.begin(name);
        let worker = Worker::fork(work)?;
        self.jobs.push(Job { step, worker, answer: None, cached: false });
        Ok(step)
    }

    /// Show a step that a worker has begun already.
    pub fn adopt(&mut self, name: &str, mut worker: Worker) -> StepId {
        let step = self.begin(name);
        worker.began = std::time::Instant::now();
        self.jobs.push(Job { step, worker, answer: None, cached: false });
        step
    }

    /// Do one thing in a worker, and wait for it.
    pub fn alone(&mut self, name: &str, work: impl FnOnce(&Reporter) -> Result<Value>) -> Result<Value> {
        let step = self.start(name, work)?;
        loop {
            let finished = self.next()?;
            if finished.step == step {
                return finished.result.inspect_err(|error| self.failed(step, error, None));
            }
        }
    }

    /// Attend until a step ends. One that ends well is shown so; that one failed is for the caller to tell
    /// ([`Pool::failed`]).
    ///
    /// Errors: [`Kind::Interrupted`]; all workers are ended then.
    pub fn next(&mut self) -> Result<Finished> {
        loop {
            // First: Ctrl-C ends the workers as well, and none of them has failed.
            if let Some((signal, _)) = self.caught.next() {
                self.cancel();
                return Err(fault(Kind::Interrupted(signal), "the build was interrupted"));
            }
            if let Some(at) = self.jobs.iter().position(|job| job.worker.is_over()) {
                return Ok(self.finish(at));
            }
            let mut wait: Vec<PollFd<'_>> = vec![PollFd::new(&self.caught, PollFlags::IN)];
            let pipes = self.jobs.iter().flat_map(|job| job.worker.descriptors());
            wait.extend(pipes.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut wait, Some(&TICK)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for steps"),
            }
            drop(wait);
            self.hear();
            self.observer.tick();
        }
    }

    fn hear(&mut self) {
        for job in &mut self.jobs {
            let step = job.step;
            for heard in job.worker.hear() {
                match heard {
                    Heard::Output(stream, bytes) => self.observer.tell(Event::Output { step, stream, bytes: &bytes }),
                    Heard::Said(Message::Progress(what, done, total)) => {
                        self.observer.tell(Event::Progress { step, what: &what, done, total });
                    }
                    Heard::Said(Message::Cached) => job.cached = true,
                    Heard::Said(Message::Answer(value)) => job.answer = Some(Ok(value)),
                    Heard::Said(Message::Error(bytes)) => job.answer = Some(Err(error::decode(&bytes))),
                }
            }
        }
    }

    fn finish(&mut self, at: usize) -> Finished {
        let Job { step, worker, answer, cached } = self.jobs.remove(at);
        let took = worker.began.elapsed();
        let silent = worker.end();
        let result = answer.unwrap_or(Err(silent));
        match &result {
            Ok(_) if cached => self.observer.tell(Event::Cached { step }),
            Ok(_) => self.observer.tell(Event::Done { step, took }),
            Err(_) => {}
        }
        Finished { step, result }
    }

    /// Show that a step has failed, and end all others.
    pub fn failed(&mut self, step: StepId, error: &anyhow::Error, excerpt: Option<&Excerpt>) {
        // What the others have written until now may say more.
        self.hear();
        self.observer.tell(Event::Failed { step, error: &format!("{error:#}"), excerpt });
        self.cancel();
    }

    /// End all workers.
    pub fn cancel(&mut self) {
        for job in self.jobs.drain(..) {
            self.observer.tell(Event::Cancelled { step: job.step });
            job.worker.kill();
        }
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}
