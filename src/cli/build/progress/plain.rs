//! `--progress=plain`: a line an event, in BuildKit's form, which scripts read.
//!
//! One step at a time has the floor, so that the lines of steps side by side are not mixed. It keeps it until it ends, or
//! until another has waited for long; what a step has ended with is told at once.

use super::lines::{Splitter, clean, stamp};
use crate::base::units::human_size;
use crate::build::{Event, StepId};
use crate::cli::errors::escape;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Another step gets the floor when it has waited this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is on its way is told again after this, or when this part of it more is done.
const AGAIN: (Duration, f64) = (Duration::from_secs(5), 0.05);

/// Writes lines.
pub struct Plain<W> {
    out: W,
    /// Whether escape sequences of commands must not come through.
    clean: bool,
    steps: BTreeMap<StepId, Step>,
    floor: Option<StepId>,
    count: usize,
}

struct Step {
    name: String,
    /// From when it was first told.
    number: Option<usize>,
    began: Instant,
    splitter: Splitter,
    /// Lines that wait for the floor, and since when.
    waiting: Vec<Vec<u8>>,
    since: Option<Instant>,
    progress: BTreeMap<String, (u64, Instant)>,
}

impl<W: Write> Plain<W> {
    /// Into this stream; `clean` for a terminal.
    pub fn new(out: W, clean: bool) -> Self {
        Self { out, clean, steps: BTreeMap::new(), floor: None, count: 0 }
    }

    /// Tell an event.
    pub fn tell(&mut self, now: Instant, event: &Event<'_>) {
        match *event {
            Event::Began { step, name } => {
                let (splitter, waiting, progress) = (Splitter::default(), Vec::new(), BTreeMap::new());
                let (name, since) = (escape(name), Some(now));
                let fresh = Step { name, number: None, began: now, splitter, waiting, since, progress };
                self.steps.insert(step, fresh);
                if self.floor.is_none() {
                    self.give_floor(step);
                }
            }
            Event::Cached { step } => self.end(now, step, "CACHED"),
            Event::Output { step, bytes, .. } => self.output(now, step, bytes),
            Event::Progress { step, what, done, total } => self.progress(now, step, what, done, total),
            Event::Done { step, took } => self.end(now, step, &format!("DONE {:.1}s", took.as_secs_f64())),
            Event::Failed { step, error, .. } => self.end(now, step, &format!("ERROR: {}", escape(error))),
            Event::Cancelled { step } => self.end(now, step, "CANCELED"),
            Event::Warning { .. } => {}
        }
        self.tick(now);
    }

    /// Give the floor to who has waited for long.
    pub fn tick(&mut self, now: Instant) {
        let patient = |step: &Step| step.since.is_some_and(|since| now.duration_since(since) >= PATIENCE);
        let next =
            self.steps.iter().find(|(id, step)| Some(**id) != self.floor && !step.waiting.is_empty() && patient(step));
        if let Some(step) = next.map(|(id, _)| *id) {
            self.give_floor(step);
        }
        let _ = self.out.flush();
    }

    fn output(&mut self, now: Instant, id: StepId, bytes: &[u8]) {
        let clean_it = self.clean;
        let Some(step) = self.steps.get_mut(&id) else { return };
        let at = stamp(now.duration_since(step.began).as_secs_f64());
        let waiting = &mut step.waiting;
        step.splitter.push(bytes, |line| waiting.push(said(&at, line, clean_it)));
        self.heard(now, id);
    }

    fn progress(&mut self, now: Instant, id: StepId, what: &str, done: u64, total: Option<u64>) {
        let Some(step) = self.steps.get_mut(&id) else { return };
        let ended = total == Some(done);
        if let Some((last, when)) = step.progress.get(what) {
            let more =
                total.filter(|total| *total > 0).map_or(0.0, |total| done.saturating_sub(*last) as f64 / total as f64);
            let early = now.duration_since(*when) < AGAIN.0 && more < AGAIN.1;
            if (early && !ended) || (*last == done && ended) {
                return;
            }
        }
        let bytes = match total {
            Some(total) if total > 0 && !ended => format!(" {} / {}", human_size(done, 3), human_size(total, 3)),
            _ if done > 0 => format!(" {}", human_size(done, 3)),
            _ => String::new(),
        };
        let line = format!("{}{bytes}{}", escape(what), if ended { " done" } else { "" });
        step.progress.insert(what.to_owned(), (done, now));
        step.waiting.push(line.into_bytes());
        self.heard(now, id);
    }

    /// A step has lines: they are written if it has the floor, or wait.
    fn heard(&mut self, now: Instant, id: StepId) {
        if self.floor.is_none_or(|floor| floor == id) {
            self.give_floor(id);
        } else if let Some(step) = self.steps.get_mut(&id)
            && step.since.is_none()
        {
            step.since = Some(now);
        }
    }

