//! Words in, words out; the only place that prints.
//!
//! `args` declares what can be typed; `request` turns it into a `container::Request`; a file per verb, or per family
//! of verbs, does the deed. What is asked for goes to stdout, everything else to stderr.

mod absent;
mod access;
pub mod args;
mod attach;
mod boot;
mod build;
mod builder;
mod cleanup;
mod clone;
mod commit;
mod complete;
mod cp;
mod defaults;
mod descriptors;
mod diff;
mod doctor;
mod errors;
mod events;
mod exec;
mod explain;
mod export;
mod healthcheck;
mod history;
mod image;
mod images;
mod import;
mod info;
mod init;
mod inspect;
mod kill;
mod life;
mod limits;
mod live;
mod load;
mod login;
mod logs;
mod manifest;
mod mount;
mod network;
mod oci;
mod output;
mod pause;
mod port;
mod progress;
mod prune;
mod ps;
mod pull;
mod push;
mod rename;
mod request;
mod rights;
mod rm;
mod rmi;
mod run;
mod runlabel;
mod save;
mod search;
mod secret;
mod session;
mod start;
mod stats;
mod stop;
mod system;
mod tag;
pub mod template;
mod top;
mod trust;
mod unshare;
mod untag;
mod unused;
mod update;
mod version;
mod volume;
mod wait;

use crate::base::{env, timing};
use crate::sys::process::default_sigpipe;
use anyhow::Result;
use args::life::HealthcheckVerb;
use args::tree::Family;
use args::{Cli, ContainerVerb, Globals, ImageVerb, Verb};
use std::ffi::OsString;
use std::process::ExitCode;

pub use complete::registration;

/// The program. Nothing is opened or allocated before the words are parsed, but for the words themselves.
pub fn main() -> ExitCode {
    default_sigpipe();
    if let Some(shell) = env::completing_shell() {
        return complete::answer(&shell);
    }
    let words = oci::by_name(std::env::args_os().collect());
    if words.iter().any(|word| word == "--timing") {
        timing::enable();
    }
    let cli = match parse(&words) {
        Ok(cli) => cli,
        Err(error) => return errors::usage(error, &words),
    };
    timing::phase("parse");
    crate::events::load_with(defaults::events);
    let code = match dispatch(cli.command, &cli.globals) {
        Ok(code) => code,
        Err(error) => errors::report(&error),
    };
    if cli.globals.timing {
        output::print_timing();
    }
    ExitCode::from(code)
}

/// Parse a command line, its first word being the program's.
pub fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let mut matches = args::parse(words)?;
    let given = defaults::given(&matches);
    let mut cli = Cli::of(&mut matches)?;
    defaults::note(&mut cli, given);
    Ok(cli)
}

/// Do what was asked; the exit code.
fn dispatch(verb: Verb, globals: &Globals) -> Result<u8> {
    match verb {
        Verb::Run(args) => run::run(args, globals),
        Verb::Create(args) => run::create(args, globals),
        Verb::Start(args) => start::start(&args, globals),
        Verb::Init(args) => init::init(&args, globals),
        Verb::Stop(args) => stop::stop(&args, globals),
        Verb::Restart(args) => stop::restart(&args, globals),
        Verb::Pause(args) => pause::pause(&args, globals),
        Verb::Unpause(args) => pause::unpause(&args, globals),
        Verb::Stats(args) => stats::stats(&args, globals),
        Verb::Update(args) => update::update(args, globals),
        Verb::Kill(args) => kill::kill(&args, globals),
        Verb::Rm(args) => rm::rm(&args, globals),
        Verb::Rename(args) => rename::rename(&args, globals),
        Verb::Ps(args) => ps::ps(&args, globals),
        Verb::Port(args) => port::port(&args, globals),
        Verb::Top(args) => top::top(&args, globals),
        Verb::Cp(args) => cp::cp(&args, globals),
        Verb::Logs(args) => logs::logs(&args, globals),
        Verb::Exec(args) => exec::exec(args, globals),
        Verb::Attach(args) => attach::attach(&args, globals),
        Verb::Wait(args) => wait::wait(&args, globals),
        Verb::Inspect(args) => inspect::inspect(&args, globals),
        Verb::Pull(args) => pull::pull(&args, globals),
        Verb::Push(args) => push::push(&args, globals),
        Verb::Login(args) => login::login(&args, globals),
        Verb::Logout(args) => login::logout(&args),
        Verb::Images(args) => images::images(&args, globals),
        Verb::Rmi(args) => rmi::rmi(&args, globals),
        Verb::Tag(args) => tag::tag(&args, globals),
        Verb::Load(args) => load::load(&args, globals),
        Verb::Build(args) => build::build(&args, globals),
        Verb::Builder(Family(verb)) => builder::builder(&verb, globals),
        Verb::Commit(args) => commit::commit(&args, globals),
        Verb::Export(args) => export::export(&args, globals),
        Verb::Diff(args) => diff::diff(&args, diff::Of::Any, globals),
        Verb::Import(args) => import::import(&args, globals),
        Verb::Untag(args) => untag::untag(&args, globals),
        Verb::History(args) => history::history(&args, globals),
        Verb::System(Family(verb)) => system::system(&verb, globals),
        Verb::Save(args) => save::save(&args, globals),
        Verb::Search(args) => search::search(&args),
        Verb::Manifest(Family(verb)) => manifest::manifest(&verb, globals),
        Verb::Image(Family(verb)) => dispatch_image(verb, globals),
        Verb::Container(Family(verb)) => dispatch_container(verb, globals),
        Verb::Healthcheck(Family(HealthcheckVerb::Run(args))) => healthcheck::run(&args, globals),
        Verb::Mount(args) => mount::mount(&args, globals),
        Verb::Unmount(args) => mount::unmount(&args, globals),
        Verb::Events(args) => events::events(&args, globals),
        Verb::Doctor(args) => doctor::doctor(&args, globals),
        Verb::Info(args) => info::info(&args, globals),
        Verb::Version(args) => version::version(&args),
        Verb::Secret(Family(verb)) => secret::dispatch(verb, globals),
        Verb::Volume(Family(verb)) => volume::dispatch(verb, globals),
        Verb::Network(Family(verb)) => network::dispatch(verb, globals),
        Verb::Unshare(args) => unshare::unshare(&args, globals),
        Verb::Oci(args) => oci::oci(args, globals),
        Verb::Completion(args) => complete::completion(&args),
    }
}

