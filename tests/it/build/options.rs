//! What can be asked for, and what is told of the result.

use super::context;
use crate::env::TestEnv;

#[test]
fn the_id_is_all_that_goes_to_stdout() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\nRUN [\"write\", \"/x\", \"y\"]\nCMD [\"cat\", \"/x\"]\n", &[]);
    let outcome = env.box_(&["build", "-t", "app", "-t", "app:2", "--iidfile", "id", "--metadata-file", "m.json", "c"]);
    let id = outcome.ok();
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{outcome}");
    assert_eq!(std::fs::read_to_string(env.base.join("id")).unwrap(), format!("sha256:{id}"));
    let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(env.base.join("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], format!("sha256:{id}"));
    assert_eq!(metadata["image.name"], "localhost/app:latest,localhost/app:2");
    let digest = env.inspect("app", "{{.Digest}}");
    assert_eq!(metadata["containerimage.digest"], digest);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest);
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "app:2"]).ok(), "y");
    // The same by docker's other names.
    for words in [&["image", "build"][..], &["buildx", "build"], &["builder", "build"], &["buildx", "b"]] {
        let outcome = env.box_(&[words, &["-q", "--load", "--builder", "default", "--provenance=false", "c"]].concat());
        assert_eq!(outcome.ok(), id);
        outcome.quiet();
    }
}

#[test]
fn labels_variables_and_arguments() {
    let mut env = TestEnv::with_image();
    env.set("FROM_HERE", "h");
    env.file("args", "# a comment\nTWO=2\n");
    let text = "FROM t\nARG ONE\nARG TWO\nARG FROM_HERE\nENV ALL=$ONE$TWO$FROM_HERE\n";
    context(&env, text, &[]);
    let words =
        ["build", "-q", "-t", "app", "--build-arg", "ONE=1", "--build-arg", "FROM_HERE", "--build-arg-file", "args"];
    env.box_(&[&words[..], &["--label", "a=b", "--label", "c", "--env", "E=f", "--unsetenv", "IMAGE", "c"]].concat())
        .ok();
    assert_eq!(env.inspect("app", "{{.Config.Labels.a}}{{.Config.Labels.c}}"), "b");
    let variables = env.inspect("app", "{{.Config.Env}}");
    assert!(variables.contains("ALL=12h") && variables.contains("E=f") && !variables.contains("IMAGE="), "{variables}");
}

#[test]
fn options_of_run_reach_the_commands() {
    let env = TestEnv::with_image();
    let lent = env.file("lent/file", "lent\n");
    let text =
        "FROM t\nRUN [\"cat\", \"/etc/hosts\"]\nRUN [\"cat\", \"/lent/file\"]\nRUN [\"field\", \"limits.nofile\"]\n";
    context(&env, text, &[]);
    let volume = format!("{}:/lent:ro", lent.parent().unwrap().display());
    let outcome = env.box_(&[
        "build",
        "--progress=plain",
        "--network",
        "none",
        "--add-host",
        "db=10.1.2.3",
        "-v",
        &volume,
        "--no-cache",
        "c",
    ]);
    outcome.ok();
    outcome.says("10.1.2.3").says("lent");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\n", &[]);
    for (words, text) in [
        (&["-o", "type=lokal,dest=x"][..], "there is no type `lokal`"),
        (&["--cache-to", "type=gha"], "box has no cache of type `gha`"),
        (&["--secret", "src=x"], "it needs a name"),
        (&["--progress", "loud"], "`--progress` cannot be `loud`"),
        (&["--progress", "tty"], "`--progress tty` needs a terminal"),
        (&["--builder", "remote"], "there is no builder `remote`"),
        (&["--isolation", "chroot"], "box does not isolate commands by `chroot`"),
        (&["--rm=false"], "`--rm=false` cannot be honoured"),
        (&["--allow", "everything"], "there is no right `--allow everything`"),
        (&["--build-context", "x"], "is not NAME=VALUE"),
        (&["--annotation", "x"], "it has no equals sign"),
        (&["--timestamp", "soon"], "`--timestamp` cannot be `soon`"),
        (&["--cache-ttl", "soon"], "`--cache-ttl soon` is no duration"),
        (&["-t", "a@sha256:0000000000000000000000000000000000000000000000000000000000000000"], "cannot be chosen"),
        (&["--call", "sing"], "`--call` cannot be `sing`"),
        (&["-f", "nowhere"], "there is no Dockerfile `nowhere`"),
        (&["-o", "type=local"], "it needs a folder"),
    ] {
        env.box_(&[&["build"], words, &["c"]].concat()).fails(125).says(text);
    }
    env.box_(&["build", "nowhere"]).fails(125).says("cannot use the context `nowhere`");
    env.box_(&["build", "c/Dockerfile"])
        .fails(125)
        .says("is a file, not a folder")
        .hints("box build -f c/Dockerfile .");
    let mut env = env;
    env.set("SOURCE_DATE_EPOCH", "soon");
    env.box_(&["build", "c"]).fails(125).says("`SOURCE_DATE_EPOCH=soon` is not a number");
}

