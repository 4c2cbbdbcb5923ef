//! containers.conf: what it says is done, what the command line says wins, and `box info --config` and
//! `box run --dry-run --explain` tell which it was.

use crate::env::TestEnv;

/// One whose containers.conf is this.
fn with(text: &str) -> TestEnv {
    let env = TestEnv::with_image();
    env.file("containers.conf", text);
    env
}

#[test]
fn keys_are_options_that_were_not_typed() {
    let env = with(
        "[containers]\n\
         env = [\"FROM_CONF=1\", \"IMAGE=conf\"]\n\
         default_capabilities = [\"CHOWN\", \"KILL\"]\n\
         default_ulimits = [\"nofile=100:200\"]\n\
         default_sysctls = [\"net.ipv4.ip_forward=1\", \"kernel.msgmax=1000\"]\n\
         annotations = [\"a=conf\", \"b=conf\"]\n\
         volumes = [\"/etc/hostname:/conf:ro\"]\n\
         dns_servers = [\"192.0.2.1\"]\n\
         shm_size = \"1m\"\npids_limit = 77\numask = \"0077\"\ninit = true\nread_only = true\n\
         log_driver = \"json-file\"\nlog_size_max = 9000\nlog_tag = \"mine\"\nnetns = \"none\"\nutsns = \"host\"\n\
         host_containers_internal_ip = \"none\"\n\
         [engine]\nstop_timeout = 3\npull_policy = \"never\"\nruntime = \"crun\"\n",
    );
    env.box_(&["create", "--name", "plain", "t"]).ok();
    let facts = env.box_(&["inspect", "plain"]).json()[0].clone();
    for (pointer, value) in [
        ("/BoundingCaps", "[\"CAP_CHOWN\",\"CAP_KILL\"]"),
        ("/HostConfig/ShmSize", "1048576"),
        ("/HostConfig/PidsLimit", "77"),
        ("/HostConfig/Init", "true"),
        ("/HostConfig/ReadonlyRootfs", "true"),
        ("/HostConfig/NetworkMode", "\"none\""),
        ("/HostConfig/UTSMode", "\"host\""),
        ("/HostConfig/LogConfig/Type", "\"json-file\""),
        ("/HostConfig/LogConfig/Tag", "\"mine\""),
        ("/HostConfig/LogConfig/Config/max-size", "\"9000\""),
        ("/HostConfig/Dns", "[\"192.0.2.1\"]"),
        ("/HostConfig/Annotations", "{\"a\":\"conf\",\"b\":\"conf\"}"),
        ("/Config/StopTimeout", "3"),
        ("/OCIRuntime", "\"box\""),
        ("/Mounts/0/Destination", "\"/conf\""),
    ] {
        assert_eq!(facts.pointer(pointer).map(ToString::to_string).as_deref(), Some(value), "{pointer}: {facts}");
    }
    let typed = ["create", "--name", "typed", "--shm-size=2m", "--init=false", "--read-only=false", "--network=host"];
    let more = ["--annotation", "a=typed", "--stop-timeout=9", "--ulimit=nofile=50:60", "--hostname=h", "--uts=", "t"];
    env.cmd(&typed).args(&more).run().ok();
    let facts = env.box_(&["inspect", "typed"]).json()[0].clone();
    for (pointer, value) in [
        ("/HostConfig/ShmSize", "2097152"),
        ("/HostConfig/Init", "false"),
        ("/HostConfig/ReadonlyRootfs", "false"),
        ("/HostConfig/NetworkMode", "\"host\""),
        ("/HostConfig/Annotations", "{\"a\":\"typed\",\"b\":\"conf\"}"),
        ("/HostConfig/Sysctls", "{\"kernel.msgmax\":\"1000\"}"),
        ("/Config/StopTimeout", "9"),
        ("/Config/Hostname", "\"h\""),
    ] {
        assert_eq!(facts.pointer(pointer).map(ToString::to_string).as_deref(), Some(value), "{pointer}: {facts}");
    }
    assert_eq!(facts["HostConfig"]["Ulimits"].as_array().map(Vec::len), Some(1), "{facts}");
    // Variables of the configuration stand behind the image's.
    let seen = env.box_(&["run", "--rm", "--pids-limit=-1", "t", "info"]).json()["env"].clone();
    assert_eq!((seen["FROM_CONF"].as_str(), seen["IMAGE"].as_str()), (Some("1"), Some("payload")), "{seen}");
}

