//! `run` and `create`.

use super::args::Globals;
use super::args::run::{Create, Run};
use super::output::print_line;
use super::progress::Shown;
use super::{defaults, descriptors, errors, explain, request, session};
use crate::base::error::{Fault, Kind, kind};
use crate::container::{self, Container, Mode, Started, Terminal};
use crate::engine::Engine;
use crate::monitor::AttachOptions;
use crate::sys::tty;
use anyhow::Result;
use std::os::fd::AsFd;

/// `box run`.
pub fn run(args: Run, globals: &Globals) -> Result<u8> {
    // Before anything is opened, which would be taken for one of them.
    let preserved = descriptors::preserved(&args.preserve, "run")?;
    let sig_proxy = args.sig_proxy;
    let attach = args.attach.clone();
    let wants = |stream: &str| attach.is_empty() || attach.iter().any(|word| word.eq_ignore_ascii_case(stream));
    let rmi = args.rmi;
    let understand = |container| request::of_run(Run { container, ..args.clone() });
    let understood = defaults::with(args.container.clone(), understand)?;
    let detach_keys = defaults::detach_keys(args.detach_keys.as_deref(), &understood.conf)?;
    if args.container.dry_run {
        return explain::explain(understood, args.container.explain, globals);
    }
    let request = understood.request;
    let mode = match request.detach {
        true => Mode::Detached,
        false => Mode::Attached(AttachOptions {
            stdin: request.interactive && wants("stdin") && !request.log_driver.passes(),
            stdout: wants("stdout"),
            stderr: wants("stderr"),
            tty: request.tty,
            detach_keys,
            sig_proxy,
        }),
    };
    if request.tty && request.interactive && !request.detach {
        warn_without_terminal();
    }
    let detached = request.detach;
    let engine = session::open(globals)?;
    let progress = Shown::new(request.quiet);
    let result = session::with_terminal(|terminal| {
        let terminal = Terminal { preserved: &preserved, ..terminal };
        container::run(&engine, request, &progress, mode, terminal)
    });
    if result.is_err() {
        progress.make_room();
    }
    let (container, started) = result?;
    match started {
        Started::Ended(end) => {
            if rmi {
                remove_image(&engine, &container);
            }
            return Ok(session::ended(&container, end));
        }
        Started::Running if detached => print_line(container.config.id.as_str())?,
        Started::Running => {}
    }
    Ok(0)
}

/// For `--rmi`: the image goes, unless another container stands on it.
pub fn remove_image(engine: &Engine, container: &Container) {
    if let Err(error) =
        container::remove_image(engine, &container.config.image_name(), crate::image::RemoveOptions::default())
        && kind(&error) != Kind::InUse
    {
        errors::report(&error);
    }
}

/// `box create`.
pub fn create(args: Create, globals: &Globals) -> Result<u8> {
    let understand = |container| request::of_create(Create { container, ..args.clone() });
    let understood = defaults::with(args.container.clone(), understand)?;
    if args.container.dry_run {
        return explain::explain(understood, args.container.explain, globals);
    }
    let request = understood.request;
    let engine = session::open(globals)?;
    let progress = Shown::new(request.quiet);
    let result = container::create(&engine, request, &progress);
    if result.is_err() {
        progress.make_room();
    }
    print_line(result?.config.id.as_str())?;
    Ok(0)
}

/// `-it` in a script works, but not as on a terminal.
pub fn warn_without_terminal() {
    if !tty::is_terminal(std::io::stdin().as_fd()) {
        let text = "stdin is not a terminal, so keys like Ctrl-C and the end of input do not act as they do on one";
        errors::warn(&Fault::new(Kind::Usage, text).hint("for bytes in and out: -i without -t"));
    }
}
