//! The client against a registry that lies, stalls, truncates and redirects: a thread that serves a script.

use super::{Client, Gathered, Options};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, kind};
use crate::config::auth::Credentials;
use crate::config::registries::Source;
use anyhow::Result;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the script sees it.
struct Seen {
    method: String,
    path: String,
    headers: String,
}

type Script = dyn Fn(&Seen, usize) -> Vec<u8> + Send + Sync;

/// A registry on its own port; it ends with the test process.
struct Registry {
    host: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// Serve what the script answers: whole HTTP responses; the connection closes after each.
    fn start(address: &str, script: impl Fn(&Seen, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (ours, script): (_, Arc<Script>) = (Arc::clone(&log), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&ours), Arc::clone(&script));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    let (mut first, mut headers) = (String::new(), String::new());
                    // A TLS hello is no HTTP: the connection is closed.
                    if reader.read_line(&mut first).is_err() || !first.contains(" HTTP/1.1") {
                        return;
                    }
                    while reader.read_line(&mut headers).is_ok_and(|count| count > 2) {}
                    let mut words = first.split(' ').map(str::to_owned);
                    let (method, path) = (words.next().unwrap(), words.next().unwrap());
                    let count = {
                        let mut log = log.lock().unwrap();
                        log.push(format!("{first}{headers}"));
                        log.len()
                    };
                    let _ =
                        (&stream).write_all(&script(&Seen { method, path, headers: headers.to_lowercase() }, count));
                    if path_hangs(&first) {
                        // Kept open until the client gives up.
                        let _ = reader.read_line(&mut headers);
                    }
                });
            }
        });
        Self { host, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().concat().to_lowercase()
    }
}

fn path_hangs(first: &str) -> bool {
    first.contains("/hang/")
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn credentials(host: &str) -> Credentials {
    let path = std::env::temp_dir().join(format!("box-auth-{}", crate::base::id::ContainerId::random()));
    // joe:secret
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{{"auth":"am9lOnNlY3JldA=="}}}}}}"#)).unwrap();
    let found = Credentials::load(Some(&path)).unwrap();
    std::fs::remove_file(&path).unwrap();
    found
}

fn with_client<T>(host: &str, path: &str, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let source = Source { repository: format!("{host}/{path}"), insecure: true, mirror: false };
        let options =
            Options { back_off: Duration::from_millis(1), stall: Duration::from_millis(300), ..Options::default() };
        let client = Client::open(&source, &credentials(host), &options).await?;
        work(&client).await
    })
}

fn manifest(registry: &Registry, version: &str) -> Result<Digest> {
    with_client(&registry.host, "x", async |client| Ok(client.manifest(version).await?.digest))
}

fn blob(registry: &Registry, path: &str, size: u64) -> Result<Vec<u8>> {
    with_client(&registry.host, path, async |client| {
        let (to, mut from) = tokio::sync::mpsc::channel(1024);
        let result = client.blob(&Digest::of(b"x"), size, 0..size, &mut Gathered::new(&to)).await;
        drop(to);
        let mut bytes = Vec::new();
        while let Some(piece) = from.recv().await {
            bytes.extend(piece);
        }
        result.map(|()| bytes)
    })
}

#[test]
fn digests_are_checked() {
    let body = b"{}";
    let registry = Registry::start("127.0.0.1", |seen, _| {
        let lie = if seen.path.ends_with("lie") {
            format!("Docker-Content-Digest: {}\r\n", Digest::of(b"other"))
        } else {
            String::new()
        };
        response("200 OK", &lie, body)
    });
    assert_eq!(manifest(&registry, "honest").unwrap(), Digest::of(body));
    assert_eq!(manifest(&registry, Digest::of(body).as_str()).unwrap(), Digest::of(body));
    for version in ["lie", Digest::of(b"another").as_str()] {
        let error = manifest(&registry, version).unwrap_err();
        assert_eq!(kind(&error), Kind::BadData, "{error:#}");
    }
    let registry = Registry::start("127.0.0.1", |_, _| response("200 OK", "", &vec![b' '; 5 << 20]));
    assert!(format!("{:#}", manifest(&registry, "x").unwrap_err()).contains("more than"));
}

