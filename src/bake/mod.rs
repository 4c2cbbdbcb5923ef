//! Bake: builds that a file describes, resolved to targets. No I/O.
//!
//! [`File::read`](file::File::read) takes `docker-bake.hcl`, its JSON form and compose files; [`resolve`] gives the
//! targets that names stand for, with inheritance, matrices, variables and `--set` done.
//! <https://docs.docker.com/build/bake/reference/>

mod compose;
mod eval;
mod file;
mod functions;
mod resolve;
mod target;
#[cfg(test)]
mod tests;

pub use file::{File, Variable};
pub use resolve::{Resolved, resolve};
pub use target::Target;
