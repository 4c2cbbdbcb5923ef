//! Bundles from an enemy, and bundles with one thing wrong: refused by the name of the property, with nothing left.

use crate::hostile::{canary, snapshot};
use crate::oci::Bundle;
use boxlib::oci::bundle::schema::{CONFIG, Kind, Property};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn plain(_: &mut Value) {}

/// The paths of all properties, with a value that each may not have.
fn wrong_values(properties: &[Property], above: &[String], found: &mut Vec<(Vec<String>, Value)>) {
    for property in properties.iter().filter(|property| !matches!(property.kind, Kind::Foreign)) {
        let path = [above, &[property.name.to_owned()]].concat();
        let wrong = match property.kind {
            Kind::Flag | Kind::Object(_) | Kind::Map(_) => json!("text"),
            Kind::Number(..) => json!(-1e30),
            _ => json!({ "a": 1 }),
        };
        found.push((path.clone(), wrong));
        let (mut kind, mut place) = (&property.kind, path);
        loop {
            match kind {
                Kind::List(inner) => {
                    place.push("0".to_owned());
                    kind = inner;
                }
                Kind::Map(inner) => {
                    place.push("some.key".to_owned());
                    kind = inner;
                }
                Kind::Object(properties) => break wrong_values(properties, &place, found),
                _ => break,
            }
        }
    }
}

/// Put a value at the end of a path; what is missing on the way is made.
fn put(document: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return *document = value };
    if first == "0" {
        if !document.is_array() {
            *document = json!([]);
        }
        let list = document.as_array_mut().unwrap();
        // Alone in its list, so that it is what is looked at.
        list.clear();
        list.push(json!({}));
        put(&mut list[0], rest, value);
    } else {
        if !document.is_object() {
            *document = json!({});
        }
        let object = document.as_object_mut().unwrap();
        put(object.entry(first).or_insert(Value::Null), rest, value);
    }
}

/// A path as messages have it.
fn shown(path: &[String]) -> String {
    path.iter().fold(String::new(), |text, part| match part.as_str() {
        "0" => text + "[0]",
        "some.key" => text + "[\"some.key\"]",
        name if text.is_empty() => name.to_owned(),
        name => text + "." + name,
    })
}

