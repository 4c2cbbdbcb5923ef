//! From a Dockerfile to a graph of steps: which stages the target needs, what each instruction does, and the config
//! that comes out. Pure but for the images that stages begin with, which the caller finds.
//!
//! moby/buildkit `frontend/dockerfile/dockerfile2llb`.

use super::context::GitUrl;
use super::lint;
use super::request::{BuildRequest, NoCache};
use super::settings::Settings;
use super::step::{Base, CopyOp, Files, FolderOp, Op, RunMount, RunOp, Step, StepId, Unpack};
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::dockerfile::command::{Network, Script, Security};
use crate::dockerfile::expand::Lexer;
use crate::dockerfile::mount::Mount;
use crate::dockerfile::scope::{Globals, Scope};
use crate::dockerfile::{Dockerfile, Instruction, Mistake, Op as Said, Span, parse_trigger, tree};
use crate::image::Image;
use crate::oci::image::History;
use crate::oci::platform::Platform;
use crate::registry::is_url;
use anyhow::Result;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The time of what comes from nothing, seconds since 1970: no archive of any kind can hold an earlier one.
pub const OLDEST: i64 = 315_532_800;

/// What the planner asks of the world.
pub trait Sources {
    /// An image by name, for a platform, and its config as it is written; `None` if it must be pulled first.
    fn image(&mut self, name: &str, platform: &Platform) -> Result<Option<Found>>;
    /// A named context.
    fn context(&self, name: &str) -> Option<Named>;
}

/// An image, and its config as it is written.
pub type Found = (Image, Map<String, Value>);

/// A named context.
#[derive(Debug, Clone)]
pub enum Named {
    /// A folder, by its number.
    Folder(usize),
    /// An image, by its name in the store.
    Image(String),
}

/// What is to be done, and what comes out.
#[derive(Debug)]
pub struct Plan {
    /// The steps, each after those that it stands on.
    pub steps: Vec<Step>,
    /// The files of the target.
    pub base: Base,
    /// Its config.
    pub settings: Settings,
    /// The history that it adds to its base's, and the step of each entry that may have a layer.
    pub history: Vec<(History, Option<StepId>)>,
    /// The image that the target begins with, if it does.
    pub image: Option<Image>,
    /// Images that must be pulled before there can be a plan: with each its platform.
    pub missing: Vec<(String, Platform)>,
    /// Secrets and so on that were used and are nowhere declared: names of build arguments that nothing consumed.
    pub unused_args: Vec<String>,
}

impl Plan {
    /// The ids of the cache mounts that steps ask for.
    pub fn caches(&self) -> BTreeSet<String> {
        let runs = self.steps.iter().filter_map(|step| if let Op::Run(run) = &step.op { Some(run) } else { None });
        let id = |mount: &RunMount| if let Mount::Cache { id, .. } = &mount.mount { Some(id.clone()) } else { None };
        runs.flat_map(|run| run.mounts.iter().filter_map(id)).collect()
    }
}

/// Plan a build for one platform. `contexts[0]` is the build's own context.
pub fn plan(
    dockerfile: &Dockerfile,
    request: &BuildRequest,
    platform: &Platform,
    sources: &mut dyn Sources,
) -> Result<Plan> {
    let target = target(dockerfile, request.target.as_deref())?;
    let name = dockerfile.stages.get(target).and_then(|stage| stage.name.as_deref());
    let given: BTreeMap<String, String> = request.args.iter().cloned().collect();
    let mut globals = Globals::new(&Platform::host(), platform, name, given);
    let escape = dockerfile.directives.escape;
    for instruction in &dockerfile.args {
        let Said::Arg(arguments) = &instruction.op else { continue };
        for argument in arguments {
            globals.declare(argument, escape).map_err(|mistake| dockerfile.fault(instruction.span, mistake))?;
        }
    }
    let mut planner = Planner {
        dockerfile,
        request,
        platform,
        sources,
        globals,
        stages: BTreeMap::new(),
        steps: Vec::new(),
        missing: Vec::new(),
        declared: BTreeSet::new(),
    };
    let state = planner.stage(target)?;
    let declared = &planner.declared;
    let global = |name: &String| {
        dockerfile.args.iter().any(|arg| matches!(&arg.op, Said::Arg(list) if list.iter().any(|arg| arg.name == *name)))
    };
    let proxies: BTreeSet<&str> = planner.globals.proxies().map(|(name, _)| name).collect();
    let unused = |name: &&String| {
        !declared.contains(*name)
            && !global(name)
            && !proxies.contains(name.as_str())
            && !name.starts_with("BUILDKIT_")
            && planner.globals.get(name).is_none()
    };
    let unused_args = planner.globals.given().keys().filter(unused).cloned().collect();
    Ok(Plan {
        steps: planner.steps,
        base: state.base,
        settings: state.settings,
        history: state.history,
        image: state.image,
        missing: planner.missing,
        unused_args,
    })
}

