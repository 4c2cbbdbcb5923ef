//! A terminal with a user at it, played by tmux.

use crate::env::{TestEnv, eventually, program};
use std::path::PathBuf;
use std::process::{Command, Output};

/// A terminal of 80 × 24 with a shell in it, in a test's environment; `box` is in its path.
pub struct Tmux<'a> {
    env: &'a TestEnv,
    socket: PathBuf,
}

impl<'a> Tmux<'a> {
    /// A new terminal; `None` where there is no tmux.
    pub fn start(env: &'a TestEnv) -> Option<Self> {
        let links = env.base.join("bin");
        std::fs::create_dir_all(&links).unwrap();
        let _ = std::os::unix::fs::symlink(program(), links.join("box"));
        let terminal = Self { env, socket: env.base.join("tmux") };
        let path = format!("PATH={}:{}", links.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = vec!["env".to_owned(), "-i".to_owned()];
        shell.extend(env.vars());
        shell.extend([path, "TERM=screen".into(), "PS1=$ ".into(), "sh".into(), "-i".into()]);
        let mut command = terminal.tmux();
        command
            .args(["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"])
            .arg(shell.join(" ").replace("PS1=$ ", "'PS1=$ '"));
        let output = command.output().ok()?;
        assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        terminal.await_text("$");
        Some(terminal)
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).env("TERM", "screen").env_remove("TMUX");
        command
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.tmux().args(args).output().unwrap()
    }

    /// Type a text and Enter.
    pub fn line(&self, text: &str) {
        self.ask(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    /// Press keys, by tmux's names: `C-c`, `Enter`, `Up`.
    pub fn keys(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.ask(&args);
    }

    /// Another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.ask(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What is on the screen, without trailing blanks.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.ask(&["capture-pane", "-p"]).stdout).trim_end().to_owned()
    }

    /// Wait until the screen holds a text.
    #[track_caller]
    pub fn await_text(&self, text: &str) {
        self.await_screen(text, |screen| screen.contains(text));
    }

    /// Wait until the screen does not hold a text any more.
    #[track_caller]
    pub fn await_gone(&self, text: &str) {
        self.await_screen(&format!("no {text}"), |screen| !screen.contains(text));
    }

    /// Wait until the screen holds so many lines.
    #[track_caller]
    pub fn await_lines(&self, count: usize) {
        self.await_screen(&format!("{count} lines"), |screen| screen.lines().count() == count);
    }

    /// Wait until a line of the screen is this.
    #[track_caller]
    pub fn await_line(&self, text: &str) {
        self.await_screen(text, |screen| screen.lines().any(|line| line.trim_end() == text));
    }

    #[track_caller]
    fn await_screen(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !is_so(&self.screen()) {
            let shown = self.screen();
            assert!(std::time::Instant::now() < until, "`{what}` does not come; the screen:\n{shown}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the screen:\n{}", self.screen());
        }
        self.ask(&["kill-server"]);
        let socket = self.socket.display().to_string();
        if !std::thread::panicking() {
            eventually("the end of tmux", || {
                !self.env.processes().iter().any(|process| process.words.contains(&socket))
            });
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}
