//! A registry in this process, over plain HTTP on 127.0.0.1, that can be told to misbehave.

use crate::image::{Blob, Built};
use boxlib::base::digest::Digest;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: HashMap<String, String>,
    /// What was sent.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers but for the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// What follows the headers.
#[derive(Debug, Clone)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// These bytes, then the connection is closed, though more were announced.
    Cut(Vec<u8>, usize),
    /// These bytes, then nothing, for ever, though more were announced.
    Stall(Vec<u8>, usize),
    /// Zeros without end.
    Endless,
    /// No answer at all: the connection is closed.
    HangUp,
    /// All of it, in chunks of so many bytes with a breath between, so that somebody can interrupt it. What is sent is
    /// counted.
    Paced(Vec<u8>, usize),
}

impl Answer {
    /// A status with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    /// A header more.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Another body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// How callers prove who they are.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// `user:password`.
    Basic(String),
    /// A token from `realm`, which wants `user:password`; or from our own /token when it is empty.
    Bearer(String, String),
}

type Script = Box<dyn Fn(&Asked, usize) -> Option<Answer> + Send + Sync>;

struct State {
    manifests: Mutex<HashMap<String, Blob>>,
    blobs: Mutex<HashMap<String, Blob>>,
    /// What a push has left: which repository has which blob. What a test has put here is in all of them.
    owned: Mutex<HashSet<(String, String)>>,
    uploads: Mutex<HashMap<String, Vec<u8>>>,
    asked: Mutex<Vec<Asked>>,
    auth: Mutex<Auth>,
    script: Mutex<Option<Arc<Script>>>,
    closing: AtomicBool,
    paced: AtomicU64,
    address: SocketAddr,
}

/// A registry that runs until it is dropped.
pub struct Registry {
    state: Arc<State>,
}

const TOKEN: &str = "token-of-the-test";

impl Registry {
    /// An empty one on a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            owned: Mutex::default(),
            uploads: Mutex::default(),
            asked: Mutex::default(),
            auth: Mutex::new(Auth::None),
            script: Mutex::new(None),
            closing: AtomicBool::new(false),
            paced: AtomicU64::new(0),
            address: listener.local_addr().unwrap(),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closing.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { state }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.state.address.to_string()
    }

    /// `127.0.0.1:PORT/NAME`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// A registries.conf that allows plain HTTP here.
    pub fn conf(&self) -> String {
        format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", self.host())
    }

    /// Put an image into it.
    pub fn push(&self, repository: &str, tag: &str, built: &Built) {
        built.blobs().for_each(|blob| self.push_blob(blob));
        self.push_manifest(repository, tag, &built.manifest);
    }

    /// Put a blob into it.
    pub fn push_blob(&self, blob: &Blob) {
        self.state.blobs.lock().unwrap().insert(blob.digest.to_string(), blob.clone());
    }

    /// A blob's bytes.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        self.state.blobs.lock().unwrap()[digest].bytes.clone()
    }

    /// Put a manifest or an index into it, under a tag and its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Blob) {
        let mut manifests = self.state.manifests.lock().unwrap();
        for reference in [tag, manifest.digest.as_str()] {
            manifests.insert(format!("{repository}:{reference}"), manifest.clone());
        }
    }

    /// Ask for credentials from here on.
    pub fn set_auth(&self, auth: Auth) {
        *self.state.auth.lock().unwrap() = auth;
    }

    /// Misbehave from here on: the function sees each request and how many of its path came before, and answers in
    /// the registry's place, or not.
    pub fn misbehave(&self, script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Some(Arc::new(Box::new(script)));
    }

    /// Let an upload have got only so many of its bytes.
    pub fn cut_upload(&self, path: &str, bytes: &[u8]) {
        let id = path.split("/blobs/uploads/").nth(1).and_then(|rest| rest.split('?').next()).unwrap_or_default();
        self.state.uploads.lock().unwrap().insert(id.to_owned(), bytes.to_vec());
    }

    /// Take a manifest away.
    pub fn forget(&self, repository: &str, reference: &str) {
        self.state.manifests.lock().unwrap().remove(&format!("{repository}:{reference}"));
    }

    /// Let all repositories have a blob that was pushed to one.
    pub fn share(&self, digest: &str) {
        self.state.owned.lock().unwrap().retain(|(_, other)| other != digest);
    }

    /// A manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Blob> {
        self.state.manifests.lock().unwrap().get(&format!("{repository}:{reference}")).cloned()
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many bytes were sent of paced bodies.
    pub fn paced(&self) -> u64 {
        self.state.paced.load(Ordering::Relaxed)
    }

    /// How many requests had this in their path.
    pub fn count(&self, part: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path.contains(part)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.state.address);
    }
}

