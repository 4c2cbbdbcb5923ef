//! A token service, as registries have one beside them: it knows who may do what, and signs that.
//!
//! <https://distribution.github.io/distribution/spec/auth/jwt/>

use crate::registry::base64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// The service, which runs until it is dropped.
pub struct TokenService {
    state: Arc<State>,
}

struct State {
    address: SocketAddr,
    /// `Basic …` of the only user.
    user: String,
    certificate: String,
    key: Vec<u8>,
    asked: Mutex<Vec<String>>,
    closing: AtomicBool,
}

impl TokenService {
    /// A service for one user, who may do all in `team/` and pull from `shared/`; keys are in the folder.
    pub fn start(folder: &Path, credentials: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            address: listener.local_addr().unwrap(),
            user: format!("Basic {}", base64(credentials.as_bytes())),
            certificate: base64(&pem(&folder.join("server.crt"))),
            key: pem(&folder.join("server.key")),
            asked: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closing.load(Ordering::Relaxed) {
                    return;
                }
                serve(&shared, &stream);
            }
        });
        Self { state }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.state.address.port()
    }

    /// The scopes that were asked for, one line a request.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.state.address);
    }
}

/// The first block of a PEM file.
fn pem(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let inner: String = text.lines().skip(1).take_while(|line| !line.starts_with("---")).collect();
    boxlib::base::base64::decode(&inner).unwrap()
}

fn serve(state: &State, stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut known) = (String::new(), false);
    if reader.read_line(&mut first).is_err() {
        return;
    }
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        let is_basic = line.to_ascii_lowercase().starts_with("authorization:");
        known |= is_basic && line.split_once(": ").is_some_and(|(_, value)| value.trim() == state.user);
        if is_basic && !known {
            let _ = (&mut &*stream).write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
    }
    let query = first.split(' ').nth(1).and_then(|path| path.split_once('?')).map_or("", |(_, query)| query);
    let scopes: Vec<String> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("scope="))
        .flat_map(|scope| {
            scope
                .replace("%3A", ":")
                .replace("%2C", ",")
                .replace("%2F", "/")
                .replace('+', " ")
                .split(' ')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    state.asked.lock().unwrap().push(scopes.join(" "));
    let body = json!({ "token": token(state, &scopes, known) }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = (&mut &*stream).write_all((head + &body).as_bytes());
}

/// A token for what of the scopes is allowed.
fn token(state: &State, scopes: &[String], known: bool) -> String {
    let access: Vec<Value> = scopes
        .iter()
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let may = |action: &str| {
                known && (name.starts_with("team/") || (name.starts_with("shared/") && action == "pull"))
            };
            let allowed: Vec<&str> = actions.split(',').filter(|action| may(action)).collect();
            Some(json!({"type": kind, "name": name, "actions": allowed}))
        })
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let url = |bytes: &[u8]| base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_");
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [state.certificate]});
    let claims = json!({
        "iss": "test-issuer", "sub": "ann", "aud": "test-service", "jti": "1",
        "exp": now + 300, "nbf": now - 10, "iat": now - 10, "access": access,
    });
    let signed = format!("{}.{}", url(header.to_string().as_bytes()), url(claims.to_string().as_bytes()));
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &state.key, &random).unwrap();
    format!("{signed}.{}", url(pair.sign(&random, signed.as_bytes()).unwrap().as_ref()))
}