#[test]
fn a_dockerfile_is_checked_and_described() {
    let env = TestEnv::with_image();
    let text = "# VERSION of it\nARG VERSION=1\n# one is the first\nFROM t AS one\nFROM one\n\
                RUN --mount=type=secret,id=key,required=true [\"true\"]\nCMD cat x\n";
    context(&env, text, &[]);
    let outcome = env.box_(&["build", "--check", "c"]);
    outcome.ends(1);
    assert_eq!(
        outcome.out().trim_end(),
        "Check complete, 1 warning has been found!\n\n\
         WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n\
         JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n\
         Dockerfile:7\n--------------------\n   5 |     FROM one\n   \
         6 |     RUN --mount=type=secret,id=key,required=true [\"true\"]\n   7 | >>> CMD cat x\n--------------------",
    );
    let outcome = env.box_(&["build", "--call=check,format=json", "c"]);
    outcome.ends(1);
    let found: serde_json::Value = serde_json::from_str(&outcome.out()).unwrap();
    assert_eq!(found["warnings"][0]["ruleName"], "JSONArgsRecommended");
    let targets = env.box_(&["build", "--call", "targets", "c"]).ok();
    assert!(targets.contains("one") && targets.contains("1 (default)"), "{targets}");
    let outline = env.box_(&["build", "--call", "outline", "--build-arg", "VERSION=2", "c"]).ok();
    assert!(outline.contains("VERSION     2") && outline.contains("key         true"), "{outline}");
    env.file("c/Dockerfile", "FROM t\nCMD [\"x\"]\n");
    assert_eq!(env.box_(&["build", "--check", "c"]).ok(), "Check complete, no warnings found.");
}

#[test]
fn what_others_have_is_refused_with_the_reason() {
    let env = TestEnv::new();
    for (option, says, hint) in [
        ("--userns=auto", "has no flag `--userns`: steps run as", "leave it out"),
        ("--logfile=x", "has no flag `--logfile`: the shell does that", "box build"),
        (
            "--sbom-scanner-image=x",
            "has no flag `--sbom-scanner-image`: a scanner is an image",
            "--sbom=generator=IMAGE",
        ),
        ("--all-platforms", "has no flag `--all-platforms`: the store", "--platform"),
    ] {
        env.box_(&["build", option, "c"]).fails(125).says(says).hints(hint);
    }
    // It is said of builds alone.
    let other = env.box_(&["images", "--userns=auto"]);
    assert!(!other.fails(125).err().contains("steps run"), "{other}");
}

#[test]
fn labels_of_the_base_can_be_left_out() {
    let env = TestEnv::new();
    context(&env, "FROM scratch\nLABEL old=1\nCOPY Dockerfile /\n", &[("Two", "FROM base\nLABEL new=2\n")]);
    env.box_(&["build", "-q", "-t", "base", "c"]).ok();
    let labels = |option: &str| {
        env.box_(&["build", "-q", "-t", "app", "-f", "c/Two", option, "c"]).ok();
        env.box_(&["image", "inspect", "--format", "{{.Labels}}", "app"]).ok()
    };
    assert_eq!(labels("--inherit-labels=false"), "map[new:2]");
    assert_eq!(labels("--inherit-labels"), "map[new:2 old:1]");
}