#[test]
fn files_of_the_user_drop_ins_and_variables() {
    let mut env = TestEnv::with_image();
    env.unset("CONTAINERS_CONF");
    let size = |env: &TestEnv| {
        env.box_(&["create", "--name", "x", "--replace", "t"]).ok();
        env.inspect("x", "{{.HostConfig.ShmSize}}")
    };
    env.file("config/containers/containers.conf", "[containers]\nshm_size = \"1k\"\n");
    assert_eq!(size(&env), "1024");
    env.file("config/containers/containers.conf.d/b.conf", "[containers]\nshm_size = \"3k\"\n");
    env.file("config/containers/containers.conf.d/a.conf", "[containers]\nshm_size = \"2k\"\n");
    env.file("config/containers/containers.conf.d/c.other", "[containers]\nshm_size = \"9k\"\n");
    assert_eq!(size(&env), "3072");
    let path = env.file("over.conf", "[containers]\nshm_size = \"4k\"\n[engine]\nnum_locks = 5\n");
    env.set("CONTAINERS_CONF_OVERRIDE", path.display().to_string());
    assert_eq!(size(&env), "4096");
    let shown = env.box_(&["info", "--config"]).ok();
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("containers.shm_size").contains(" 4k ") && line("containers.shm_size").contains(" yes "), "{shown}");
    assert!(line("containers.shm_size").ends_with("over.conf"), "{shown}");
    assert!(line("engine.num_locks").contains(" no: there are as many locks as containers "), "{shown}");
    env.set("CONTAINERS_CONF_OVERRIDE", "/nonesuch.conf");
    env.box_(&["create", "t"]).fails(125).says("/nonesuch.conf");
}

#[test]
fn what_is_wrong_names_its_file() {
    for (text, said) in [
        ("[containers", "containers.conf"),
        ("[containers]\nshm_size = \"much\"", "cannot use `shm_size` of"),
        ("[containers]\nlog_driver = \"pigeon\"", "cannot use `log_driver` of"),
        ("[containers]\ninit = \"perhaps\"", "cannot use `init` of"),
        ("[containers]\nvolumes = [\"/a:/b:/c:/d\"]", "cannot use `volumes` of"),
        ("[containers]\nenv = [[1]]", "cannot use `env` of"),
        ("[engine]\ndetach_keys = \"ctrl-\"", "cannot use `detach_keys` of"),
    ] {
        let env = with(text);
        env.box_(&["run", "--rm", "t", "true"]).fails(125).says(said).says("containers.conf");
    }
}

#[test]
fn explained_without_being_made() {
    let env = with("[containers]\nshm_size = \"1m\"\n");
    let shown = env.box_(&["run", "--dry-run", "--explain", "-m=64m", "-v", "data:/data", "t", "info", "x"]).ok();
    let line = |label: &str| shown.lines().find(|line| line.starts_with(label)).unwrap_or_default().to_owned();
    assert!(line("memory").ends_with("command line") && line("memory").contains("67108864"), "{shown}");
    assert!(line("shared memory").contains("containers.shm_size of"), "{shown}");
    assert!(line("entrypoint").is_empty() && line("command").ends_with("command line"), "{shown}");
    assert!(line("environment").ends_with("image") && line("stop timeout").ends_with("default"), "{shown}");
    assert!(line("mounts").contains("volume data at /data (rw)"), "{shown}");
    let shown = env.box_(&["create", "--dry-run", "t"]).ok();
    assert!(shown.starts_with("SETTING") && !shown.contains("FROM"), "{shown}");
    assert_eq!(env.box_(&["ps", "-aq"]).ok() + &env.box_(&["volume", "ls", "-q"]).ok(), "");
    env.box_(&["create", "--dry-run", "-v", "/nonesuch:/x", "t"]).fails(125).says("/nonesuch");
    env.box_(&["create", "--dry-run", "nonesuch"]).fails(125).says("there is no image `nonesuch`");
    env.box_(&["create", "--name", "x", "t"]).ok();
    env.box_(&["create", "--dry-run", "--name", "x", "t"]).fails(125).says("the name `x` is in use");
    env.box_(&["run", "--explain", "t"]).fails(125).says("--dry-run");
    assert_eq!(env.cmd(&["info", "--config"]).set("CONTAINERS_CONF", "/dev/null").run().ok().lines().count(), 1);
}

