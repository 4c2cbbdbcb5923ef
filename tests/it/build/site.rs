//! A context, and a base that has a shell: Alpine, or the busybox of the machine.

use crate::env::TestEnv;
use crate::outcome::Outcome;
use std::fs;
use std::path::Path;

/// A test's home with the image `base`, and a context.
pub struct Site {
    /// The home.
    pub env: TestEnv,
}

impl Site {
    /// One with an empty context.
    pub fn new() -> Self {
        let env = TestEnv::new();
        let (tar, _) = crate::real::root_file_system().expect("there is neither an Alpine nor a busybox");
        let path = env.file("base.tar", tar);
        env.cmd(&["import", "-q"]).arg(path).arg("base").run().ok();
        fs::create_dir(env.base.join("ctx")).unwrap();
        Self { env }
    }

    /// Write a file of the context.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        self.env.file(&format!("ctx/{name}"), content);
        self
    }

    /// Build this Dockerfile as `t`, without a network.
    pub fn build(&self, dockerfile: &str, options: &[&str]) -> Outcome {
        self.file("Dockerfile", dockerfile);
        let mut args = vec!["build", "--progress", "plain", "--network", "none", "-t", "t"];
        args.extend(options);
        args.push("ctx");
        self.env.box_(&args)
    }

    /// What a command in the image `t` prints.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.env.box_(&["run", "--rm", "--network", "none", "--entrypoint", "", "t", "sh", "-c", script]).ok()
    }

    /// A field of the image's config.
    #[track_caller]
    pub fn config(&self, format: &str) -> String {
        self.env.box_(&["image", "inspect", "--format", format, "t"]).ok()
    }

    /// The image's id.
    #[track_caller]
    pub fn id(&self) -> String {
        self.config("{{.Id}}")
    }
}

/// How many steps of a build came from the cache, and how many were executed.
pub fn cached(outcome: &Outcome) -> usize {
    outcome.err().lines().filter(|line| line.ends_with(" CACHED")).count()
}

/// Whether a text is in any file below a folder.
pub fn is_anywhere(folder: &Path, text: &str) -> Option<String> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let found = match entry.file_type() {
            Ok(kind) if kind.is_dir() => is_anywhere(&path, text),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                let there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                there.then(|| path.display().to_string())
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
