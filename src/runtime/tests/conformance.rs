//! docs/conformance.md: every property of the specification, tried or tested, and what comes of it. `BLESS=1` as root
//! writes the file anew.

use super::*;
use crate::oci::bundle::schema::{CONFIG, Kind as Type, Property};
use crate::runtime::cgroup::resources;

mod cases;

use cases::cases;

/// How it is shown what becomes of properties.
enum Shown {
    /// A container with these values (JSON pointer, value) that runs a script, whose output has this text.
    Run(Vec<(&'static str, Value)>, &'static str, &'static str),
    /// `linux.resources` as this becomes this file with this text.
    File(Value, &'static str, &'static str),
    /// A test of this name.
    Test(&'static str),
}

use Shown::{File as CgroupFile, Run, Test};

/// Every property's path.
fn paths_of(properties: &[Property], above: &str, found: &mut Vec<String>) {
    for property in properties {
        let path = format!("{above}{}", property.name);
        let mut kind = &property.kind;
        while let Type::List(inner) | Type::Map(inner) = kind {
            kind = inner;
        }
        found.push(path.clone());
        if let Type::Object(inner) = kind {
            paths_of(inner, &format!("{path}."), found);
        }
    }
}

/// The words of the table.
fn verdict(shown: &Shown, mode: As) -> String {
    match shown {
        Test(name) => {
            let tests =
                ["src/runtime", "src/oci/bundle"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
            let mark = format!("fn {name}()");
            assert!(tests.iter().any(|folder| has_text(folder, &mark)), "there is no test `{name}`");
            "works".to_owned()
        }
        CgroupFile(value, file, text) => match resources::settings(&serde_json::from_value(value.clone()).unwrap()) {
            Ok(settings) => {
                let is_so =
                    |setting: &resources::Setting| setting.file.starts_with(file) && setting.value.contains(text);
                assert!(settings.iter().any(is_so), "{value}: {settings:?}");
                "works".to_owned()
            }
            Err(error) => format!("refused: {error}"),
        },
        Run(changes, script, expected) => {
            let rootfs = Rootfs::new();
            let paths = paths(&rootfs);
            let spec = spec(&["/bin/busybox", "sh", "-c", script], |spec| {
                for (pointer, value) in changes {
                    let (parent, name) = pointer.rsplit_once('/').unwrap();
                    match spec.pointer_mut(parent).unwrap() {
                        Value::Array(list) => list.push(value.clone()),
                        object => object[name] = value.clone(),
                    }
                }
            });
            let filter =
                if spec.linux().as_ref().unwrap().seccomp().is_some() { Filter::Spec } else { Filter::Default };
            let found =
                inside(mode, || run_with(&Bundle { filter, ..bundle(&rootfs, &paths, &spec) }, |_| String::new()));
            let told = |kind: &str| found.strip_prefix(kind).map(str::to_owned);
            if let Some(reason) = told("Host: ") {
                format!("not here: {reason}")
            } else if let Some(reason) = told("Usage: ").or_else(|| told("BadData: ")) {
                format!("refused: {reason}")
            } else if found.contains(expected) {
                "works".to_owned()
            } else {
                panic!("{mode:?} {changes:?}: {found:?}, not {expected:?}")
            }
        }
    }
}

fn has_text(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            has_text(&path, text)
        } else {
            std::fs::read_to_string(&path).unwrap_or_default().contains(text)
        }
    })
}

const HEAD: &str = "# Conformance

What box's runtime does with each property of the [OCI runtime specification](https://github.com/opencontainers/runtime-spec) 1.3 for Linux. Written by the test `runtime::tests::conformance`, which tries each of them or names the test that does; `BLESS=1 cargo test --lib conformance`, as root, writes it anew.

- *works*: the property has its effect, which the test sees.
- *refused*: a container that asks for it is not made, with this message.
- *not here*: the kernel or the caller's rights do not allow it where this table was written; the message says so.

Properties of other platforms (`solaris`, `windows`, `vm`, `zos`, `freebsd`, `process.commandLine`, `process.user.username`), unknown sections of the document and capabilities that this system does not know are ignored with a warning, as the specification wants it. Unknown names inside the sections below, and names that differ from a known one by little, are errors: whoever wrote `noNewPrivilege` must not believe that it holds.

| Property | As root | As an ordinary user with one id | Shown by |
|---|---|---|---|
";

#[test]
fn every_property_has_its_line() {
    alone!();
    let modes = modes();
    if modes.is_empty() {
        return;
    }
    let mut all = Vec::new();
    paths_of(CONFIG, "", &mut all);
    let foreign = |path: &str| {
        ["process.commandLine", "process.user.username"].contains(&path)
            || !path.contains('.') && ["solaris", "windows", "vm", "zos", "freebsd"].contains(&path)
    };
    // What has no meaning on cgroup v2, and none that is refused.
    let no_effect = ["linux.resources.memory.useHierarchy", "linux.resources.memory.checkBeforeUpdate"];
    all.retain(|path| !foreign(path) && !no_effect.contains(&path.as_str()));
    let cases = cases();
    let mut covered: Vec<&str> = cases.iter().flat_map(|(paths, _)| paths.split_whitespace()).collect();
    let (mut expected, count) = (all.clone(), covered.len());
    expected.sort();
    covered.sort_unstable();
    covered.dedup();
    assert_eq!(covered.len(), count, "a property has two cases");
    assert_eq!(covered, expected);

    let (is_root, as_user) = (modes.contains(&As::Root), As::OneId);
    let mut lines = std::collections::HashMap::new();
    for (paths, shown) in &cases {
        let root = if is_root { verdict(shown, As::Root) } else { String::new() };
        let user = verdict(shown, as_user);
        let by = match shown {
            Run(..) => "a container".to_owned(),
            CgroupFile(..) => "`cgroup::resources`".to_owned(),
            Test(name) => format!("`{name}`"),
        };
        for path in paths.split_whitespace() {
            lines.insert(path.to_owned(), (root.clone(), user.clone(), by.clone()));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    if is_root && crate::base::env::by_name("BLESS").is_some() {
        let rows: Vec<String> = all
            .iter()
            .map(|path| {
                let (root, user, by) = &lines[path];
                format!("| `{path}` | {root} | {user} | {by} |\n")
            })
            .collect();
        std::fs::write(&file, HEAD.to_owned() + &rows.concat()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with(HEAD), "docs/conformance.md is not as the test writes it: BLESS=1, as root");
    for path in &all {
        let row = written
            .lines()
            .find(|line| line.starts_with(&format!("| `{path}` | ")))
            .unwrap_or_else(|| panic!("{path}"));
        let columns: Vec<&str> = row.split(" | ").collect();
        let (root, user, _) = &lines[path];
        // What a kernel or a host lacks differs from machine to machine; nothing else does.
        let word = |text: &str| text.split(':').next().unwrap().to_owned();
        for (found, told) in [(root, columns[1]), (user, columns[2])] {
            let is_same = found.is_empty()
                || word(found) == word(told)
                || found.starts_with("not here")
                || told.starts_with("not here");
            assert!(is_same, "{path}: {found}, and in docs/conformance.md: {told}");
        }
    }
}