/// The stage that is asked for, by name or number.
fn target(dockerfile: &Dockerfile, name: Option<&str>) -> Result<usize> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let Some(name) = name else { return Ok(last) };
    let number = || name.parse().ok().filter(|number| *number <= last);
    dockerfile.stage_named(name, dockerfile.stages.len()).or_else(number).ok_or_else(|| {
        let names = dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
        let fault = Fault::new(Kind::Usage, format!("there is no stage `{}`", name.escape_debug()));
        match crate::base::nearest::nearest_of(name, names.clone()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")).into(),
            None => {
                let names: Vec<&str> = names.collect();
                fault.hint(format!("the stages are: {}", names.join(", "))).into()
            }
        }
    })
}

struct Planner<'a> {
    dockerfile: &'a Dockerfile,
    request: &'a BuildRequest,
    platform: &'a Platform,
    sources: &'a mut dyn Sources,
    globals: Globals,
    /// Stages that were planned.
    stages: BTreeMap<usize, State>,
    steps: Vec<Step>,
    missing: Vec<(String, Platform)>,
    /// The names of all `ARG`s.
    declared: BTreeSet<String>,
}

/// A stage at a place in it.
#[derive(Debug, Clone)]
struct State {
    base: Base,
    settings: Settings,
    scope: Scope,
    history: Vec<(History, Option<StepId>)>,
    image: Option<Image>,
    /// What steps are called: the stage, this one's number and how many there are.
    name: String,
    number: usize,
    count: usize,
    no_cache: bool,
}

