//! `boxlib`: containers for people who are not root.
//!
//! The modules below stand in order of dependence: a module names only modules above it. The list is the table of
//! contents, the law (kept by `tests/it/layering.rs`) and the reading order at once. ARCHITECTURE.md tells the rest.

// ── the ground ──────────────────────────────────────────────────────────────────────────────────────────────────
/// The words that everything is written in: errors, ids, digests, folders, files, locks, units, time, signals.
#[cfg_attr(test, macro_use)]
pub mod base;
/// The kernel, one wrapper for one syscall; the only unsafe code.
pub mod sys;
/// What has happened: a journal that every verb appends to.
pub mod events;
/// What the user and the host have configured: containers.conf, registries.conf, auth files.
pub mod config;
/// Other people's formats: image references, manifests, configs. No I/O.
pub mod oci;
/// The language of Dockerfiles: parsed, checked, expanded. No I/O.
pub mod dockerfile;
/// Builds that files describe: bake's targets, resolved. No I/O.
pub mod bake;
// ── what a container is made of ─────────────────────────────────────────────────────────────────────────────────
/// Becoming root among one's own: subordinate ids, id maps, the namespace holder.
pub mod rootless;
/// Content on disk: the OCI layout of blobs, layers unpacked, results of steps, overlay plans, garbage.
pub mod store;
/// Talking to registries: streams into a sink, sends payloads, and knows no store.
pub mod registry;
/// Names for what is stored: pull, push, load, save, commit, list, tag, remove; lists and signatures.
pub mod image;
/// What is lent besides the image: volumes, which outlive containers, and secrets.
pub mod volume;
// ── how it runs ─────────────────────────────────────────────────────────────────────────────────────────────────
/// Asking systemd for a transient scope: a small D-Bus client.
pub mod systemd;
/// A bundle in, a process out: the OCI runtime. Knows no image, name or network.
pub mod runtime;
/// Who stays behind: stdio, attach, logs, exit. Gives up what it does not need.
pub mod monitor;
/// Giving a namespace an address: slirp4netns, pasta, published ports, networks with names. Knows no container.
pub mod network;
// ── the container itself ────────────────────────────────────────────────────────────────────────────────────────
/// Opens all of the above once, in order; owns handles, has no verbs.
pub mod engine;
/// Examines the host: what is needed, whether it is there, and what to type where it is not.
pub mod doctor;
/// A container's life: request, config, spec, record, then one verb a file.
pub mod container;
// ── who asks for one ────────────────────────────────────────────────────────────────────────────────────────────
/// Builds: a Dockerfile and a context become an image, by a graph of steps.
pub mod build;
/// Words in, words out; the only place that prints.
pub mod cli;
