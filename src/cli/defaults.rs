//! What containers.conf says where the command line of `run` and `create` says nothing.
//!
//! Its keys are words of options, so they go where those of the command line go, before anything is understood.

use super::args::Verb;
use super::args::run::ContainerOptions;
use super::args::tree::Family;
use super::args::{Cli, ContainerVerb};
use crate::base::env;
use crate::base::error::{Kind, fault};
use crate::base::units::parse_bytes;
use crate::config::containers::Containers;
use crate::container::request::Request;
use crate::events;
use crate::monitor::parse_detach_keys;
use crate::network::prefix::Prefix;
use anyhow::{Context, Result};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The options that were typed, and what the configuration adds to them.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// The options that were typed, by the names of their fields.
    pub given: Vec<String>,
    /// The options that are from the configuration, by the names of their fields: the key of each.
    pub keys: BTreeMap<&'static str, String>,
    /// Variables that even the image's win over.
    pub env: Vec<String>,
    /// Capabilities in place of the built-in ones.
    pub capabilities: Option<Vec<String>>,
    /// Seconds of patience where neither the command line nor the image says.
    pub stop_timeout: Option<u64>,
    /// `host_containers_internal_ip`.
    pub host_address: Option<String>,
    /// `log_path`.
    pub log_folder: Option<PathBuf>,
    /// `default_host_ips`.
    pub host_ips: Vec<IpAddr>,
    /// `container_name_as_hostname`.
    pub name_as_hostname: bool,
}