/// Where it stands, what, and what the error has to name.
const MISSING: &[(&str, &str, &str)] = &[
    ("root/path", r#""nowhere""#, "root.path"),
    ("root/path", r#""config.json""#, "root.path"),
    ("root/path", r#""loop""#, "root.path"),
    ("mounts/+", r#"{"destination":"/a","type":"bind","source":"/nowhere","options":["bind"]}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/a","type":"nosuchfs","source":"x"}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/a","type":"tmpfs","options":["nonsense=1"]}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/a","type":"bind","source":"/dev/null","options":["bind","idmap=1"]}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/bin/true/x","type":"tmpfs"}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/loop/x","type":"tmpfs"}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/a","type":"overlay","options":["lowerdir=/nowhere"]}"#, "mounts["),
    ("mounts/+", r#"{"destination":"/a","type":"overlay","options":["lowerdir=/tmp:/tmp"]}"#, "mounts["),
    ("process/cwd", r#""/loop/x""#, "process.cwd"),
    ("process/cwd", r#""/bin/true""#, "process.cwd"),
    ("process/args", r#"["nowhere"]"#, "process.args"),
    ("process/args", r#"[]"#, "process.args"),
    ("process/env", r#"["NOVALUE"]"#, "process.env"),
    ("process/apparmorProfile", r#""nowhere""#, "process.apparmorProfile"),
    ("process/selinuxLabel", r#""a:b:c:d""#, "process.selinuxLabel"),
    ("process/scheduler", r#"{"policy":"SCHED_FIFO","priority":500}"#, "process.scheduler"),
    ("process/ioPriority", r#"{"class":"IOPRIO_CLASS_BE","priority":99}"#, "process.ioPriority"),
    (
        "process/rlimits",
        r#"[{"type":"RLIMIT_NOFILE","soft":18446744073709551615,"hard":18446744073709551615}]"#,
        "process.rlimits",
    ),
    ("hostname", r#""a b""#, "hostname"),
    ("domainname", r#""a\nb""#, "domainname"),
    ("hooks", r#"{"createRuntime":[{"path":"/nowhere"}]}"#, "hooks.createRuntime[0]"),
    ("hooks", r#"{"prestart":[{"path":"/bin/false"}]}"#, "hooks.prestart[0]"),
    ("hooks", r#"{"createContainer":[{"path":"/bin/sh","args":["sh","-c","exit 3"]}]}"#, "hooks.createContainer[0]"),
    ("hooks", r#"{"startContainer":[{"path":"/nowhere"}]}"#, "hooks.startContainer[0]"),
    ("linux/namespaces/+", r#"{"type":"pid","path":"/proc/self/ns/pid"}"#, "linux.namespaces["),
    ("linux/namespaces/+", r#"{"type":"cgroup","path":"/nowhere"}"#, "linux.namespaces["),
    ("linux/namespaces/+", r#"{"type":"time","path":"/proc/self/ns/uts"}"#, "linux.namespaces["),
    ("linux/namespaces/+", r#"{"type":"time","path":"/dev/null"}"#, "linux.namespaces["),
    ("linux/devices", r#"[{"path":"/dev/x","type":"c","major":4000000,"minor":1}]"#, "linux.devices[0]"),
    ("linux/devices", r#"[{"path":"/dev/x","type":"c"}]"#, "linux.devices[0]"),
    ("linux/devices", r#"[{"path":"/bin/true/x","type":"p"}]"#, "linux.devices[0]"),
    ("linux/sysctl", r#"{"net.nowhere":"1"}"#, "linux.sysctl"),
    ("linux/sysctl", r#"{"kernel.nosuch":"1"}"#, "linux.sysctl"),
    ("linux/sysctl", r#"{"net.ipv4.ip_forward":"a lot"}"#, "linux.sysctl"),
    ("linux/maskedPaths", r#"["relative"]"#, "linux.maskedPaths[0]"),
    ("linux/readonlyPaths", r#"["/loop/x"]"#, "linux.readonlyPaths[0]"),
    ("linux/rootfsPropagation", r#""sideways""#, "linux.rootfsPropagation"),
    ("linux/resources", r#"{"memory":{"limit":100,"swap":50}}"#, "linux.resources.memory.swap"),
    ("linux/resources", r#"{"unified":{"../x":"1"}}"#, "linux.resources.unified"),
    ("linux/resources", r#"{"hugepageLimits":[{"pageSize":"odd","limit":1}]}"#, "linux.resources.hugepageLimits"),
    (
        "linux/seccomp",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":9,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
        "linux.seccomp.syscalls[0].args[0].index",
    ),
    ("linux/seccomp", r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}"#, "linux.seccomp.defaultErrnoRet"),
    ("linux/seccomp", r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/nowhere"}"#, "linux.seccomp.listenerPath"),
    ("linux/personality", r#"{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}"#, "linux.personality.flags"),
    ("linux/memoryPolicy", r#"{"mode":"MPOL_BIND","nodes":"4711"}"#, "linux.memoryPolicy"),
    ("linux/timeOffsets", r#"{"nowhere":{"secs":1}}"#, "linux.timeOffsets"),
    ("linux/netDevices", r#"{"eth0":{}}"#, "linux.netDevices"),
    ("linux/intelRdt", r#"{"closID":"../x"}"#, "linux.intelRdt"),
    ("linux/uidMappings", r#"[{"containerID":0,"hostID":4000000000,"size":1}]"#, "linux.uidMappings"),
    (
        "linux/uidMappings",
        r#"[{"containerID":0,"hostID":0,"size":1},{"containerID":0,"hostID":0,"size":1}]"#,
        "linux.uidMappings",
    ),
];

both! {
    every_property_wrong_in_turn_is_named_and_leaves_nothing root_every_property_wrong_in_turn_is_named_and_leaves_nothing;
    what_names_a_thing_that_is_not_there root_what_names_a_thing_that_is_not_there;
    links_in_place_of_devices_are_not_followed root_links_in_place_of_devices_are_not_followed;
    a_console_that_is_a_link_is_not_followed root_a_console_that_is_a_link_is_not_followed;
    very_long_values_arrive_whole root_very_long_values_arrive_whole;
}

mod checks {
    use super::*;

    pub fn every_property_wrong_in_turn_is_named_and_leaves_nothing() {
        let bundle = Bundle::new(&["true"], plain);
        let config = bundle.folder.join("config.json");
        let good: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        let mut cases = Vec::new();
        wrong_values(CONFIG, &[], &mut cases);
        assert!(cases.len() > 200, "{}", cases.len());
        let folder = bundle.folder.display().to_string();
        for (path, value) in cases {
            let mut document = good.clone();
            put(&mut document, &path, value.clone());
            fs::write(&config, document.to_string()).unwrap();
            let outcome = bundle.oci(&["create", "-b", &folder, "c"]);
            // A sibling that is required may be missed first.
            outcome.fails(1).says("config.json is wrong");
            let own = format!("`{}", shown(&path));
            let is_named = outcome.err().contains(&own) || outcome.err().contains("is missing");
            assert!(is_named, "{} as {value}: {outcome}", shown(&path));
        }
        bundle.is_empty();
    }

    pub fn what_names_a_thing_that_is_not_there() {
        let bundle = Bundle::new(&["true"], plain);
        std::os::unix::fs::symlink("loop", bundle.folder.join("loop")).unwrap();
        std::os::unix::fs::symlink("loop", bundle.folder.join("rootfs/loop")).unwrap();
        let config = bundle.folder.join("config.json");
        let good = fs::read(&config).unwrap();
        for (path, value, named) in MISSING {
            fs::write(&config, &good).unwrap();
            let value: Value = serde_json::from_str(value).unwrap();
            let (pointer, is_added) = path.strip_suffix("/+").map_or((*path, false), |list| (list, true));
            let parts: Vec<String> = pointer.split('/').map(str::to_owned).collect();
            bundle.change(|spec| match is_added {
                true => spec.pointer_mut(&format!("/{pointer}")).unwrap().as_array_mut().unwrap().push(value.clone()),
                false => put(spec, &parts, value.clone()),
            });
            let outcome = bundle.run(&[]);
            assert!([1, 126, 127].contains(&outcome.code), "{path} {value}: {outcome}");
            outcome.says(&format!("`{named}"));
            bundle.is_empty();
        }
    }

    pub fn links_in_place_of_devices_are_not_followed() {
        let bundle = Bundle::new(&["true"], |spec| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            // The image's own /dev, which nothing is mounted over.
            mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        });
        let out = canary(&bundle.env);
        let before = snapshot(Path::new(&out));
        let dev = bundle.folder.join("rootfs/dev");
        let _ = fs::remove_dir_all(&dev);
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            for target in [format!("{out}/file"), format!("{out}/new"), "/proc/sysrq-trigger".to_owned()] {
                fs::create_dir(&dev).unwrap();
                std::os::unix::fs::symlink(target, dev.join(name)).unwrap();
                bundle.run(&[]).fails(1).says(&format!("/dev/{name}")).says("symbolic link");
                fs::remove_dir_all(&dev).unwrap();
            }
        }
        std::os::unix::fs::symlink(&out, &dev).unwrap();
        bundle.run(&[]).fails(1).says("`/dev` in the image is a symbolic link");
        assert_eq!(snapshot(Path::new(&out)), before);
        bundle.is_empty();
    }

    pub fn a_console_that_is_a_link_is_not_followed() {
        let bundle = Bundle::new(&["true"], |spec| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["destination"] != "/dev");
            spec["process"]["terminal"] = json!(true);
        });
        let out = canary(&bundle.env);
        let before = snapshot(Path::new(&out));
        let dev = bundle.folder.join("rootfs/dev");
        let _ = fs::remove_dir_all(&dev);
        for target in ["file", "new"] {
            fs::create_dir(&dev).unwrap();
            std::os::unix::fs::symlink(format!("{out}/{target}"), dev.join("console")).unwrap();
            let socket = bundle.env.base.join("console");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let words =
                ["create", "-b", bundle.folder.to_str().unwrap(), "--console-socket", socket.to_str().unwrap(), "c"];
            bundle.oci(&words).fails(1).says("/dev/console").says("symbolic link");
            fs::remove_file(&socket).unwrap();
            fs::remove_dir_all(&dev).unwrap();
        }
        assert_eq!(snapshot(Path::new(&out)), before);
        bundle.is_empty();
    }

    pub fn very_long_values_arrive_whole() {
        // As long as a path may be, by folders of 200 letters.
        let bundle =
            Bundle::new(&["cat", "/deep/file"], |spec| spec["annotations"] = json!({ "long": "x".repeat(70_000) }));
        let mut deep = bundle.env.base.clone();
        while deep.as_os_str().len() < 3800 {
            deep.push("d".repeat(200));
        }
        // By short steps: a system call takes no longer path than this.
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "deep").unwrap();
        bundle.change(|spec| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            let mount = json!({ "destination": "/deep", "type": "bind", "source": deep, "options": ["rbind", "ro"] });
            mounts.extend(std::iter::repeat_n(mount, 400));
        });
        assert_eq!(bundle.run(&[]).ok(), "deep");
        bundle.create("c", "");
        assert_eq!(bundle.state("c")["annotations"]["long"].as_str().unwrap().len(), 70_000);
        bundle.oci(&["delete", "--force", "c"]).ok();
        bundle.is_empty();
    }
}
