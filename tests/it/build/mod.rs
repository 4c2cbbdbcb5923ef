//! `box build`, `box builder`, `box buildx`.

mod attacks;
mod bake;
mod buildx;
mod contexts;
mod drivers;
mod kill;
mod options;
mod outputs;
mod progress;
mod sbom;
mod shared;
pub mod site;
mod steps;

use crate::env::TestEnv;
use std::path::PathBuf;

/// A folder `c` with a Dockerfile and files.
pub fn context(env: &TestEnv, dockerfile: &str, files: &[(&str, &str)]) -> PathBuf {
    env.file("c/Dockerfile", dockerfile);
    for (name, content) in files {
        env.file(&format!("c/{name}"), content);
    }
    env.base.join("c")
}