#[test]
fn errors_are_told_and_passing_ones_retried() {
    for (status, expected, requests) in [
        ("404 Not Found", "has no image `x:v`", 1),
        ("401 Unauthorized", "refuses `x:v` with these credentials", 1),
        ("500 Internal Server Error", "answers 500", 4),
        ("418 Teapot", "answers 418", 1),
    ] {
        let registry = Registry::start("127.0.0.1", move |_, _| response(status, "", b""));
        let error = manifest(&registry, "v").unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        assert_eq!(registry.log().matches("/manifests/").count(), requests, "{status}");
    }
    let registry = Registry::start("127.0.0.1", |_, count| match count {
        1 => response("429 Too Many Requests", "Retry-After: 0\r\n", b""),
        2 => response("503 Unavailable", "", b""),
        _ => response("200 OK", "", b"{}"),
    });
    assert!(manifest(&registry, "v").is_ok());
    let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\u001b[31m down"}]}"#;
    let registry = Registry::start("127.0.0.1", |_, _| response("429 Too Many", "Retry-After: 3600\r\n", body));
    let error = manifest(&registry, "v").unwrap_err();
    assert!(error.to_string().contains("slow [31m down"), "{error:#}");
    assert!(error.downcast_ref::<Fault>().unwrap().hints[0].contains("3600"));
}

#[test]
fn a_broken_download_is_resumed() {
    let whole: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let served = whole.clone();
    let registry = Registry::start("127.0.0.1", move |seen, count| {
        let from = seen
            .headers
            .split("range: bytes=")
            .nth(1)
            .map_or(0, |rest| rest.split('-').next().unwrap().parse::<usize>().unwrap());
        let end = if count < 4 { (from + 60_000).min(served.len()) } else { served.len() };
        // The second repository's server knows no ranges, and always breaks but for the last time.
        let (status, from, range) = match seen.path.contains("/simple/") || from == 0 {
            true => ("200 OK", 0, String::new()),
            false => {
                ("206 Partial", from, format!("Content-Range: bytes {from}-{}/{}\r\n", served.len() - 1, served.len()))
            }
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}\r\n", served.len() - from);
        [head.as_bytes(), &served[from..end.max(from)]].concat()
    });
    assert!(blob(&registry, "ranges", whole.len() as u64).unwrap() == whole);
    assert!(registry.log().contains("range: bytes=60000-"));
    registry.log.lock().unwrap().clear();
    assert!(blob(&registry, "simple", whole.len() as u64).unwrap() == whole);
}

#[test]
fn sizes_and_stalls() {
    let registry = Registry::start("127.0.0.1", |seen, _| match &seen.path {
        path if path.contains("/long/") => response("200 OK", "", b"12345"),
        path if path.contains("/endless/") => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12345\r\n".to_vec()
        }
        path if path.contains("/hang/") => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1".to_vec(),
        path if path.contains("/part/") => response("206 Partial", "Content-Range: bytes 7-9/10\r\n", b"1234"),
        _ => response("200 OK", "", b"1234"),
    });
    assert_eq!(blob(&registry, "right", 4).unwrap(), b"1234");
    for (path, expected) in [
        ("long", "has 5 bytes, not 4"),
        ("endless", "more than 4"),
        ("hang", "does not answer any more"),
        ("part", "another part"),
    ] {
        let error = format!("{:#}", blob(&registry, path, 4).unwrap_err());
        assert!(error.contains(expected), "{path}: {error}");
    }
}

#[test]
fn credentials_stay_at_home() {
    // Another host: its log must never hold a secret.
    let other = Registry::start("127.0.0.2", |_, _| response("200 OK", "", b"{}"));
    let (redirect, realm) = (other.host.clone(), other.host.clone());
    let registry = Registry::start("127.0.0.1", move |seen, _| {
        if !seen.headers.contains("authorization:") && !seen.path.contains("/realm") {
            return response("401 No", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
        }
        match &seen.path {
            path if path.contains("/redirect") => {
                response("307 There", &format!("Location: http://{redirect}{path}\r\n"), b"")
            }
            path if path.contains("/loop") => response("302 There", &format!("Location: {path}\r\n"), b""),
            path if path.contains("/scheme") => response("302 There", "Location: file:///etc/passwd\r\n", b""),
            path if path.contains("/realm") => {
                let header = format!("WWW-Authenticate: Bearer realm=\"http://{realm}/token\",service=\"s\"\r\n");
                response("401 No", &header, b"")
            }
            _ => response("200 OK", "", b"{}"),
        }
    });
    assert!(manifest(&registry, "plain").is_ok());
    assert!(registry.log().contains("authorization: basic"));
    assert!(manifest(&registry, "redirect").is_ok());
    assert!(manifest(&registry, "realm").is_err());
    assert!(format!("{:#}", manifest(&registry, "loop").unwrap_err()).contains("redirects without end"));
    assert!(format!("{:#}", manifest(&registry, "scheme").unwrap_err()).contains("redirects to nowhere"));
    let log = other.log();
    assert!(log.contains("/redirect") && log.contains("/token?service=s&scope="), "{log}");
    assert!(!log.contains("authorization") && !log.contains("joe") && !log.contains("am9l"), "{log}");
}

#[test]
fn tokens_are_fetched_from_the_own_site() {
    let host: Arc<Mutex<String>> = Arc::default();
    let known = Arc::clone(&host);
    let registry = Registry::start("127.0.0.1", move |seen, _| {
        if seen.path.starts_with("/token") {
            assert!(seen.headers.contains("authorization: basic") && seen.method == "GET");
            assert!(seen.path.contains("scope=repository%3Ax%3Apull"), "{}", seen.path);
            return response("200 OK", "", br#"{"token":"T1"}"#);
        }
        if seen.headers.contains("bearer t1") {
            return response("200 OK", "", b"{}");
        }
        let host = known.lock().unwrap();
        response("401 No", &format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n"), b"")
    });
    host.lock().unwrap().push_str(&registry.host);
    assert!(manifest(&registry, "v").is_ok());
}
