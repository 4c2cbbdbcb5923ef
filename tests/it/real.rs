//! The main job on real parts: an Alpine image in Debian's docker-registry, pushed by skopeo, over TLS and plain HTTP.
//!
//! The root file system is looked for beside the checkout (`../shared/images`); without it, one is made of the
//! machine's static busybox, with which all but the lines about Alpine hold.

use crate::env::{TestEnv, eventually};
use crate::image::Image;
use crate::layering::package;
use crate::tarball::Tar;
use crate::tmux::Tmux;
use serde_json::json;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The root file system as a tar, and whether it is Alpine's.
pub fn root_file_system() -> Option<(Vec<u8>, bool)> {
    let folder = package().join("../shared/images");
    let alpine = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("alpine") && name.ends_with(".tar.gz")
    });
    if let Some(path) = alpine {
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(fs::File::open(path).ok()?).read_to_end(&mut tar).ok()?;
        return Some((tar, true));
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find_map(|path| fs::read(path).ok())?;
    let mut tar = Tar::new().folder("bin/", 0o755).file("bin/busybox", 0o755, busybox);
    for name in [
        "sh", "ls", "cat", "ps", "vi", "wget", "httpd", "id", "true", "sleep", "stty", "ping", "echo", "env", "sort",
        "tar", "test", "touch", "false",
    ] {
        tar = tar.link(&format!("bin/{name}"), "busybox");
    }
    let tar = tar
        .folder("etc/", 0o755)
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
        .file("etc/group", 0o644, "root:x:0:\n")
        .file("etc/os-release", 0o644, "ID=busybox\n")
        .folder("tmp/", 0o1777)
        .folder("root/", 0o700);
    Some((tar.finish(), false))
}

/// Debian's docker-registry with that image in it as `alpine:3`.
struct Real {
    host: String,
    child: Child,
    folder: PathBuf,
    alpine: bool,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Run a tool; `false` if it is not installed.
#[track_caller]
pub fn did(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => false,
    }
}

/// A certificate authority and a server's certificate for `localhost`.
pub fn certificates(folder: &Path) -> bool {
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=test-authority -days 2"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out server.crt -days 2"
            .into(),
    ] {
        if !did(tool("openssl").args(line.split(' ')).current_dir(folder)) {
            return false;
        }
    }
    true
}

fn start(env: &TestEnv, tls: bool) -> Option<Real> {
    let folder = env.base.join(if tls { "registry-tls" } else { "registry" });
    fs::create_dir_all(&folder).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("localhost:{port}");
    let mut conf = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\nlog: {{level: error}}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        folder.display()
    );
    if tls {
        if !certificates(&folder) {
            return None;
        }
        conf += &format!(
            "  tls: {{certificate: {0}/server.crt, key: {0}/server.key}}\nauth: {{htpasswd: {{realm: test, path: {0}/users}}}}\n",
            folder.display()
        );
        let users = Command::new("htpasswd").args(["-Bbn", "ann", "s3cret"]).output().ok()?;
        fs::write(folder.join("users"), users.stdout).unwrap();
        let trusted = env.base.join("config/containers/certs.d").join(&host);
        fs::create_dir_all(&trusted).unwrap();
        fs::copy(folder.join("ca.crt"), trusted.join("ca.crt")).unwrap();
    } else {
        env.file(
            "config/containers/registries.conf",
            format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"),
        );
    }
    fs::write(folder.join("conf.yml"), conf).unwrap();
    let child = tool("docker-registry").arg("serve").arg(folder.join("conf.yml")).stderr(Stdio::null()).spawn().ok()?;
    let (tar, alpine) = root_file_system()?;
    let real = Real { host, child, folder, alpine };
    eventually("docker-registry", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut image = Image::empty().packed(tar, crate::image::Packed::Gzip);
    image.run =
        json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]});
    image.build().layout(&real.folder.join("layout"), "x");
    let mut copy = tool("skopeo");
    copy.env("XDG_RUNTIME_DIR", env.base.join("run"));
    copy.args(["--insecure-policy", "copy", "-q"]);
    if tls {
        // skopeo takes every .crt and wants a key beside every .cert; the server's own are in its way.
        fs::create_dir_all(real.folder.join("trust")).unwrap();
        fs::copy(real.folder.join("ca.crt"), real.folder.join("trust/ca.crt")).unwrap();
        copy.arg("--dest-cert-dir").arg(real.folder.join("trust")).args(["--dest-creds", "ann:s3cret"]);
    } else {
        copy.arg("--dest-tls-verify=false");
    }
    copy.arg(format!("oci:{}:x", real.folder.join("layout").display())).arg(format!("docker://{}/alpine:3", real.host));
    did(&mut copy).then_some(real)
}