    /// Write what a step has to say, after its heading if another has spoken last.
    fn give_floor(&mut self, id: StepId) {
        if self.floor != Some(id)
            && let Some(last) = self.floor.and_then(|floor| self.steps.get_mut(&floor))
        {
            last.since = None;
            let _ = writeln!(self.out, "#{} ...", last.number.unwrap_or(0));
        }
        let Some(step) = self.steps.get_mut(&id) else { return };
        let number = *step.number.get_or_insert_with(|| {
            self.count += 1;
            self.count
        });
        if self.floor != Some(id) {
            if number > 1 || self.count > 1 {
                let _ = writeln!(self.out);
            }
            let _ = writeln!(self.out, "#{number} {}", step.name);
        }
        for line in step.waiting.drain(..) {
            let _ = write!(self.out, "#{number} ");
            let _ = self.out.write_all(&line);
            let _ = writeln!(self.out);
        }
        step.since = None;
        self.floor = Some(id);
    }

    fn end(&mut self, now: Instant, id: StepId, how: &str) {
        let clean_it = self.clean;
        let Some(step) = self.steps.get_mut(&id) else { return };
        if let Some(rest) = step.splitter.rest() {
            let at = stamp(now.duration_since(step.began).as_secs_f64());
            step.waiting.push(said(&at, &rest, clean_it));
        }
        step.waiting.push(how.as_bytes().to_vec());
        self.give_floor(id);
        self.steps.remove(&id);
        self.floor = None;
        // Whoever has waited longest is next.
        let next = self.steps.iter().filter(|(_, step)| !step.waiting.is_empty()).min_by_key(|(_, step)| step.since);
        if let Some(next) = next.map(|(id, _)| *id) {
            self.give_floor(next);
        }
    }
}

/// A command's line with its time.
fn said(at: &str, line: &[u8], clean_it: bool) -> Vec<u8> {
    let mut whole = format!("{at} ").into_bytes();
    match clean_it {
        true => whole.extend_from_slice(clean(line).as_bytes()),
        false => whole.extend_from_slice(line),
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Stream;

    fn shown(clean: bool, events: &[(u64, Event<'_>)]) -> String {
        let start = Instant::now();
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, clean);
        for (at, event) in events {
            plain.tell(start + Duration::from_millis(*at), event);
        }
        String::from_utf8(out).unwrap()
    }

    fn began(step: usize, name: &str) -> Event<'_> {
        Event::Began { step: StepId(step), name }
    }

    fn output(step: usize, text: &str) -> Event<'_> {
        Event::Output { step: StepId(step), stream: Stream::Out, bytes: text.as_bytes() }
    }

    fn done(step: usize, ms: u64) -> Event<'static> {
        Event::Done { step: StepId(step), took: Duration::from_millis(ms) }
    }

    #[test]
    fn as_buildkit_has_it() {
        let events = [
            (0, began(7, "[internal] load build definition from Dockerfile")),
            (0, Event::Progress { step: StepId(7), what: "transferring dockerfile:", done: 55, total: Some(55) }),
            (20, done(7, 20)),
            (30, began(3, "[1/2] FROM t")),
            (30, Event::Cached { step: StepId(3) }),
            (40, began(4, "[2/2] RUN echo hi; false")),
            (163, output(4, "hi\npart")),
            (200, Event::Failed { step: StepId(4), error: "exit code: 1", excerpt: None }),
        ];
        let expected = "\
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 55B done
#1 DONE 0.0s

#2 [1/2] FROM t
#2 CACHED

#3 [2/2] RUN echo hi; false
#3 0.123 hi
#3 0.160 part
#3 ERROR: exit code: 1
";
        assert_eq!(shown(false, &events), expected);
    }

    #[test]
    fn steps_side_by_side_are_not_mixed() {
        let events = [
            (0, began(1, "a")),
            (0, began(2, "b")),
            (10, output(1, "a1\n")),
            (10, output(2, "b1\n")),
            (20, output(1, "a2\n")),
            (30, done(2, 30)),
            (40, output(1, "a3\n")),
            (50, done(1, 50)),
        ];
        let expected = "#1 a\n#1 0.010 a1\n#1 0.020 a2\n#1 ...\n\n#2 b\n#2 0.010 b1\n#2 DONE 0.0s\n\n\
                        #1 a\n#1 0.040 a3\n#1 DONE 0.1s\n";
        assert_eq!(shown(false, &events), expected);
        // Who has waited for five seconds gets the floor.
        let events = [(0, began(1, "a")), (0, began(2, "b")), (10, output(2, "b1\n")), (5020, output(1, "a1\n"))];
        assert_eq!(shown(false, &events), "#1 a\n#1 5.020 a1\n#1 ...\n\n#2 b\n#2 0.010 b1\n");
    }

    #[test]
    fn escape_sequences_pass_to_files_only() {
        let events = [(0, began(1, "a\x1b[2J")), (0, output(1, "\x1b[31mred\n"))];
        assert_eq!(shown(false, &events), "#1 a\\u{1b}[2J\n#1 0.000 \x1b[31mred\n");
        assert_eq!(shown(true, &events), "#1 a\\u{1b}[2J\n#1 0.000 red\n");
    }
}
