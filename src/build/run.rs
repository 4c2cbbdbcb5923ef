//! `RUN`: a command in a container of its own, like any other's; what it changes becomes a layer. In a worker.

use super::copy;
use super::request::{Entitlement, SecretSource};
use super::seal::{self, Times};
use super::shared;
use super::site::{Known, Site};
use super::step::{Files, RunMount, RunOp, Step};
use super::tree::{Tree, own_mounts};
use super::worker::Reporter;
use crate::base::digest::Digest;
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::lock::Lock;
use crate::base::temp::TempDir;
use crate::container::mounts::{Mount, Options, Overlay, Source as MountSource};
use crate::container::request::{LogDriver, PullPolicy, Request, Source};
use crate::container::rights::cdi;
use crate::container::secrets::{Delivery, Given};
use crate::container::{self, Mode, Started, Terminal};
use crate::dockerfile::mount::{Mount as Wanted, Owner, Sharing};
use crate::engine::Engine;
use crate::image::Silent;
use crate::monitor::AttachOptions;
use crate::network::NetworkMode;
use crate::store::StepResult;
use anyhow::{Context, Result};
use rustix::fs::{Gid, Mode as FileMode, Uid};
use std::path::{Path, PathBuf};

/// The host name that commands see: the same in all builds, as some write it down.
const HOSTNAME: &str = "build";
/// Where a script with an interpreter of its own lies.
const SCRIPTS: &str = "/dev/pipes";
/// Where a forwarded agent listens.
const AGENT: &str = "/run/buildkit/ssh_agent";
/// The path of commands where the image has none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Execute a command, unless it is known what that makes. `key` is the step's, if it is known.
pub fn run(site: &Site<'_>, step: &Step, op: &RunOp, key: Option<Digest>, reporter: &Reporter) -> Result<Known> {
    let store = &site.engine.store;
    let temp = TempDir::new(&site.engine.dirs)?;
    // Mounted here, the trees that are lent to the command are seen by it and by nobody else.
    own_mounts()?;
    let (layers, base_epoch) = site.layers(&step.base)?;
    let mut lent = Lent { site, temp: &temp, reporter, trees: Vec::new(), locks: Vec::new(), content: Vec::new() };
    let mounts = op.mounts.iter().map(|mount| lent.settle(mount)).collect::<Result<Vec<_>>>()?;
    let key = match key {
        Some(key) => key,
        None => site.content_key(step, &lent.content)?,
    };
    let _lock = store.lock_result(&key)?;
    if !step.no_cache
        && let Some(result) = site.result(&key)
    {
        reporter.cached();
        return Ok(Known { keys: vec![key], result });
    }
    shared::bring(site, &layers, reporter)?;
    store.unpack_kept(&layers)?;
    let epoch = site.request.epoch.unwrap_or(base_epoch);
    let changes = temp.path().join("changes");
    std::fs::create_dir(&changes).context("cannot make a folder")?;
    let mut request = request(site, op, epoch)?;
    request.source = Source::Layers { layers: layers.clone(), folder: changes.clone() };
    let mut targets: Vec<PathBuf> = Vec::new();
    for mount in mounts.into_iter().flatten() {
        targets.push(mount.target().to_owned());
        mount.give(&mut request);
    }
    if let Some((name, content)) = &op.file {
        let path = temp.path().join("script");
        std::fs::write(&path, content).context("cannot write the script")?;
        rustix::fs::chmod(&path, FileMode::from_raw_mode(0o755)).context("cannot write the script")?;
        let target = Path::new(SCRIPTS).join(name);
        request.mounts.push(Mount::new(MountSource::Bind { source: path }, &target));
        targets.push(target);
    }
    let since = now();
    execute(site.engine, request)?;
    let base = Tree::layers(store, &layers, &temp, "base")?;
    let targets: Vec<PathBuf> = targets.iter().map(|target| base.real_path(target)).collect();
    let made: Vec<&Path> =
        container::PLACES.iter().map(Path::new).chain(targets.iter().map(PathBuf::as_path)).collect();
    let sealed = seal::seal(store, site.engine.driver()?, &changes, &base, &made, Times { since, epoch })?;
    let mut result = StepResult::new(sealed.layer, sealed.size, 0, &step.name);
    if op.mounts.iter().any(|mount| matches!(mount.mount, Wanted::Cache { .. })) {
        result.kind = "exec.cachemount".to_owned();
    }
    store.keep_result(&key, &result)?;
    Ok(Known { keys: vec![key], result })
}

