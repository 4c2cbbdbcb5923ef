//! `--progress=rawjson`: a JSON document a line, each what BuildKit's client calls a `SolveStatus`
//! (<https://github.com/moby/buildkit/blob/master/client/graph.go>).

use crate::base::base64;
use crate::base::digest::Digest;
use crate::base::time::rfc3339;
use crate::build::{Event, StepId, Stream};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::Write;

/// Writes documents.
pub struct Json<W> {
    out: W,
    steps: HashMap<StepId, Step>,
}

struct Step {
    digest: Digest,
    name: String,
    began: String,
}

impl<W: Write> Json<W> {
    /// Into this stream.
    pub fn new(out: W) -> Self {
        Self { out, steps: HashMap::new() }
    }

    /// Tell an event.
    pub fn tell(&mut self, now: DateTime<Utc>, event: &Event<'_>) {
        let now = rfc3339(&now);
        if let Some(document) = self.document(&now, event) {
            let _ = writeln!(self.out, "{document}");
            let _ = self.out.flush();
        }
    }

    fn document(&mut self, now: &str, event: &Event<'_>) -> Option<Value> {
        Some(match *event {
            Event::Began { step, name } => {
                let digest = Digest::of(format!("{}\0{name}", step.0).as_bytes());
                let fresh = Step { digest, name: name.to_owned(), began: now.to_owned() };
                let document = json!({ "vertexes": [fresh.vertex()] });
                self.steps.insert(step, fresh);
                document
            }
            Event::Cached { step } => self.ended(step, now, true, None)?,
            Event::Output { step, stream, bytes } => {
                let stream = if stream == Stream::Out { 1 } else { 2 };
                let data = base64::encode(bytes);
                let vertex = self.steps.get(&step)?.digest.as_str();
                json!({ "logs": [{ "vertex": vertex, "stream": stream, "data": data, "timestamp": now }] })
            }
            Event::Progress { step, what, done, total } => {
                let step = self.steps.get(&step)?;
                let mut status = json!({
                    "id": what, "vertex": step.digest.as_str(), "current": done, "timestamp": now, "started": step.began,
                });
                if let (Some(total), Some(status)) = (total, status.as_object_mut()) {
                    status.insert("total".into(), total.into());
                    if total == done {
                        status.insert("completed".into(), now.into());
                    }
                }
                json!({ "statuses": [status] })
            }
            Event::Done { step, .. } => self.ended(step, now, false, None)?,
            Event::Failed { step, error, .. } => self.ended(step, now, false, Some(error))?,
            Event::Cancelled { step } => self.ended(step, now, false, Some("context canceled"))?,
            Event::Warning { text, excerpt } => {
                let mut warning = json!({ "level": 1, "short": base64::encode(text.as_bytes()) });
                if let (Some(excerpt), Some(warning)) = (excerpt, warning.as_object_mut()) {
                    let meant = excerpt.lines.iter().filter(|(_, _, meant)| *meant);
                    let range: Vec<Value> =
                        meant.map(|(line, ..)| json!({ "start": { "line": line }, "end": { "line": line } })).collect();
                    warning.insert("sourceInfo".into(), json!({ "filename": excerpt.file }));
                    warning.insert("range".into(), range.into());
                }
                json!({ "warnings": [warning] })
            }
        })
    }

    /// The last document of a step.
    fn ended(&mut self, step: StepId, now: &str, cached: bool, error: Option<&str>) -> Option<Value> {
        let mut vertex = self.steps.remove(&step)?.vertex();
        vertex.insert("completed".into(), now.into());
        vertex.extend(cached.then(|| ("cached".to_owned(), true.into())));
        vertex.extend(error.map(|error| ("error".to_owned(), error.into())));
        Some(json!({ "vertexes": [vertex] }))
    }
}

impl Step {
    fn vertex(&self) -> Map<String, Value> {
        Map::from_iter([
            ("digest".to_owned(), self.digest.as_str().into()),
            ("name".to_owned(), self.name.as_str().into()),
            ("started".to_owned(), self.began.as_str().into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn documents_are_buildkits() {
        let mut out = Vec::new();
        let mut shown = Json::new(&mut out);
        let step = StepId(1);
        let now = DateTime::from_timestamp(1, 0).unwrap();
        for event in [
            Event::Began { step, name: "[1/1] RUN x" },
            Event::Output { step, stream: Stream::Err, bytes: b"hi\n" },
            Event::Progress { step, what: "sha256:1", done: 5, total: Some(5) },
            Event::Cached { step },
            Event::Done { step, took: Duration::ZERO },
            Event::Began { step, name: "[1/1] RUN x" },
            Event::Failed { step, error: "no", excerpt: None },
            Event::Warning { text: "W", excerpt: None },
            Event::Done { step: StepId(9), took: Duration::ZERO },
        ] {
            shown.tell(now, &event);
        }
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let digest = Digest::of(b"1\0[1/1] RUN x");
        let at = "1970-01-01T00:00:01Z";
        let vertex = json!({ "digest": digest.as_str(), "name": "[1/1] RUN x", "started": at });
        assert_eq!(lines[0], json!({ "vertexes": [vertex] }));
        let log = json!({ "vertex": digest.as_str(), "stream": 2, "data": "aGkK", "timestamp": at });
        assert_eq!(lines[1], json!({ "logs": [log] }));
        assert_eq!(lines[2]["statuses"][0]["completed"], at);
        assert_eq!(
            (&lines[3]["vertexes"][0]["cached"], &lines[3]["vertexes"][0]["completed"]),
            (&json!(true), &json!(at))
        );
        assert_eq!(lines[5]["vertexes"][0]["error"], "no");
        assert_eq!(lines[6]["warnings"][0]["short"], "Vw==");
        assert_eq!(lines.len(), 7);
    }
}