/// `box container …` is the same under another name.
fn dispatch_container(verb: ContainerVerb, globals: &Globals) -> Result<u8> {
    let verb = match verb {
        ContainerVerb::Run(args) => Verb::Run(args),
        ContainerVerb::Create(args) => Verb::Create(args),
        ContainerVerb::Start(args) => Verb::Start(args),
        ContainerVerb::Init(args) => Verb::Init(args),
        ContainerVerb::Clone(args) => return clone::clone(args, globals),
        ContainerVerb::Cleanup(args) => return cleanup::cleanup(&args, globals),
        ContainerVerb::Runlabel(args) => return runlabel::runlabel(&args, globals),
        ContainerVerb::Stop(args) => Verb::Stop(args),
        ContainerVerb::Restart(args) => Verb::Restart(args),
        ContainerVerb::Pause(args) => Verb::Pause(args),
        ContainerVerb::Unpause(args) => Verb::Unpause(args),
        ContainerVerb::Stats(args) => Verb::Stats(args),
        ContainerVerb::Update(args) => Verb::Update(args),
        ContainerVerb::Kill(args) => Verb::Kill(args),
        ContainerVerb::Rm(args) => Verb::Rm(args),
        ContainerVerb::Rename(args) => Verb::Rename(args),
        ContainerVerb::Ls(args) => Verb::Ps(args),
        ContainerVerb::Port(args) => Verb::Port(args),
        ContainerVerb::Top(args) => Verb::Top(args),
        ContainerVerb::Cp(args) => Verb::Cp(args),
        ContainerVerb::Healthcheck(args) => return healthcheck::run(&args, globals),
        ContainerVerb::Commit(args) => Verb::Commit(args),
        ContainerVerb::Export(args) => Verb::Export(args),
        ContainerVerb::Diff(args) => return diff::diff(&args, diff::Of::Container, globals),
        ContainerVerb::Prune(args) => return prune::prune(&args, globals),
        ContainerVerb::Logs(args) => Verb::Logs(args),
        ContainerVerb::Exec(args) => Verb::Exec(args),
        ContainerVerb::Attach(args) => Verb::Attach(args),
        ContainerVerb::Wait(args) => Verb::Wait(args),
        ContainerVerb::Inspect(args) => return inspect::container(args, globals),
        ContainerVerb::Mount(args) => Verb::Mount(args),
        ContainerVerb::Unmount(args) => Verb::Unmount(args),
        ContainerVerb::Exists(args) => return inspect::container_exists(&args, globals),
    };
    dispatch(verb, globals)
}

/// `box image …`, too.
fn dispatch_image(verb: ImageVerb, globals: &Globals) -> Result<u8> {
    let verb = match verb {
        ImageVerb::Build(args) => Verb::Build(args),
        ImageVerb::Pull(args) => Verb::Pull(args),
        ImageVerb::Push(args) => Verb::Push(args),
        ImageVerb::Save(args) => Verb::Save(args),
        ImageVerb::Search(args) => Verb::Search(args),
        ImageVerb::Sign(args) => return trust::sign(&args),
        ImageVerb::Trust(Family(verb)) => return trust::trust(&verb),
        ImageVerb::Attestation(args) => return trust::attestation(&args),
        ImageVerb::Ls(args) => Verb::Images(args),
        ImageVerb::Rm(args) => Verb::Rmi(args),
        ImageVerb::Tag(args) => Verb::Tag(args),
        ImageVerb::Load(args) => Verb::Load(args),
        ImageVerb::Diff(args) => return diff::diff(&args, diff::Of::Image, globals),
        ImageVerb::Import(args) => Verb::Import(args),
        ImageVerb::Untag(args) => Verb::Untag(args),
        ImageVerb::History(args) => Verb::History(args),
        ImageVerb::Prune(args) => return image::prune(&args, globals),
        ImageVerb::Scp(args) => return image::scp(&args, globals),
        ImageVerb::Tree(args) => return image::tree(&args, globals),
        ImageVerb::Inspect(args) => return inspect::image(args, globals),
        ImageVerb::Mount(args) => return mount::mount_image(&args, globals),
        ImageVerb::Unmount(args) => return mount::unmount_image(&args, globals),
        ImageVerb::Exists(args) => return inspect::image_exists(&args, globals),
    };
    dispatch(verb, globals)
}