/// Run the container, and see how it ends.
pub fn execute(engine: &Engine, request: Request) -> Result<()> {
    let args = request.command.clone();
    let options = AttachOptions {
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false,
        detach_keys: Vec::new(),
        sig_proxy: false,
    };
    let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    let terminal = Terminal { stdin, stdout, stderr, preserved: &[] };
    let (_, started) = container::run(engine, request, &Silent, Mode::Attached(options), terminal)?;
    let shown = || args.join(" ");
    match started {
        Started::Ended(end) if end.code == 0 => Ok(()),
        Started::Ended(end) if end.out_of_memory => {
            Err(fault(Kind::Other, format!("process `{}` was killed: it needed more memory than it may have", shown())))
        }
        Started::Ended(end) => {
            let text = format!("process `{}` did not complete successfully: exit code: {}", shown(), end.code);
            Err(fault(Kind::CommandFailed(u8::try_from(end.code & 0xff).unwrap_or(1)), text))
        }
        Started::Running => Err(fault(Kind::Other, "the command was left behind")),
    }
}

/// What the container is asked for, but for its files.
fn request(site: &Site<'_>, op: &RunOp, epoch: i64) -> Result<Request> {
    let mut request = site.request.run.clone();
    request.entrypoint = Some(Vec::new());
    request.command = op.args.clone();
    request.env = [PATH.to_owned(), format!("SOURCE_DATE_EPOCH={epoch}")].into_iter().collect();
    request.env.extend(op.passing_env.iter().chain(&op.env).cloned());
    request.workdir = Some(op.workdir.clone());
    request.user = Some(op.user.clone()).filter(|user| !user.is_empty());
    request.hostname.get_or_insert_with(|| HOSTNAME.to_owned());
    request.remove = true;
    request.quiet = true;
    request.pull = PullPolicy::Never;
    request.log_driver = LogDriver::None;
    if let Some(mode) = op.network {
        if mode == "host" && !site.request.allow.contains(&Entitlement::NetworkHost) {
            return Err(not_allowed("--network=host", "network.host"));
        }
        request.network = Some(if mode == "host" { NetworkMode::Host } else { NetworkMode::None });
    }
    if request.network == Some(NetworkMode::Host) {
        request.hostname = None;
    }
    if op.insecure {
        if !site.request.allow.contains(&Entitlement::SecurityInsecure) {
            return Err(not_allowed("--security=insecure", "security.insecure"));
        }
        request.privileged = true;
    }
    for (name, required) in &op.devices {
        let allowed = |entitlement: &Entitlement| match entitlement {
            Entitlement::Device(None) => true,
            Entitlement::Device(Some(own)) => own == name,
            _ => false,
        };
        if !site.request.allow.iter().any(allowed) {
            return Err(not_allowed(&format!("--device={name}"), &format!("device={name}")));
        }
        if *required || cdi::find(std::slice::from_ref(name), &cdi::folders()).is_ok() {
            request.rights.device_names.push(name.clone());
        }
    }
    Ok(request)
}

fn not_allowed(flag: &str, entitlement: &str) -> anyhow::Error {
    let text = format!("`RUN {flag}` takes a right that the build was not given");
    Fault::new(Kind::Usage, text).hint(format!("box build --allow {entitlement} …")).into()
}

/// Something that a command is given.
enum Gift {
    Mount(Mount),
    Secret(Given),
    Agent(Mount, String),
}