#[test]
fn the_hosts_variables_and_time_zone() {
    let mut env = TestEnv::with_image();
    env.set("FROM_HOST", "1");
    env.set("IMAGE", "host");
    let seen = env.inside(&["--env-host"], &["info"]).json()["env"].clone();
    assert_eq!((seen["FROM_HOST"].as_str(), seen["IMAGE"].as_str()), (Some("1"), Some("payload")), "{seen}");
    env.inside(&["--tz", "../etc/passwd"], &["true"]).fails(125).says("no time zone");
    env.inside(&["--tz", "No/Where"], &["true"]).fails(125).says("No/Where");
    let zone = std::path::Path::new("/usr/share/zoneinfo/Asia/Tokyo");
    if !zone.exists() {
        skip!("this host has no time zones: apt-get install tzdata");
    }
    let seen = env.inside(&["--tz", "Asia/Tokyo"], &["cat", "/etc/localtime"]);
    assert_eq!(seen.stdout, std::fs::read(zone).unwrap());
}

#[test]
fn of_pushes_and_secrets() {
    let env = with("[engine]\ncompression_format = \"zstd\"\ncompression_level = 5\n[secrets]\ndriver = \"file\"\n");
    env.box_(&["push", "-q", "t", "oci:layout:x"]).ok();
    let blobs = std::fs::read_dir(env.base.join("layout/blobs/sha256")).unwrap().flatten();
    let texts: Vec<String> = blobs.filter_map(|blob| std::fs::read_to_string(blob.path()).ok()).collect();
    assert!(texts.iter().any(|text| text.contains("tar+zstd")), "{texts:?}");
    env.cmd(&["secret", "create", "a", "-"]).stdin("x").run().ok();
    assert_eq!(env.box_(&["secret", "inspect", "--format", "{{.Spec.Driver.Name}}", "a"]).ok(), "file");
    let used = env.box_(&["info", "--config"]).ok();
    assert!(used.lines().skip(1).all(|line| line.contains(" yes ")), "{used}");
    for (conf, says) in [
        ("[engine]\ncompression_format = \"lzma\"\n", "cannot use `compression_format`"),
        ("[engine]\ncompression_format = \"gzip\"\ncompression_level = 10\n", "cannot use `compression_level`"),
        ("[engine]\nimage_default_format = \"v2s1\"\n", "cannot use `image_default_format`"),
    ] {
        env.file("containers.conf", conf);
        env.box_(&["push", "-q", "t", "oci:layout:y"]).fails(125).says(says);
    }
    env.file("containers.conf", "[engine]\nimage_default_format = \"v2s2\"\n");
    env.box_(&["push", "-q", "t", "dir:folder"]).ok();
    let manifest = std::fs::read_to_string(env.base.join("folder/manifest.json")).unwrap();
    assert!(manifest.contains("application/vnd.docker.distribution.manifest.v2+json"), "{manifest}");
    env.file("containers.conf", "[secrets]\ndriver = \"pigeon\"\n");
    env.cmd(&["secret", "create", "b", "-"]).stdin("x").run().fails(125).says("pigeon");
}

#[test]
fn of_events() {
    let env = TestEnv::with_image();
    let file = env.base.join("told/box.log");
    let conf = |rest: &str| {
        env.file("containers.conf", format!("[engine]\nevents_logfile_path = \"{}\"\n{rest}", file.display()));
    };
    let events = || env.box_(&["events", "--stream=false", "--format", "{{.Status}} {{.Name}}"]);
    conf("events_logger = \"file\"\nhealthcheck_events = false\n");
    env.background("web", &["--health-cmd", "[\"true\"]", "--health-interval", "1s"], &["pause"]);
    env.box_(&["wait", "--condition", "healthy", "web"]).ok();
    env.box_(&["kill", "web"]).ok();
    env.box_(&["wait", "web"]);
    let told = events().ok();
    for event in ["create web", "start web", "died web"] {
        assert!(told.lines().any(|line| line == event), "no `{event}` in\n{told}");
    }
    assert!(!told.contains("health_status"), "{told}");
    assert!(!env.data().join("events/journal.1").exists() && file.exists());
    // Everything is longer than this, so what is older than the last event is in the file before it.
    conf("events_logfile_max_size = \"1\"\n");
    env.box_(&["rename", "web", "api"]).ok();
    env.box_(&["rename", "api", "web"]).ok();
    assert_eq!(events().ok().lines().count(), 1, "{}", events());
    conf("events_logger = \"none\"\n");
    env.box_(&["rm", "web"]).ok();
    events().fails(125).says("no events are kept").says("events_logger");
    conf("");
    assert!(!events().ok().contains("remove"), "{}", events());
    for (rest, said) in [
        ("events_logger = \"pigeon\"", "cannot use `events_logger` of"),
        ("events_logfile_max_size = \"much\"", "cannot use `events_logfile_max_size` of"),
        ("healthcheck_events = \"perhaps\"", "cannot use `healthcheck_events` of"),
    ] {
        conf(rest);
        env.box_(&["run", "--rm", "t", "true"]).fails(125).says(said);
    }
}