/// Where a key's words go.
enum Place<'a> {
    /// One word, unless there is one.
    One(&'a mut Option<String>),
    /// The same, of these.
    Of(&'a mut Option<String>, &'static [&'static str]),
    /// Before those that were typed, but for the keys that were; with this before each word.
    Before(&'a mut Vec<String>, &'static str),
    /// In place of those that were not typed.
    Instead(&'a mut Vec<String>),
    /// A switch, unless it was typed.
    Switch(&'a mut bool),
    /// True or false, unless it was typed.
    Bool(&'a mut Option<bool>),
    /// A number, unless it was typed.
    Number(&'a mut Option<i32>),
}

/// The keys that are options: the field's name and its place.
fn place<'a>(key: &str, o: &'a mut ContainerOptions) -> Option<(&'static str, Place<'a>)> {
    use Place::{Before, Bool, Instead, Number, Of, One, Switch};
    Some(match key {
        "containers.annotations" => ("annotation", Before(&mut o.rights.annotation, "")),
        "containers.apparmor_profile" => ("security_opt", Before(&mut o.rights.security_opt, "apparmor=")),
        "containers.base_hosts_file" => ("hosts_file", One(&mut o.net.hosts_file)),
        "containers.cgroup_conf" => ("cgroup_conf", Before(&mut o.limits.cgroup_conf, "")),
        "containers.cgroupns" => ("cgroupns", Of(&mut o.limits.cgroupns, &["private", "host"])),
        "containers.cgroups" => ("cgroups", Of(&mut o.limits.cgroups, &["enabled", "disabled", "no-conmon", "split"])),
        "containers.default_sysctls" => ("sysctl", Before(&mut o.rights.sysctl, "")),
        "containers.default_ulimits" => ("ulimit", Before(&mut o.limits.ulimit, "")),
        "containers.devices" => ("device", Before(&mut o.rights.device, "")),
        "containers.dns_options" => ("dns_option", Instead(&mut o.net.dns_option)),
        "containers.dns_searches" => ("dns_search", Instead(&mut o.net.dns_search)),
        "containers.dns_servers" => ("dns", Instead(&mut o.net.dns)),
        "containers.env_host" => ("env_host", Switch(&mut o.env_host)),
        "containers.http_proxy" => ("http_proxy", Bool(&mut o.net.http_proxy)),
        "containers.init" => ("init", Switch(&mut o.init)),
        "containers.ipcns" => ("ipc", One(&mut o.rights.ipc)),
        "containers.log_driver" => ("log_driver", Of(&mut o.log_driver, &super::args::run::LOG_DRIVERS)),
        "containers.log_size_max" => ("log_opt", Before(&mut o.life.log_opt, "max-size=")),
        "containers.log_tag" => ("log_opt", Before(&mut o.life.log_opt, "tag=")),
        "containers.mounts" => ("mount", Before(&mut o.mount, "")),
        "containers.no_hosts" => ("no_hosts", Switch(&mut o.net.no_hosts)),
        "containers.oom_score_adj" => ("oom_score_adj", Number(&mut o.limits.oom_score_adj)),
        "containers.pidns" => ("pid", One(&mut o.rights.pid)),
        "containers.pids_limit" => ("pids_limit", One(&mut o.limits.resources.pids_limit)),
        "containers.privileged" => ("privileged", Switch(&mut o.rights.privileged)),
        "containers.read_only" => ("read_only", Switch(&mut o.read_only)),
        "containers.seccomp_profile" => ("security_opt", Before(&mut o.rights.security_opt, "seccomp=")),
        "containers.shm_size" => ("shm_size", One(&mut o.limits.shm_size)),
        "containers.tz" => ("tz", One(&mut o.tz)),
        "containers.umask" => ("umask", One(&mut o.rights.umask)),
        "containers.userns" => ("userns", One(&mut o.rights.userns)),
        "containers.utsns" => ("uts", One(&mut o.rights.uts)),
        "containers.volumes" => ("volume", Before(&mut o.volume, "")),
        "engine.image_volume_mode" => ("image_volume", One(&mut o.image_volume)),
        "engine.pull_policy" => ("pull", Of(&mut o.pull, &["always", "missing", "never", "newer"])),
        "engine.retry" => ("retry", One(&mut o.retry.retry)),
        "engine.retry_delay" => ("retry_delay", One(&mut o.retry.retry_delay)),
        "engine.runtime" => ("runtime", One(&mut o.rights.runtime)),
        _ => return None,
    })
}

/// The keys that have an effect without being an option, or elsewhere than in `run` and `create`.
const OTHERS: [&str; 22] = [
    "containers.container_name_as_hostname",
    "containers.default_capabilities",
    "containers.env",
    "containers.host_containers_internal_ip",
    "containers.log_path",
    "containers.netns",
    "engine.compression_format",
    "engine.compression_level",
    "engine.detach_keys",
    "engine.events_logfile_max_size",
    "engine.events_logfile_path",
    "engine.events_logger",
    "engine.healthcheck_events",
    "engine.image_default_format",
    "engine.runtimes",
    "engine.stop_timeout",
    "network.default_host_ips",
    "network.default_rootless_network_cmd",
    "network.default_subnet_pools",
    "network.pasta_options",
    "secrets.driver",
    "secrets.opts",
];

/// Whether box goes by a key of containers.conf.
pub fn is_used(key: &str) -> bool {
    OTHERS.contains(&key) || place(key, &mut ContainerOptions::default()).is_some()
}

/// Note which options were typed, for `run` and `create`.
pub fn note(cli: &mut Cli, given: Vec<String>) {
    let options = match &mut cli.command {
        Verb::Run(run) | Verb::Container(Family(ContainerVerb::Run(run))) => &mut run.container,
        Verb::Create(create) | Verb::Container(Family(ContainerVerb::Create(create))) => &mut create.container,
        _ => return,
    };
    options.configured.given = given;
}

/// The names of the fields that were typed.
pub fn given(matches: &ArgMatches) -> Vec<String> {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let typed = |id: &&clap::Id| leaf.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    leaf.ids().filter(typed).map(ToString::to_string).collect()
}

/// The options as they are understood, and the configuration that was behind them.
pub struct Understood {
    /// What is asked for.
    pub request: Request,
    /// All of containers.conf.
    pub conf: Containers,
    /// What was typed, and what is from there.
    pub configured: Configured,
}

/// What the options mean with the configuration behind them.
///
/// Errors: those of `understand`, and where only the configuration is wrong, its key and file.
pub fn with(
    mut options: ContainerOptions,
    understand: impl Fn(ContainerOptions) -> Result<Request>,
) -> Result<Understood> {
    let conf = Containers::load()?;
    events::configure(events_of(&conf)?);
    let typed = options.configured.clone();
    for (key, _) in conf.settings() {
        apply(&conf, key, &mut options)?;
    }
    let configured = options.configured.clone();
    let error = match understand(options) {
        Ok(request) => return Ok(Understood { request, conf, configured }),
        Err(error) => error,
    };
    for (key, setting) in conf.settings() {
        let mut alone = ContainerOptions { configured: typed.clone(), ..ContainerOptions::default() };
        apply(&conf, key, &mut alone)?;
        if let Err(error) = understand(alone) {
            return Err(error.context(setting.deed(key)));
        }
    }
    Err(error)
}

/// Put one key's words where they belong.
fn apply(conf: &Containers, key: &str, options: &mut ContainerOptions) -> Result<()> {
    if !is_used(key) || beside_the_point(key, options) {
        return Ok(());
    }
    let mut words = conf.words(key)?;
    match key {
        "containers.default_sysctls" => words.retain(|word| !is_shared(word, options)),
        // What box does itself.
        "engine.runtime" => words.retain(|word| !["crun", "runc", "box"].contains(&word.as_str())),
        "containers.apparmor_profile" => words.retain(|word| word != "container-default"),
        _ => {}
    }
    if key == "engine.runtime" {
        words = words.iter().map(|name| runtime_path(conf, name)).collect();
    }
    let given = options.configured.given.clone();
    let is_given = |field: &str| given.iter().any(|name| name == field);
    let Some((field, place)) = place(key, options) else { return other(conf, key, words, options) };
    let Some(first) = words.first().cloned() else { return Ok(()) };
    let deed = || conf.get(key).map(|setting| setting.deed(key));
    let changed = match place {
        Place::One(word) if word.is_none() => set(word, first),
        Place::Of(word, allowed) if word.is_none() => match allowed.contains(&first.as_str()) {
            true => set(word, first),
            false => return Err(wrong(&first, &format!("it is one of: {}", allowed.join(" ")), deed())),
        },
        Place::Before(list, prefix) => {
            let typed = |word: &String| list.iter().any(|other| named(other) == named(word));
            let words = words.into_iter().map(|word| format!("{prefix}{word}"));
            let fresh: Vec<String> = words.filter(|word| !word.contains('=') || !typed(word)).collect();
            list.splice(0..0, fresh).count() == 0
        }
        Place::Instead(list) if list.is_empty() => {
            *list = words;
            true
        }
        Place::Switch(value) if !is_given(field) => {
            *value = first.parse().map_err(|_| wrong(&first, "it is true or false", deed()))?;
            true
        }
        Place::Bool(value) if value.is_none() => {
            set(value, first.parse().map_err(|_| wrong(&first, "it is true or false", deed()))?)
        }
        Place::Number(value) if value.is_none() => {
            set(value, first.parse().map_err(|_| wrong(&first, "it is a number", deed()))?)
        }
        _ => false,
    };
    if changed {
        options.configured.keys.insert(field, key.to_owned());
    }
    Ok(())
}

fn set<T>(place: &mut Option<T>, value: T) -> bool {
    *place = Some(value);
    true
}

fn wrong(word: &str, what: &str, deed: Option<crate::base::error::Fault>) -> anyhow::Error {
    let error = fault(Kind::Host, format!("`{}`: {what}", word.escape_debug()));
    match deed {
        Some(deed) => error.context(deed),
        None => error,
    }
}

/// The part of a word by which a later one of the same list replaces it.
fn named(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

/// The keys that mean nothing beside what was typed.
fn beside_the_point(key: &str, options: &ContainerOptions) -> bool {
    let rights = &options.rights;
    let shares_network = options.net.network.iter().any(|word| word.starts_with("container:"));
    match key {
        // Tables, read where they are used.
        "engine.runtimes" | "network.default_subnet_pools" | "secrets.opts" => true,
        "containers.userns" => {
            let words = !rights.uidmap.is_empty() || !rights.gidmap.is_empty();
            words || rights.subuidname.is_some() || rights.subgidname.is_some() || env::userns().is_some()
        }
        "containers.utsns" => options.net.hostname.is_some() || options.net.domainname.is_some(),
        "containers.pids_limit" | "containers.cgroup_conf" => options.limits.cgroups.as_deref() == Some("disabled"),
        "containers.shm_size" => rights.ipc.as_deref() == Some("host"),
        "containers.no_hosts" => !options.net.add_host.is_empty() || options.net.hosts_file.is_some(),
        "containers.base_hosts_file" => options.net.no_hosts || shares_network,
        "containers.dns_servers" | "containers.dns_searches" | "containers.dns_options" => {
            shares_network || options.net.dns.iter().any(|word| word == "none")
        }
        _ => false,
    }
}

/// Whether a sysctl would be the host's or another container's with the namespaces that were asked for.
fn is_shared(word: &str, options: &ContainerOptions) -> bool {
    let shared = |word: &String| word == "host" || word.starts_with("container:") || word.starts_with("ns:");
    match word.starts_with("net.") {
        true => options.net.network.iter().any(shared),
        false => options.rights.ipc.iter().any(shared),
    }
}

/// The first path of `[engine.runtimes]` that is there, else the name, to be looked for.
fn runtime_path(conf: &Containers, name: &str) -> String {
    let paths = conf.get("engine.runtimes").and_then(|setting| setting.value.get(name)?.as_array());
    let mut paths = paths.into_iter().flatten().filter_map(|path| path.as_str());
    paths.find(|path| std::path::Path::new(path).exists()).unwrap_or(name).to_owned()
}

/// The keys that are no option.
fn other(conf: &Containers, key: &str, words: Vec<String>, options: &mut ContainerOptions) -> Result<()> {
    let configured = &mut options.configured;
    let first = words.first().cloned();
    let deed = || conf.get(key).map(|setting| setting.deed(key));
    match (key, first) {
        ("containers.container_name_as_hostname", Some(text)) => {
            configured.name_as_hostname = text.parse().map_err(|_| wrong(&text, "it is true or false", deed()))?;
        }
        ("containers.log_path", Some(text)) => match std::path::Path::new(&text).is_absolute() {
            true => configured.log_folder = Some(text.into()),
            false => return Err(wrong(&text, "it is an absolute path", deed())),
        },
        ("network.default_host_ips", _) => {
            let address = |word: &String| word.parse().map_err(|_| wrong(word, "it is an IP address", deed()));
            configured.host_ips = words.iter().map(address).collect::<Result<_>>()?;
        }
        ("containers.env", _) => configured.env = words,
        ("containers.default_capabilities", _) => configured.capabilities = Some(words),
        ("containers.host_containers_internal_ip", first) => configured.host_address = first,
        ("engine.stop_timeout", Some(text)) => {
            configured.stop_timeout = Some(text.parse().map_err(|_| wrong(&text, "it is a number", deed()))?);
        }
        // Both in one, as they depend on each other.
        ("containers.netns" | "network.default_rootless_network_cmd", Some(_)) if options.net.network.is_empty() => {
            let asked = conf.word("containers.netns")?.filter(|word| word != "private");
            let program = conf.word("network.default_rootless_network_cmd")?;
            let pasta = conf.words("network.pasta_options")?.join(",");
            let network = match asked.or(program) {
                Some(word) if word == "pasta" && !pasta.is_empty() => format!("pasta:{pasta}"),
                Some(word) => word,
                None => return Ok(()),
            };
            options.net.network = vec![network];
            options.configured.keys.insert("network", key.to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// How events are kept, for commands that read nothing else of it. One that cannot be read is another command's matter.
pub fn events() -> events::Settings {
    Containers::load().and_then(|conf| events_of(&conf)).unwrap_or_default()
}

/// How events are kept. A logger `journald` is a file too, as `box events` reads files.
fn events_of(conf: &Containers) -> Result<events::Settings> {
    let mut settings = events::Settings::default();
    let wrong = |key: &str, word: &str, what: &str| wrong(word, what, conf.get(key).map(|setting| setting.deed(key)));
    let key = "engine.events_logger";
    match conf.word(key)?.as_deref() {
        None | Some("file" | "journald") => {}
        Some("none") => settings.kept = false,
        Some(word) => return Err(wrong(key, word, "it is one of: file journald none")),
    }
    let key = "engine.events_logfile_path";
    settings.path = conf.word(key)?.map(PathBuf::from);
    if let Some(path) = settings.path.as_deref().filter(|path| !path.is_absolute()) {
        return Err(wrong(key, &path.display().to_string(), "it is an absolute path"));
    }
    let key = "engine.events_logfile_max_size";
    if let Some(word) = conf.word(key)? {
        settings.max_size = parse_bytes(&word).map_err(|_| wrong(key, &word, "it is a size, such as 1m"))?;
    }
    let key = "engine.healthcheck_events";
    if let Some(word) = conf.word(key)? {
        settings.health = word.parse().map_err(|_| wrong(key, &word, "it is true or false"))?;
    }
    Ok(settings)
}

/// `default_subnet_pools`: where free subnets are looked for, and how long their prefixes are.
pub fn subnet_pools(conf: &Containers) -> Result<Vec<(Prefix, u8)>> {
    let key = "network.default_subnet_pools";
    let Some(setting) = conf.get(key) else { return Ok(Vec::new()) };
    let pool = |item: &toml::Value| {
        let base = Prefix::parse(item.get("base")?.as_str()?).ok().filter(|base| !base.is_ipv6())?;
        let size = u8::try_from(item.get("size")?.as_integer()?).ok()?;
        (base.length..=30).contains(&size).then_some((base, size))
    };
    let wrong = |item: &toml::Value| {
        let what = "it is a network of IPv4 and how long its parts' prefixes are, such as \
                    {\"base\" = \"10.89.0.0/16\", \"size\" = 24}";
        wrong(&serde_json::to_string(item).unwrap_or_default(), what, Some(setting.deed(key)))
    };
    let list = setting.value.as_array().ok_or_else(|| wrong(&setting.value))?;
    list.iter().map(|item| pool(item).ok_or_else(|| wrong(item))).collect()
}

/// The keys that leave a container running: those typed, else those of `detach_keys`, else docker's.
pub fn detach_keys(typed: Option<&str>, conf: &Containers) -> Result<Vec<u8>> {
    let key = "engine.detach_keys";
    match (typed, conf.get(key)) {
        (Some(text), _) => parse_detach_keys(text),
        // Nothing means: none.
        (None, Some(setting)) => {
            parse_detach_keys(&conf.word(key)?.unwrap_or_default()).with_context(|| setting.deed(key))
        }
        (None, None) => parse_detach_keys(DETACH_KEYS),
    }
}

/// What leaves a container running, unless something else says otherwise.
const DETACH_KEYS: &str = "ctrl-p,ctrl-q";
