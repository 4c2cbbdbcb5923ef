//! The language of Dockerfiles, as BuildKit's frontend understands it: parsed, checked, expanded. No I/O.
//!
//! [`parse`] turns a text into a [`Dockerfile`]: stages of typed instructions whose words are as they were written.
//! [`Instruction::expand`] puts the values of variables into them, and [`Scope`](scope::Scope) knows which those are.
//!
//! <https://docs.docker.com/reference/dockerfile/>, and what moby/buildkit's `frontend/dockerfile` does where that is
//! silent. `docs/dockerfile.md` says what differs.

pub mod check;
pub mod chmod;
pub mod command;
#[cfg(test)]
mod corpus;
pub mod csv;
pub mod directives;
pub mod expand;
pub mod flags;
pub mod glob;
pub mod heredoc;
pub mod ignore;
mod instruction;
mod lines;
pub mod mistake;
pub mod mount;
#[cfg(test)]
mod mutants;
pub mod outline;
mod parse;
pub mod path;
mod pattern;
pub mod ports;
mod print;
pub mod resolve;
pub mod scope;
pub mod tree;
pub mod words;

pub use mistake::{Mistake, excerpt};
pub use parse::{parse, parse_trigger};
pub use tree::{Dockerfile, Instruction, Op, Span, Stage};
