//! Every parser of options, with words that it takes: for the fuzz target `options` and the test `mutants`.

use boxlib::base::{signal, time, units};
use boxlib::container::filter::Filters;
use boxlib::container::life::{LogOptions, RestartPolicy};
use boxlib::container::rights::{devices, parse_annotations, parse_umask, security, sysctl, userns::Userns};
use boxlib::container::{Condition, limits, mounts, quota, rights, secrets};
use boxlib::monitor::parse_detach_keys;
use boxlib::network::{parse_ports, prefix, record, settings};
use boxlib::oci::platform::Platform;
use boxlib::oci::reference::Reference;
use boxlib::runtime::user;
use boxlib::sys::root::Root;
use std::path::Path;

/// A parser's name, words that it takes, and whether it takes a text: the error where it does not.
pub type Parser = (&'static str, &'static [&'static str], fn(&str) -> Result<(), String>);

/// The error's sentences in one line.
fn said<T>(result: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    result.map(drop).map_err(|error| format!("{error:#}"))
}

fn known<T>(value: Option<T>) -> Result<(), String> {
    value.map(drop).ok_or_else(|| "none".to_owned())
}

/// All of them.
pub const PARSERS: [Parser; 42] = [
    ("ports", &["80", "8080:80/udp", "[::1]:8000-8010:80-90", "127.0.0.1::53/udp"], |text| said(parse_ports(text))),
    ("exposed", &["80", "80-90/tcp"], |text| said(settings::parse_exposed(text))),
    (
        "networks",
        &["host", "slirp4netns:mtu=1500,cidr=10.0.2.0/24", "lan:ip=10.1.1.2,alias=a", "pasta:-t,none"],
        |text| said(settings::parse_networks(&[text.to_owned()])),
    ),
    ("added host", &["a;b:1.2.3.4", "a:host-gateway", "a=::1"], |text| said(settings::parse_added_host(text))),
    ("prefix", &["10.0.0.0/24", "fd00::/64"], |text| said(prefix::Prefix::parse(text))),
    ("range", &["10.0.0.1-10.0.0.9", "10.0.0.0/28"], |text| said(record::parse_range(text))),
    ("route", &["10.0.0.0/8,10.1.0.1,5"], |text| said(record::parse_route(text))),
    ("hardware address", &["02:00:00:00:00:01", "02-00-00-00-00-01"], |text| said(settings::Mac::parse(text))),
    ("volume", &["/a:/b:ro,z", "data:/x:U,nocopy", "./a:/b:O,upperdir=/u,workdir=/w", "/x"], |text| {
        said(mounts::parse_volume(text))
    }),
    (
        "mount",
        &[
            "type=bind,src=/a,dst=/b,ro=true",
            "type=tmpfs,dst=/x,tmpfs-size=1m",
            "type=volume,\"volume-opt=o=a,b\",src=data,dst=/x",
        ],
        |text| said(mounts::parse_mount(text)),
    ),
    ("tmpfs", &["/x:size=64m,mode=1777,exec"], |text| said(mounts::parse_tmpfs(text))),
    ("image volumes", &["tmpfs", "ignore"], |text| said(mounts::parse_image_volumes(text))),
    ("secret", &["a,type=mount,target=/x,uid=1,gid=2,mode=0400", "a,type=env,target=B"], |text| {
        said(secrets::parse(text))
    }),
    (
        "config of an image",
        &[r#"{"Cmd": ["sh"], "Labels": {"a": "b"}, "User": "1"}"#, r#"{"Hostname": "x"}"#],
        |text| said(boxlib::container::parse_config(text)),
    ),
    ("duration", &["1h30m", "-1.5s", "300ms", "2us"], |text| known(time::parse_duration(text))),
    ("moment", &["2026-11-21T09:30:00Z", "2026-11-21", "1795253400.5", "10m"], |text| {
        said(time::parse_moment(text, chrono_now()))
    }),
    ("size", &["1g", "64MiB", "1.5k", "10b"], |text| said(units::parse_bytes(text))),
    ("memory", &["512m", "-1", "1t"], |text| said(limits::parse_bytes("--memory", text))),
    ("processors", &["1.5", "0.01"], |text| said(limits::parse_cpus(text))),
    ("processes", &["-1", "100"], |text| said(limits::parse_pids(text))),
    ("rate", &["/dev/sda:1mb"], |text| said(limits::parse_rate("--device-read-bps", text))),
    ("weight", &["/dev/sda:500"], |text| said(limits::parse_weight("--blkio-weight-device", text))),
    ("cgroup file", &["memory.high=1g"], |text| said(limits::parse_conf(text))),
    ("ulimit", &["nofile=1024:2048", "core=-1", "nproc=10"], |text| said(limits::parse_ulimit(text))),
    ("userns", &["keep-id:uid=1,gid=2,size=9", "auto:size=10,uidmapping=0:1:5", "container:x", "ns:/x"], |text| {
        said(Userns::parse(text))
    }),
    ("namespace", &["host", "container:x", "ns:/proc/1/ns/pid"], |text| {
        said(rights::namespaces::Namespace::parse("--pid", text))
    }),
    ("device", &["/dev/null:/dev/x:rwm", "/dev/fuse"], |text| said(devices::parse(text))),
    ("security", &["seccomp=/x", "no-new-privileges:true", "mask=/a:/b", "label=user:x"], |text| {
        said(security::parse(&[text.to_owned()]))
    }),
    ("sysctl", &["net.ipv4.ip_forward=1"], |text| said(sysctl::parse(&[text.to_owned()]))),
    ("annotation", &["a=b"], |text| said(parse_annotations(&[text.to_owned()]))),
    ("umask", &["0022"], |text| said(parse_umask(text))),
    ("signal", &["SIGTERM", "9", "rtmin+3"], |text| said(signal::parse(text))),
    ("log option", &["max-size=1m", "tag={{.Name}}", "labels=a,b"], |text| said(LogOptions::parse(&[text.to_owned()]))),
    ("restart", &["on-failure:3", "always"], |text| said(RestartPolicy::parse(text))),
    ("filter", &["status=running", "label!=a=b", "until=10m", "exited=1", "name=^a.*b$"], |text| {
        said(Filters::parse(&[text.to_owned()]))
    }),
    ("filter of events", &["event=die", "label=a=b", "container=x"], |text| {
        said(boxlib::events::Filters::parse(&[text.to_owned()]))
    }),
    ("user", &["0", "root:root", "1000:5", "0\nkeep-groups"], |text| {
        said(Root::open(Path::new("/")).map_err(Into::into).and_then(|root| user::resolve(&root, text)))
    }),
    ("detach keys", &["ctrl-p,ctrl-q", "a", "ctrl-@,ctrl-["], |text| said(parse_detach_keys(text))),
    ("state to wait for", &["healthy", "stopped"], |text| said(Condition::parse(text))),
    ("platform", &["linux/arm64/v8", "linux/amd64"], |text| said(Platform::parse(text))),
    ("quota", &["size=64m"], |text| said(quota::parse(&[text.to_owned()]))),
    (
        "reference",
        &["alpine", "[::1]:5000/a/b:c@sha256:0000000000000000000000000000000000000000000000000000000000000000"],
        |text| said(Reference::parse(text)),
    ),
];

/// Any moment will do.
fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::UNIX_EPOCH
}

/// A template, its words filled in from an object: parsed and evaluated without a panic, by the public door.
pub const TEMPLATES: [&str; 5] = [
    "{{.Names}}\t{{json .Labels}}",
    "table {{.ID}}\t{{.Image | printf \"%.3s\" | upper}}",
    "{{range $i, $x := .Ports}}{{if gt $i 1}}{{$x.HostPort}}{{else}}-{{end}}{{end}}",
    "{{with index .Labels \"a.b\"}}{{. | len | printf \"%05d\"}}{{end}}",
    "{{- /* c */ -}}{{define \"x\"}}{{.}}{{end}}{{template \"x\" .State}}",
];