fn serve(state: &State, stream: TcpStream) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read_request(&mut reader) {
        let before = {
            let mut log = state.asked.lock().unwrap();
            let before = log.iter().filter(|other| other.path == asked.path).count();
            log.push(asked.clone());
            before
        };
        let script = state.script.lock().unwrap().clone();
        let answer = script.and_then(|script| script(&asked, before)).unwrap_or_else(|| answer(state, &asked));
        if !write_answer(state, &mut writer, &asked, answer) {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    // A TLS handshake is not text, and ends the connection here.
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    Some(Asked { method, path, headers, body })
}

/// Send it; whether the connection may go on.
fn write_answer(state: &State, writer: &mut TcpStream, asked: &Asked, answer: Answer) -> bool {
    if matches!(answer.body, Body::HangUp) {
        let _ = writer.shutdown(std::net::Shutdown::Both);
        return false;
    }
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = match &answer.body {
        Body::Whole(bytes) | Body::Paced(bytes, _) => bytes.len(),
        Body::Cut(_, length) | Body::Stall(_, length) => *length,
        Body::Endless => 1 << 50,
        Body::HangUp => 0,
    };
    head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    if writer.write_all(head.as_bytes()).is_err() {
        return false;
    }
    if asked.method == "HEAD" {
        return true;
    }
    match answer.body {
        Body::Whole(bytes) => writer.write_all(&bytes).is_ok(),
        Body::Cut(bytes, _) => {
            let _ = writer.write_all(&bytes);
            let _ = writer.shutdown(std::net::Shutdown::Both);
            false
        }
        Body::Stall(bytes, _) => {
            let _ = writer.write_all(&bytes);
            while !state.closing.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            false
        }
        Body::HangUp => false,
        Body::Paced(bytes, size) => bytes.chunks(size).all(|chunk| {
            std::thread::sleep(Duration::from_millis(1));
            let sent = writer.write_all(chunk).is_ok();
            state.paced.fetch_add(if sent { chunk.len() as u64 } else { 0 }, Ordering::Relaxed);
            sent
        }),
        Body::Endless => {
            while writer.write_all(&[0; 64 * 1024]).is_ok() && !state.closing.load(Ordering::Relaxed) {}
            false
        }
    }
}

/// What an honest registry answers.
fn answer(state: &State, asked: &Asked) -> Answer {
    if asked.path.starts_with("/token") {
        return token(state, asked);
    }
    if let Some(refusal) = refusal(state, asked) {
        return refusal;
    }
    if asked.path == "/v2/" {
        return Answer::new(200, "{}");
    }
    let Some(path) = asked.path.strip_prefix("/v2/") else { return Answer::new(404, "") };
    if asked.method != "GET" && asked.method != "HEAD" || path.contains("/blobs/uploads/") {
        return take(state, asked, path);
    }
    if let Some(repository) = path.split('?').next().and_then(|path| path.strip_suffix("/tags/list")) {
        let manifests = state.manifests.lock().unwrap();
        let names = manifests.keys().filter_map(|key| key.split_once(':')).filter(|(name, _)| *name == repository);
        let mut tags: Vec<&str> = names.map(|(_, tag)| tag).filter(|tag| !tag.contains(':')).collect();
        tags.sort_unstable();
        return Answer::new(200, json!({"name": repository, "tags": tags}).to_string());
    }
    if path.starts_with("_catalog") {
        let manifests = state.manifests.lock().unwrap();
        let mut names: Vec<&str> = manifests.keys().filter_map(|key| Some(key.split_once(':')?.0)).collect();
        names.sort_unstable();
        names.dedup();
        return Answer::new(200, json!({"repositories": names}).to_string());
    }
    if let Some((repository, reference)) = path.split_once("/manifests/") {
        let manifests = state.manifests.lock().unwrap();
        return match manifests.get(&format!("{repository}:{reference}")) {
            Some(blob) => Answer::new(200, blob.bytes.clone())
                .header("Content-Type", &blob.media_type)
                .header("Docker-Content-Digest", blob.digest.to_string()),
            None => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
        };
    }
    if let Some((repository, digest)) = path.split_once("/blobs/") {
        let owned = state.owned.lock().unwrap();
        let pushed = owned.iter().any(|(_, other)| other == digest);
        if pushed && !owned.contains(&(repository.to_owned(), digest.to_owned())) {
            return Answer::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#);
        }
        return match state.blobs.lock().unwrap().get(digest) {
            Some(blob) => part(asked, &blob.bytes),
            None => Answer::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#),
        };
    }
    Answer::new(404, "")
}

/// What an honest registry does with what it is sent.
fn take(state: &State, asked: &Asked, path: &str) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs: HashMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k, v.replace("%3A", ":").replace("%2F", "/")))
        .collect();
    if let Some((repository, reference)) = path.split_once("/manifests/") {
        let media_type = asked.header("content-type").unwrap_or_default();
        let blob = Blob::new(media_type, asked.body.clone());
        let known = |digest: &str| {
            let owned = state.owned.lock().unwrap();
            let everywhere = || owned.iter().all(|(_, other)| other != digest);
            owned.contains(&(repository.to_owned(), digest.to_owned()))
                || (everywhere() && state.blobs.lock().unwrap().contains_key(digest))
        };
        let document: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let layers = document["layers"].as_array().cloned().unwrap_or_default();
        let images = document["manifests"].as_array().cloned().unwrap_or_default();
        let unknown = |row: &&serde_json::Value| {
            let digest = row["digest"].as_str().unwrap_or_default();
            !state.manifests.lock().unwrap().contains_key(&format!("{repository}:{digest}"))
        };
        if let Some(row) = images.iter().find(unknown) {
            let error = json!({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": row["digest"]}]});
            return Answer::new(400, error.to_string());
        }
        let missing = layers.iter().chain([&document["config"]]).filter_map(|part| part["digest"].as_str());
        if let Some(digest) = missing.into_iter().find(|digest| !known(digest)) {
            return Answer::new(
                400,
                json!({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": digest}]}).to_string(),
            );
        }
        let mut manifests = state.manifests.lock().unwrap();
        for reference in [reference, blob.digest.as_str()] {
            manifests.insert(format!("{repository}:{reference}"), blob.clone());
        }
        return Answer::new(201, "").header("Docker-Content-Digest", blob.digest.to_string());
    }
    let Some((repository, id)) = path.split_once("/blobs/uploads/") else { return Answer::new(404, "") };
    let own = |digest: &str, owner: &str| state.owned.lock().unwrap().insert((owner.to_owned(), digest.to_owned()));
    let mut uploads = state.uploads.lock().unwrap();
    let place = |id: &str| format!("/v2/{repository}/blobs/uploads/{id}?state=x");
    if asked.method == "POST" {
        if let (Some(digest), Some(from)) = (pairs.get("mount"), pairs.get("from")) {
            let has = state.owned.lock().unwrap().contains(&(from.clone(), digest.clone()));
            if has {
                own(digest, repository);
                return Answer::new(201, "");
            }
        }
        let id = format!("u{}", uploads.len());
        uploads.insert(id.clone(), Vec::new());
        return Answer::new(202, "").header("Location", place(&id));
    }
    let Some(upload) = uploads.get_mut(id) else {
        return Answer::new(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"upload unknown"}]}"#);
    };
    let from = asked.header("content-range").and_then(|range| range.split('-').next()?.parse().ok());
    if asked.method != "GET" && from.is_some_and(|from: usize| from != upload.len()) {
        return Answer::new(416, "");
    }
    upload.extend_from_slice(&asked.body);
    let range = format!("0-{}", upload.len().saturating_sub(1));
    match asked.method.as_str() {
        "GET" => Answer::new(204, "").header("Location", place(id)).header("Range", range),
        "PATCH" => Answer::new(202, "").header("Location", place(id)).header("Range", range),
        _ => {
            let blob = Blob::new("", upload.clone());
            let said = pairs.get("digest").map(String::as_str).unwrap_or_default();
            if Digest::parse(said).as_ref() != Some(&blob.digest) {
                return Answer::new(400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"another digest"}]}"#);
            }
            own(said, repository);
            state.blobs.lock().unwrap().insert(said.to_owned(), blob);
            Answer::new(201, "").header("Docker-Content-Digest", said)
        }
    }
}

