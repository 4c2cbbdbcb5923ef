//! `box inspect`: the keys that scripts read.

use crate::env::TestEnv;
use serde_json::json;

#[test]
fn a_container() {
    let env = TestEnv::with_image();
    let id = env.background("web", &["-e", "A=b", "--label", "x.y=z", "-h", "host", "-v", "/tmp:/in:ro"], &["pause"]);
    let all = env.box_(&["inspect", "web"]).json();
    assert_eq!(all.as_array().unwrap().len(), 1);
    let one = &all[0];
    for (pointer, value) in [
        ("/Id", json!(id)),
        ("/Name", json!("web")),
        ("/ImageName", json!("localhost/t:latest")),
        ("/Path", json!("pause")),
        ("/Args", json!([])),
        ("/State/Status", json!("running")),
        ("/State/Running", json!(true)),
        ("/State/Paused", json!(false)),
        ("/State/OOMKilled", json!(false)),
        ("/State/ExitCode", json!(0)),
        ("/Config/Hostname", json!("host")),
        ("/Config/Labels/x.y", json!("z")),
        ("/Config/Cmd", json!(["pause"])),
        ("/Config/Tty", json!(false)),
        ("/HostConfig/NetworkMode", json!("none")),
        ("/HostConfig/AutoRemove", json!(false)),
        ("/HostConfig/Privileged", json!(false)),
        ("/HostConfig/ReadonlyRootfs", json!(false)),
        ("/Mounts/0/Type", json!("bind")),
        ("/Mounts/0/Source", json!("/tmp")),
        ("/Mounts/0/Destination", json!("/in")),
        ("/Mounts/0/RW", json!(false)),
    ] {
        assert_eq!(one.pointer(pointer), Some(&value), "{pointer} in {one:#}");
    }
    assert!(one["Config"]["Env"].as_array().unwrap().contains(&json!("A=b")));
    assert!(one["State"]["Pid"].as_u64().unwrap() > 0);
    assert!(chrono::DateTime::parse_from_rfc3339(one["Created"].as_str().unwrap()).is_ok(), "{}", one["Created"]);
    assert!(chrono::DateTime::parse_from_rfc3339(one["State"]["StartedAt"].as_str().unwrap()).is_ok());
    assert_eq!(one["Image"].as_str().unwrap().trim_start_matches("sha256:").len(), 64);
    for key in
        ["NetworkSettings", "GraphDriver", "HostsPath", "ResolvConfPath", "EffectiveCaps", "Driver", "RestartCount"]
    {
        assert!(one.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn the_templates_of_scripts() {
    let env = TestEnv::with_image();
    let id = env.background("web", &["--label", "a.b=c"], &["pause", "x"]);
    for (format, value) in [
        ("{{.State.Running}}", "true"),
        ("{{.State.ExitCode}}", "0"),
        ("{{.Id}}", id.as_str()),
        ("{{ .Name }}", "web"),
        ("{{index .Config.Labels \"a.b\"}}", "c"),
        ("{{json .Config.Cmd}}", r#"["pause","x"]"#),
        ("{{join .Config.Cmd \" \"}}", "pause x"),
        ("{{range .Config.Cmd}}<{{.}}>{{end}}", "<pause><x>"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{len .Config.Cmd}}", "2"),
        ("{{upper .Name}}", "WEB"),
        ("{{printf \"%s-%d\" .Name .State.ExitCode}}", "web-0"),
    ] {
        assert_eq!(env.inspect("web", format), value, "{format}");
    }
    env.box_(&["inspect", "--format", "{{.Bogus}}", "web"]).ends(125);
    env.box_(&["inspect", "--format", "{{.State.", "web"]).ends(125);
}

#[test]
fn several_and_missing() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "a", "t"]).ok();
    env.box_(&["create", "--name", "b", "t"]).ok();
    assert_eq!(env.box_(&["inspect", "a", "b"]).json().as_array().unwrap().len(), 2);
    let outcome = env.box_(&["inspect", "nobody"]);
    assert_eq!((outcome.code, outcome.out()), (125, "[]".into()), "{outcome}");
    outcome.says("nobody");
    let outcome = env.box_(&["inspect", "a", "nobody"]);
    assert_eq!(outcome.code, 125);
    let found: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(found[0]["Name"], "a");
}

#[test]
fn an_image_by_either_way() {
    let env = TestEnv::with_image();
    let by_name = env.box_(&["inspect", "t"]).json();
    assert_eq!(by_name, env.box_(&["image", "inspect", "localhost/t:latest"]).json());
    let one = &by_name[0];
    let id = one["Id"].as_str().unwrap();
    assert_eq!(id.len(), 64);
    assert_eq!(env.box_(&["image", "inspect", &id[..12]]).json(), by_name);
    for (pointer, value) in [
        ("/RepoTags", json!(["localhost/t:latest"])),
        ("/Os", json!("linux")),
        ("/Architecture", json!(crate::image::architecture())),
        ("/Config/Cmd", json!(["info"])),
        ("/Config/Env", json!(["PATH=/bin", "IMAGE=payload"])),
        ("/RootFS/Type", json!("layers")),
    ] {
        assert_eq!(one.pointer(pointer), Some(&value), "{pointer} in {one:#}");
    }
    assert!(one["Digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(one["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert!(one["Size"].as_u64().unwrap() > 0);
    // A container's name wins over an image's, and --type decides.
    env.box_(&["create", "--name", "t", "t"]).ok();
    assert_eq!(env.inspect("t", "{{.Name}}"), "t");
    assert_eq!(env.box_(&["inspect", "--type", "image", "--format", "{{.Id}}", "t"]).ok(), id);
    assert_eq!(env.box_(&["image", "inspect", "--format", "{{.Id}}", "t"]).ok(), id);
}

#[test]
fn of_all_kinds_and_with_sizes() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--name", "c", "--network", "none", "t", "do", "touch", "/x"]).ok();
    env.box_(&["volume", "create", "v"]).ok();
    env.box_(&["network", "create", "n"]).ok();
    assert_eq!(env.box_(&["inspect", "-f", "{{.Mountpoint}}", "v"]).ok().rsplit('/').nth(1), Some("v"));
    assert_eq!(env.box_(&["inspect", "-f", "{{.name}}", "n"]).ok(), "n");
    assert_eq!(env.box_(&["inspect", "-f", "{{.Driver}}", "--type", "volume", "v"]).ok(), "local");
    env.box_(&["inspect", "--type", "image", "v"]).ends(125).says("there is no image `v`");
    let sized = env.box_(&["inspect", "--size", "c"]).json()[0].clone();
    assert!(sized["SizeRootFs"].as_u64() > sized["SizeRw"].as_u64() && sized["SizeRw"].is_u64(), "{sized}");
    assert!(env.box_(&["container", "inspect", "c"]).json()[0].get("SizeRw").is_none());
}