impl Gift {
    fn target(&self) -> &Path {
        match self {
            Self::Mount(mount) | Self::Agent(mount, _) => &mount.target,
            Self::Secret(given) => match &given.delivery {
                Delivery::Mount { target, .. } => target,
                Delivery::Env { .. } => Path::new("/"),
            },
        }
    }

    fn give(self, request: &mut Request) {
        match self {
            Self::Mount(mount) => request.mounts.push(mount),
            Self::Secret(given) => request.secrets.push(given),
            Self::Agent(mount, variable) => {
                request.mounts.push(mount);
                request.env.push(variable);
            }
        }
    }
}

/// What is lent to the commands of one step.
struct Lent<'a> {
    site: &'a Site<'a>,
    temp: &'a TempDir,
    reporter: &'a Reporter,
    /// What is mounted until the command has ended.
    trees: Vec<Tree>,
    /// Caches that nobody else may use meanwhile.
    locks: Vec<Lock>,
    /// Digests of what comes from contexts.
    content: Vec<Digest>,
}

impl Lent<'_> {
    /// Make a mount ready; a secret can be two things.
    fn settle(&mut self, wanted: &RunMount) -> Result<Vec<Gift>> {
        Ok(match &wanted.mount {
            Wanted::Bind { source, target, writable, .. } => {
                let from = wanted.from.as_ref().context("a bind mount comes from nowhere")?;
                let source = self.place(from, source)?;
                let mut mount = Mount::new(MountSource::Bind { source }, absolute(target));
                mount.options.read_only = !writable;
                // What is written is for nobody to see.
                mount.options.overlay = writable.then(Overlay::default);
                vec![Gift::Mount(mount)]
            }
            Wanted::Cache { id, source, target, read_only, sharing, owner, .. } => {
                let folder = self.cache(id, wanted.from.as_ref(), source, *sharing, *owner)?;
                let mut mount = Mount::new(MountSource::Bind { source: folder }, absolute(target));
                mount.options.read_only = *read_only;
                vec![Gift::Mount(mount)]
            }
            Wanted::Tmpfs { target, size, read_only } => {
                let mut options = Options { read_only: *read_only, no_copy: true, ..Options::default() };
                if *size > 0 {
                    options.data.push(format!("size={size}"));
                }
                vec![Gift::Mount(Mount { target: absolute(target), source: MountSource::Tmpfs, options })]
            }
            Wanted::Secret { id, target, env, required, owner } => {
                self.secret(id, target.as_deref(), env.as_deref(), *required, *owner)?
            }
            Wanted::Ssh { id, target, required, owner: _ } => self.agent(id, target.as_deref(), *required)?,
        })
    }

    /// A path in a stage, an image or a context, for a bind mount: no link leads out of it.
    fn place(&mut self, from: &Files, path: &str) -> Result<PathBuf> {
        let store = &self.site.engine.store;
        let layers = match from {
            Files::Base(base) => self.site.layers(base)?.0,
            Files::Context(number) => {
                let (content, layer) = copy::context_layer(self.site, *number, path)?;
                self.content.push(content);
                layer.into_iter().collect()
            }
        };
        shared::bring(self.site, &layers, self.reporter)?;
        store.unpack_kept(&layers)?;
        let tree = Tree::layers(store, &layers, self.temp, &format!("tree{}", self.trees.len()))?;
        let path = Path::new("/").join(path);
        let real = tree.real_path(&path);
        let found = tree.path.join(real.strip_prefix("/").unwrap_or(&real));
        if !found.exists() {
            return Err(fault(Kind::Usage, format!("cannot mount `{}`: it is not there", path.display())));
        }
        self.trees.push(tree);
        Ok(found)
    }

    /// The folder of a cache mount, made if it is not there.
    fn cache(
        &mut self,
        id: &str,
        from: Option<&Files>,
        source: &str,
        sharing: Sharing,
        owner: Owner,
    ) -> Result<PathBuf> {
        let folder = super::cache_mount::folder(&self.site.engine.dirs, id);
        let (folder, lock) = super::cache_mount::take(&folder, sharing)?;
        self.locks.extend(lock);
        if !folder.is_dir() {
            let initial = match self.site.shared.mount(id) {
                Some(layer) => Some(self.imported(layer)?),
                None => from.map(|from| self.place(from, source)).transpose()?,
            };
            super::cache_mount::make(&folder, initial.as_deref(), owner)?;
        }
        Ok(folder)
    }

    /// The files that a cache begins with, where another machine has kept them.
    fn imported(&self, layer: &Digest) -> Result<PathBuf> {
        let store = &self.site.engine.store;
        let layers = std::slice::from_ref(layer);
        shared::bring(self.site, layers, self.reporter)?;
        store.unpack_kept(layers)?;
        // It is copied, and nothing needs it then.
        store.note_garbage();
        Ok(store.layer_path(layer))
    }

    fn secret(
        &self,
        id: &str,
        target: Option<&str>,
        variable: Option<&str>,
        required: bool,
        owner: Owner,
    ) -> Result<Vec<Gift>> {
        let Some(secret) = self.site.request.secrets.iter().find(|secret| secret.id == id) else {
            if !required {
                return Ok(Vec::new());
            }
            let text = format!("secret `{}` was not given", id.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint(format!("box build --secret id={id},src=FILE …")).into());
        };
        let value = match &secret.source {
            SecretSource::File(path) => crate::base::fs::read_limited(path, 1 << 20)
                .with_context(|| format!("cannot read the secret `{}` from `{}`", id.escape_debug(), path.display()))?,
            SecretSource::Env(name) => env::by_name(name)
                .map(String::into_bytes)
                .ok_or_else(|| fault(Kind::Usage, format!("secret `{id}`: there is no variable `{name}`")))?,
        };
        let given = |delivery| Gift::Secret(Given { name: id.to_owned(), delivery, value: Some(value.clone()) });
        let file = target.map(|target| Delivery::Mount {
            target: absolute(target),
            uid: owner.uid.unwrap_or(0),
            gid: owner.gid.unwrap_or(0),
            mode: owner.mode.unwrap_or(0o400),
        });
        let variable = variable.map(|name| Delivery::Env { target: name.to_owned() });
        Ok(file.into_iter().chain(variable).map(given).collect())
    }

    /// The socket of an agent.
    fn agent(&self, id: &str, target: Option<&str>, required: bool) -> Result<Vec<Gift>> {
        let Some(ssh) = self.site.request.ssh.iter().find(|ssh| ssh.id == id) else {
            if !required {
                return Ok(Vec::new());
            }
            let text = format!("ssh agent `{}` was not given", id.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint(format!("box build --ssh {id} …")).into());
        };
        let socket = match ssh.paths.as_slice() {
            [] => env::by_name("SSH_AUTH_SOCK").map(PathBuf::from).ok_or_else(|| {
                Fault::new(Kind::Host, "there is no SSH agent: $SSH_AUTH_SOCK is not set").hint("eval $(ssh-agent)")
            })?,
            [path] if is_socket(path) => path.clone(),
            keys => super::agent::with_keys(self.temp, keys)?,
        };
        let target = target.map_or_else(|| PathBuf::from(format!("{AGENT}.{}", id.escape_debug())), absolute);
        let variable = format!("SSH_AUTH_SOCK={}", target.display());
        Ok(vec![Gift::Agent(Mount::new(MountSource::Bind { source: socket }, target), variable)])
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

fn absolute(target: impl AsRef<Path>) -> PathBuf {
    Path::new("/").join(target)
}

/// Give a fresh folder its owner.
pub(super) fn own(folder: &Path, owner: Owner) -> Result<()> {
    let deed = || format!("cannot make the cache folder `{}`", folder.display());
    let (uid, gid) = (Uid::from_raw(owner.uid.unwrap_or(0)), Gid::from_raw(owner.gid.unwrap_or(0)));
    rustix::fs::chown(folder, Some(uid), Some(gid)).with_context(deed)?;
    rustix::fs::chmod(folder, FileMode::from_raw_mode(owner.mode.unwrap_or(0o755))).with_context(deed)
}

/// Seconds since 1970.
fn now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}