/// The bytes that a Range header asks for; `None` for the end where it names none.
pub fn range(asked: &Asked) -> Option<(usize, Option<usize>)> {
    let (from, last) = asked.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, last.parse().ok().map(|last: usize| last + 1)))
}

/// A blob, or the part of it that a Range header asks for.
pub fn part(asked: &Asked, bytes: &[u8]) -> Answer {
    match range(asked).map(|(from, end)| (from, end.unwrap_or(bytes.len()))) {
        Some((from, end)) if from < end && end <= bytes.len() => Answer::new(206, &bytes[from..end])
            .header("Content-Range", format!("bytes {from}-{}/{}", end - 1, bytes.len())),
        _ => Answer::new(200, bytes).header("Accept-Ranges", "bytes"),
    }
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", base64(credentials.as_bytes()))
}

fn refusal(state: &State, asked: &Asked) -> Option<Answer> {
    let given = asked.header("authorization").unwrap_or("");
    match &*state.auth.lock().unwrap() {
        Auth::None => None,
        Auth::Basic(credentials) if given == basic(credentials) => None,
        Auth::Basic(_) => Some(Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"test\"")),
        Auth::Bearer(..) if given == format!("Bearer {TOKEN}") => None,
        Auth::Bearer(realm, _) => {
            let own = format!("http://{}/token", state.address);
            let realm = if realm.is_empty() { &own } else { realm };
            let challenge = format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"repository:x:pull\"");
            Some(Answer::new(401, "{}").header("WWW-Authenticate", challenge))
        }
    }
}

fn token(state: &State, asked: &Asked) -> Answer {
    match &*state.auth.lock().unwrap() {
        Auth::Bearer(_, credentials) if asked.header("authorization") != Some(&basic(credentials)) => {
            Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}"#)
        }
        _ => Answer::new(200, json!({"token": TOKEN, "expires_in": 300}).to_string()),
    }
}

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0u32, |all, at| all << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

#[test]
fn base64_is_padded() {
    for (plain, coded) in [("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("user:pass", "dXNlcjpwYXNz")] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