impl Planner<'_> {
    /// Plan a stage, and those that it needs.
    fn stage(&mut self, index: usize) -> Result<State> {
        if let Some(state) = self.stages.get(&index) {
            return Ok(state.clone());
        }
        let Some(stage) = self.dockerfile.stages.get(index) else {
            return Err(fault(Kind::Usage, "the Dockerfile has no stage"));
        };
        let mut state = self.begin(index, stage)?;
        let triggers = state.settings.take_triggers();
        let at = |mistake: Mistake| self.dockerfile.fault(stage.span, mistake);
        let triggers = triggers.iter().map(|text| parse_trigger(text)).collect::<Result<Vec<_>, _>>().map_err(at)?;
        let instructions: Vec<&Instruction> = triggers.iter().chain(&stage.instructions).collect();
        let counts = |op: &Said| matches!(op, Said::Run(_) | Said::Copy(_) | Said::Add(_) | Said::Workdir(_));
        state.count = 1 + instructions.iter().filter(|instruction| counts(&instruction.op)).count();
        let triggered = triggers.len();
        for (number, instruction) in instructions.into_iter().enumerate() {
            // One of the base has no place in this file: the `FROM` that brought it has.
            let span = if number < triggered { stage.span } else { instruction.span };
            self.dispatch(&mut state, instruction, span)?;
        }
        self.stages.insert(index, state.clone());
        Ok(state)
    }

    /// What a stage begins with.
    fn begin(&mut self, index: usize, stage: &tree::Stage) -> Result<State> {
        let at = |mistake: Mistake| self.dockerfile.fault(stage.span, mistake);
        let lexer = Lexer::new(self.dockerfile.directives.escape);
        let expand = |text: &str| lexer.expand(text, &|name| self.globals.get(name)).map(|found| found.text);
        let mut base = expand(&stage.base).map_err(at)?;
        if base.is_empty() {
            let text = format!("the base `{}` comes to nothing", stage.base);
            return Err(at(Mistake::new(text).hint("give it: --build-arg NAME=VALUE")));
        }
        if let Some(from) = self.request.from.as_ref().filter(|_| index == 0) {
            base.clone_from(from);
        }
        let platform = match &stage.platform {
            Some(text) => match expand(text).map_err(at)?.as_str() {
                "" => self.platform.clone(),
                text => Platform::parse(text)?,
            },
            None => self.platform.clone(),
        };
        let name = stage.name.clone().unwrap_or_else(|| format!("stage-{index}"));
        let named =
            |names: &[String]| names.iter().any(|own| own.eq_ignore_ascii_case(&name) || own.parse() == Ok(index));
        let no_cache = match &self.request.no_cache {
            NoCache::Never => false,
            NoCache::All => true,
            NoCache::Stages(names) => named(names),
        };
        let shown = if self.dockerfile.stages.len() == 1 { String::new() } else { format!("{name} ") };
        let state = |base, settings: Settings, scope, history, image| State {
            base,
            settings: if self.request.drop_labels { settings.without_labels() } else { settings },
            scope,
            history,
            image,
            name: shown.clone(),
            number: 1,
            count: 1,
            no_cache,
        };
        if let Some(other) = self.dockerfile.stage_named(&base, index) {
            let other = self.stage(other)?;
            let settings = Settings::of_stage(&other.settings);
            return Ok(state(other.base, settings, other.scope, other.history, other.image));
        }
        if base == "scratch" && self.sources.context(&base).is_none() {
            let settings = Settings::new(&platform);
            let scope = Scope::of_image(settings.env().iter().map(String::as_str));
            let nothing = Base::Layers { layers: Vec::new(), epoch: OLDEST };
            return Ok(state(nothing, settings, scope, Vec::new(), None));
        }
        let (files, image) = self.files(&base, &platform)?;
        let (Files::Base(files), settings, image) = (match image {
            Some((image, document)) => (files, Settings::of_image(document), Some(image)),
            None => (files, Settings::new(&platform), None),
        }) else {
            let text = format!("`{base}` is a folder: a stage begins with an image or another stage");
            return Err(at(Mistake::new(text).hint("FROM scratch, then COPY --from=NAME")));
        };
        let scope = Scope::of_image(settings.env().iter().map(String::as_str));
        Ok(state(files, settings, scope, Vec::new(), image))
    }

    /// What a name that is no stage means: a named context, or an image.
    fn files(&mut self, name: &str, platform: &Platform) -> Result<(Files, Option<Found>)> {
        let name = match self.sources.context(name) {
            Some(Named::Folder(number)) => return Ok((Files::Context(number), None)),
            Some(Named::Image(image)) => image,
            None => name.to_owned(),
        };
        let found = self.sources.image(&name, platform);
        match found.map_err(|error| lint::no_image(self.dockerfile, &name, error))? {
            Some((image, document)) => {
                let layers = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
                let epoch: i64 = image
                    .config
                    .created
                    .as_deref()
                    .and_then(time::parse_rfc3339)
                    .map_or(0, |time| time / 1_000_000_000);
                Ok((Files::Base(Base::Layers { layers, epoch: epoch.max(OLDEST) }), Some((image, document))))
            }
            None => {
                let wanted = (name, platform.clone());
                if !self.missing.contains(&wanted) {
                    self.missing.push(wanted);
                }
                // There will be another plan when it is there.
                Ok((Files::Base(Base::Layers { layers: Vec::new(), epoch: OLDEST }), None))
            }
        }
    }

    /// What `--from` means.
    fn from(&mut self, state: &State, name: Option<&str>, stage: Option<usize>, span: Span) -> Result<Files> {
        let Some(name) = name else { return Ok(Files::Context(0)) };
        let before = stage.unwrap_or(self.dockerfile.stages.len());
        let number = || name.parse::<usize>().ok();
        let found = self.dockerfile.stage_named(name, before).or_else(number);
        match found {
            Some(index) if index < before => Ok(Files::Base(self.stage(index)?.base)),
            Some(index) => {
                let text = format!("stage {index} comes later, or not at all: only earlier ones can be copied from");
                Err(self.dockerfile.fault(span, Mistake::new(text)))
            }
            None if self.dockerfile.stage_named(name, self.dockerfile.stages.len()).is_some() => {
                let itself = stage.and_then(|index| self.dockerfile.stages.get(index)?.name.as_deref());
                let text = if itself.is_some_and(|own| own.eq_ignore_ascii_case(name)) {
                    format!("stage `{name}` cannot copy from itself")
                } else {
                    format!("stage `{name}` comes later: only earlier ones can be copied from")
                };
                Err(self.dockerfile.fault(span, Mistake::new(text)))
            }
            None if name == "scratch" && self.sources.context(name).is_none() => {
                Ok(Files::Base(Base::Layers { layers: Vec::new(), epoch: OLDEST }))
            }
            None => {
                let _ = state;
                let platform = self.platform.clone();
                Ok(self.files(name, &platform)?.0)
            }
        }
    }

    /// One instruction.
    fn dispatch(&mut self, state: &mut State, instruction: &Instruction, span: Span) -> Result<()> {
        let at = |mistake: Mistake| self.dockerfile.fault(span, mistake);
        let escape = self.dockerfile.directives.escape;
        if let Said::Arg(arguments) = &instruction.op {
            for argument in arguments {
                state.scope.declare(argument, &self.globals, escape).map_err(at)?;
                self.declared.insert(argument.name.clone());
            }
            return self.note(state, &instruction.source, None);
        }
        let scope = &state.scope;
        let resolved = instruction.expand(escape, &|name| scope.get(name)).map_err(at)?;
        let settings = &mut state.settings;
        match &resolved.op {
            Said::Run(run) => return self.run(state, run, instruction, span),
            Said::Copy(copy) => return self.copy(state, copy, instruction, span),
            Said::Add(add) => return self.add(state, add, instruction, span),
            Said::Workdir(path) => {
                settings.set_workdir(path);
                let op = FolderOp { path: settings.workdir().into(), user: settings.user().to_owned() };
                let step = self.step(state, Op::Folder(op), &instruction.source, span);
                return self.note(state, &format!("WORKDIR {}", state.settings.workdir()), Some(step));
            }
            Said::Env(pairs) => {
                for pair in pairs {
                    settings.set_env(&pair.name, &pair.value)?;
                    state.scope.set(&pair.name, &pair.value);
                }
            }
            Said::Label(pairs) => pairs.iter().for_each(|pair| settings.set_label(&pair.name, &pair.value)),
            Said::Cmd(command) => settings.set_command(command),
            Said::Entrypoint(command) => settings.set_entrypoint(command),
            Said::Expose(ports) => {
                for port in ports {
                    let parsed = crate::dockerfile::ports::parse(port).map_err(&at)?;
                    parsed.ports.iter().for_each(|port| settings.expose(port));
                }
            }
            Said::User(user) => settings.set_user(user),
            Said::Volume(paths) => paths.iter().for_each(|path| settings.add_volume(path)),
            Said::StopSignal(signal) => {
                crate::base::signal::parse(signal).map_err(|error| at(Mistake::new(error.to_string())))?;
                settings.set_stop_signal(signal);
            }
            Said::HealthCheck(check) => settings.set_health_check(check),
            Said::Shell(words) => settings.set_shell(words),
            Said::OnBuild(trigger) => settings.add_trigger(&trigger.text),
            Said::Maintainer(name) => settings.set_author(name),
            Said::Arg(_) => {}
        }
        self.note(state, &instruction.source, None)
    }

    /// An entry of the history.
    fn note(&self, state: &mut State, text: &str, step: Option<StepId>) -> Result<()> {
        let entry = History {
            created_by: Some(text.to_owned()),
            comment: Some("box.dockerfile.v1".to_owned()),
            empty_layer: true,
            ..History::default()
        };
        state.history.push((entry, step));
        Ok(())
    }

    /// A step of the graph, on which the stage goes on.
    fn step(&mut self, state: &mut State, op: Op, shown: &str, span: Span) -> StepId {
        state.number += 1;
        let name = format!("[{}{}/{}] {shown}", state.name, state.number, state.count);
        let step = Step { name, span, base: state.base.clone(), op, no_cache: state.no_cache };
        let id = StepId(self.steps.len());
        self.steps.push(step);
        state.base = Base::Step(id);
        id
    }

    fn run(
        &mut self,
        state: &mut State,
        run: &crate::dockerfile::command::Run,
        instruction: &Instruction,
        span: Span,
    ) -> Result<()> {
        let index = self.index_of(span);
        let mut mounts = Vec::new();
        let wanted = run.mounts().map_err(|mistake| self.dockerfile.fault(span, mistake))?;
        for mut mount in wanted {
            let from = match &mut mount {
                Mount::Bind { from, target, .. } => {
                    *target = state.settings.absolute(target);
                    Some(self.from(state, from.as_deref(), index, span)?)
                }
                Mount::Cache { from, target, .. } => {
                    *target = state.settings.absolute(target);
                    from.as_deref().map(|from| self.from(state, Some(from), index, span)).transpose()?
                }
                Mount::Tmpfs { target, .. } => {
                    *target = state.settings.absolute(target);
                    None
                }
                Mount::Secret { target, .. } | Mount::Ssh { target, .. } => {
                    *target = target.as_ref().map(|target| state.settings.absolute(target));
                    None
                }
            };
            mounts.push(RunMount { from, mount });
        }
        let (args, file) = match run.script() {
            Script::Shell(text) => (state.settings.words(&crate::dockerfile::command::Command::Shell(text)), None),
            Script::Exec(words) => (words, None),
            Script::File { name, content } => (vec![format!("/dev/pipes/{name}")], Some((name, content))),
        };
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        let op = RunOp {
            env: state.scope.environment().iter().map(pair).collect(),
            passing_env: self.globals.proxies().map(|(name, value)| format!("{name}={value}")).collect(),
            workdir: state.settings.workdir().to_owned(),
            user: state.settings.user().to_owned(),
            mounts,
            network: match run.network {
                Network::Default => None,
                Network::None => Some("none"),
                Network::Host => Some("host"),
            },
            insecure: run.security == Security::Insecure,
            devices: run.devices.iter().map(|device| (device.name.clone(), device.required)).collect(),
            epoch: self.request.epoch,
            args: args.clone(),
            file,
        };
        let step = self.step(state, Op::Run(op), &instruction.source, span);
        // As docker writes it: how many arguments there were, and what they were worth.
        let arguments: Vec<String> = state
            .scope
            .arguments()
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?)))
            .collect();
        let given = match arguments.len() {
            0 => String::new(),
            count => format!("|{count} {} ", arguments.join(" ")),
        };
        self.note(state, &format!("RUN {given}{}", args.join(" ")), Some(step))
    }

    fn copy(&mut self, state: &mut State, copy: &tree::Copy, instruction: &Instruction, span: Span) -> Result<()> {
        let index = self.index_of(span);
        let from = self.from(state, copy.from.as_deref(), index, span)?;
        let op = CopyOp {
            from,
            from_name: copy.from.clone(),
            sources: copy.sources.clone(),
            inline: copy.files.iter().map(|file| (file.name.clone(), file.content.clone())).collect(),
            remote: Vec::new(),
            dest: destination(&state.settings, &copy.dest, copy.sources.len() + copy.files.len()),
            chown: copy.chown.clone(),
            chmod: copy.chmod.clone(),
            link: copy.link,
            parents: copy.parents,
            exclude: copy.exclude.clone(),
            unpack: Unpack::Never,
            checksum: None,
            keep_git_dir: false,
        };
        let step = self.step(state, Op::Copy(op), &instruction.source, span);
        self.note(state, &instruction.source, Some(step))
    }

    fn add(&mut self, state: &mut State, add: &tree::Add, instruction: &Instruction, span: Span) -> Result<()> {
        let (remote, sources): (Vec<String>, Vec<String>) =
            add.sources.iter().cloned().partition(|source| is_url(source) || GitUrl::is_one(source));
        let op = CopyOp {
            from: Files::Context(0),
            from_name: None,
            sources,
            inline: add.files.iter().map(|file| (file.name.clone(), file.content.clone())).collect(),
            remote,
            dest: destination(&state.settings, &add.dest, add.sources.len() + add.files.len()),
            chown: add.chown.clone(),
            chmod: add.chmod.clone(),
            link: add.link,
            parents: false,
            exclude: add.exclude.clone(),
            unpack: match add.unpack {
                None => Unpack::Local,
                Some(true) => Unpack::All,
                Some(false) => Unpack::Never,
            },
            checksum: add.checksum.clone(),
            keep_git_dir: add.keep_git_dir.unwrap_or(false),
        };
        let step = self.step(state, Op::Copy(op), &instruction.source, span);
        self.note(state, &instruction.source, Some(step))
    }

    /// Which stage a place in the file is in.
    fn index_of(&self, span: Span) -> Option<usize> {
        self.dockerfile.stages.iter().rposition(|stage| stage.span.line <= span.line)
    }
}

/// Where a copy goes, absolute; with a slash at its end it is a folder.
fn destination(settings: &Settings, dest: &str, sources: usize) -> String {
    let folder = dest.ends_with('/') || dest == "." || dest.ends_with("/.") || sources > 1;
    let path = settings.absolute(dest);
    if folder && path != "/" { format!("{path}/") } else { path }
}