macro_rules! real {
    ($env:expr, $tls:expr) => {
        match start($env, $tls) {
            Some(real) => real,
            None => skip!("docker-registry, skopeo, openssl, htpasswd or busybox is missing"),
        }
    };
}

#[test]
fn over_tls_with_a_password() {
    let env = TestEnv::new();
    let real = real!(&env, true);
    let name = format!("{}/alpine:3", real.host);
    // Without the password, and without trust.
    env.box_(&["pull", &name]).fails(125).says(&real.host);
    let auth = json!({"auths": {&real.host: {"auth": crate::registry::base64(b"ann:s3cret")}}}).to_string();
    env.file("run/containers/auth.json", auth);
    let trust = env.base.join("config/containers/certs.d").join(&real.host).join("ca.crt");
    fs::rename(&trust, env.base.join("ca.away")).unwrap();
    env.box_(&["pull", &name]).fails(125).says("certificate");
    fs::rename(env.base.join("ca.away"), &trust).unwrap();
    env.box_(&["pull", &name]).ok();
    let os = env.box_(&["run", "--rm", &name, "cat", "/etc/os-release"]).ok();
    assert!(!real.alpine || os.contains("Alpine Linux"), "{os}");
    fs::remove_dir_all(env.base.join("run/containers")).unwrap();
}

#[test]
fn a_users_day() {
    let env = TestEnv::new();
    let real = real!(&env, false);
    let name = format!("{}/alpine:3", real.host);
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    terminal.line(&format!("box run -it --name day {name}"));
    terminal.await_text("/ #");
    terminal.line("ls /");
    terminal.await_text("etc");
    terminal.line("clear; ps; stty size");
    terminal.await_text("24 80");
    assert!(terminal.screen().contains("1 root"), "{}", terminal.screen());
    terminal.line("clear; sleep 600");
    eventually("Ctrl-C to reach the shell's command", || {
        terminal.keys(&["C-c"]);
        terminal.line("echo $((40 + 2))");
        terminal.screen().contains("42")
    });
    terminal.resize(100, 30);
    terminal.line("clear; stty size");
    terminal.await_text("30 100");
    terminal.line("vi /tmp/note");
    terminal.await_text("/tmp/note");
    terminal.keys(&["i"]);
    terminal.keys(&["h", "i", "Escape"]);
    // An escape sequence is one only if the rest follows at once.
    terminal.await_text("- /tmp/note");
    terminal.line(":wq");
    terminal.line("clear; cat /tmp/note");
    terminal.await_line("hi");
    // Job control in the inner shell.
    terminal.line("clear; sleep 600 & jobs; kill %1; echo done");
    terminal.await_line("done");
    terminal.line("exit 7");
    terminal.await_line("$");
    terminal.line("clear; echo code $?");
    terminal.await_text("code ");
    assert_eq!(env.inspect("day", "{{.State.ExitCode}}"), "7");
    drop(terminal);
}

#[test]
fn a_web_server_and_a_client() {
    let env = TestEnv::new();
    let real = real!(&env, false);
    let name = format!("{}/alpine:3", real.host);
    env.file("site/index.html", "hello from inside\n");
    let site = format!("{}:/www:ro", env.base.join("site").display());
    let server = format!("{}/site", env.base.display());
    if real.alpine {
        // Alpine's busybox has no httpd applet in the base image; nc answers as well.
        let answer = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello from inside\\n' | nc -l -p 8080; done";
        env.box_(&["run", "-d", "--name", "web", "-p", "127.0.0.1::8080", "-v", &site, &name, "sh", "-c", answer]).ok();
    } else {
        let words = ["run", "-d", "--name", "web", "-p", "127.0.0.1::8080", "-v", &site, &name];
        env.box_(&[&words[..], &["httpd", "-f", "-p", "8080", "-h", "/www"]].concat()).ok();
    }
    let port = env.inspect("web", "{{(index (index .NetworkSettings.Ports \"8080/tcp\") 0).HostPort}}");
    let url = format!("http://127.0.0.1:{port}/index.html");
    eventually("the page", || {
        let output = Command::new("curl").args(["-s", "-m", "2", &url]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("hello from inside"))
    });
    assert!(env.box_(&["ps"]).ok().contains("->8080/tcp"));
    assert!(env.box_(&["exec", "web", "id", "-u"]).ok() == "0", "{server}");
    assert_eq!(env.box_(&["exec", "web", "cat", "/www/index.html"]).ok(), "hello from inside");
    env.box_(&["stop", "-t", "0", "web"]).ok();
    assert_eq!(env.box_(&["ps", "-q"]).ok(), "");
    env.box_(&["rm", "web"]).ok();
    // Ping needs no capability; Debian's static busybox does not know how to do without.
    if real.alpine {
        env.box_(&["run", "--rm", &name, "ping", "-c", "1", "127.0.0.1"]).ends(0);
    }
}