#[test]
fn of_logs_names_and_addresses() {
    let env = TestEnv::with_image();
    let folder = env.base.join("logs");
    std::fs::create_dir(&folder).unwrap();
    let text = format!(
        "[containers]\nlog_path = \"{}\"\ncontainer_name_as_hostname = true\n\
         [network]\ndefault_host_ips = [\"127.0.0.1\", \"127.0.0.2\"]\n",
        folder.display()
    );
    env.file("containers.conf", &text);
    env.background("my_web.1", &[], &["both", "to out\n", "to err\n"]);
    env.box_(&["wait", "my_web.1"]).ok();
    assert_eq!(env.inspect("my_web.1", "{{.Config.Hostname}}"), "myweb.1");
    let id = env.inspect("my_web.1", "{{.Id}}");
    let log = folder.join(&id).join("ctr.log");
    assert!(std::fs::read_to_string(&log).unwrap().contains(" stdout F to out\n"), "{}", log.display());
    assert_eq!(env.box_(&["logs", "my_web.1"]).ok(), "to out");
    env.box_(&["rm", "my_web.1"]).ok();
    assert!(log.exists(), "what is kept in a folder of the host's stays there");
    env.box_(&["create", "--name", "a", "-p", "8080:80", "-p", "127.0.0.9:81:81", "-h", "typed", "t"]).ok();
    let bindings = env.box_(&["inspect", "--format", "{{json .HostConfig.PortBindings}}", "a"]).json();
    let ips = |port: &str| {
        let list = bindings[port].as_array().unwrap_or_else(|| panic!("{bindings}"));
        list.iter().filter_map(|entry| entry["HostIp"].as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((ips("80/tcp"), ips("81/tcp")), ("127.0.0.1 127.0.0.2".into(), "127.0.0.9".into()), "{bindings}");
    assert_eq!(env.inspect("a", "{{.Config.Hostname}}"), "typed");
    for (text, said) in [
        ("[containers]\nlog_path = \"here\"", "cannot use `log_path` of"),
        ("[containers]\ncontainer_name_as_hostname = 2", "cannot use `container_name_as_hostname` of"),
        ("[network]\ndefault_host_ips = [\"here\"]", "cannot use `default_host_ips` of"),
    ] {
        env.file("containers.conf", text);
        env.box_(&["create", "t"]).fails(125).says(said);
    }
}

#[test]
fn of_subnets() {
    let env = with(
        "[network]\ndefault_subnet_pools = [{\"base\" = \"198.18.0.0/23\", \"size\" = 24}, \
         {\"base\" = \"198.19.5.0/28\", \"size\" = 29}]\n",
    );
    let subnet = |name: &str| {
        env.box_(&["network", "create", name]).ok();
        env.box_(&["network", "inspect", "--format", "{{(index .subnets 0).subnet}}", name]).ok()
    };
    let found = ["a", "b", "c", "d"].map(subnet);
    assert_eq!(found, ["198.18.0.0/24", "198.18.1.0/24", "198.19.5.0/29", "198.19.5.8/29"]);
    env.box_(&["network", "create", "e"]).fails(125).says("no network");
    env.box_(&["network", "create", "--driver", "none", "f"]).ok();
    for wrong in ["1", "[{\"base\" = \"fd00::/64\", \"size\" = 70}]", "[{\"base\" = \"10.0.0.0/16\", \"size\" = 8}]"] {
        env.file("containers.conf", format!("[network]\ndefault_subnet_pools = {wrong}\n"));
        env.box_(&["network", "create", "g"]).fails(125).says("cannot use `default_subnet_pools` of");
    }
}

/// All keys of containers.conf(5), each with a value that it may have.
#[test]
fn each_key_is_gone_by_or_has_its_reason() {
    let env = with(include_str!("golden/containers.conf"));
    let shown = env.box_(&["info", "--config"]).ok();
    let keys: Vec<&str> = shown.lines().skip(1).collect();
    assert!(keys.len() > 120, "{} keys", keys.len());
    for line in keys {
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        let known = words.iter().any(|word| *word == "yes" || word.starts_with("no: "));
        assert!(known && !line.contains("no such key"), "{line}");
    }
    env.file("containers.conf", "[containers]\nshm_sise = \"1m\"\n");
    assert!(env.box_(&["info", "--config"]).ok().contains("no: there is no such key"));
}
