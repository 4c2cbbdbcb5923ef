//! Scripts that were written for docker or podman, unchanged, with `docker` being box.

use crate::env::{TestEnv, program};
use crate::readme::load_alpine;
use std::fs;
use std::os::unix::fs::symlink;

/// What a script is about, its text, and what it prints.
const SCRIPTS: [(&str, &str, &str); 30] = [
    ("an id from run", "id=$(docker run -d alpine sleep 60); echo ${#id}; docker rm -f $id >/dev/null", "64"),
    ("a code passed on", "docker run --rm alpine sh -c 'exit 7' || echo code $?", "code 7"),
    ("output of a command", "v=$(docker run --rm alpine echo hi); echo \"<$v>\"", "<hi>"),
    ("remove if there", "docker rm -f nobody >/dev/null 2>&1 || true; echo ok", "ok"),
    ("clean up in CI", "docker ps -aq | xargs -r docker rm -f >/dev/null; docker ps -aq | wc -l", "0"),
    (
        "clean up by label",
        "docker create --label ci=1 alpine >/dev/null; docker ps -aq --filter label=ci=1 | xargs -r docker rm >/dev/null; echo done",
        "done",
    ),
    (
        "a trap",
        "id=$(docker run -d alpine sleep 60); trap 'docker rm -f $id >/dev/null' EXIT; docker inspect -f '{{.State.Running}}' $id",
        "true",
    ),
    (
        "until it runs",
        "docker run -d --name a alpine sleep 60 >/dev/null; until [ \"$(docker inspect -f '{{.State.Running}}' a)\" = true ]; do sleep 0.1; done; echo up; docker rm -f a >/dev/null",
        "up",
    ),
    (
        "until it is healthy",
        "docker run -d --name h --health-cmd true --health-interval 50ms alpine sleep 60 >/dev/null; until [ \"$(docker inspect -f '{{.State.Health.Status}}' h)\" = healthy ]; do sleep 0.1; done; echo well; docker rm -f h >/dev/null",
        "well",
    ),
    (
        "wait for the end",
        "docker run -d --name w alpine sh -c 'exit 3' >/dev/null; docker wait w; docker rm w >/dev/null",
        "3",
    ),
    (
        "logs of what ended",
        "docker run --name l alpine echo said >/dev/null; docker logs l 2>&1; docker rm l >/dev/null",
        "said",
    ),
    ("a pipe in", "printf 'b\\na\\n' | docker run --rm -i alpine sort", "a\nb"),
    ("tar through", "echo x > f; tar c f | docker run --rm -i alpine tar t", "f"),
    ("this folder", "echo text > file; docker run --rm -v $PWD:/w -w /w alpine cat file", "text"),
    ("read-only", "docker run --rm -v $PWD:/w:ro alpine sh -c 'touch /w/x 2>/dev/null || echo refused'", "refused"),
    ("variables", "A=1; export A; docker run --rm -e A -e B=2 alpine sh -c 'echo $A$B'", "12"),
    ("a file of variables", "echo K=v > e; docker run --rm --env-file e alpine sh -c 'echo $K'", "v"),
    ("an entrypoint", "docker run --rm --entrypoint echo alpine one two", "one two"),
    (
        "an entrypoint script",
        "printf '#!/bin/sh\\nset -e\\nexec \"$@\"\\n' > ep.sh; chmod +x ep.sh; docker run --rm -v $PWD/ep.sh:/ep.sh --entrypoint /ep.sh alpine echo through",
        "through",
    ),
    (
        "copy out",
        "id=$(docker create alpine sh -c 'echo made > /out'); docker start -a $id; docker cp $id:/out got; cat got; docker rm $id >/dev/null",
        "made",
    ),
    (
        "copy in",
        "echo cfg > cfg; id=$(docker create alpine cat /cfg); docker cp cfg $id:/cfg; docker start -a $id; docker rm $id >/dev/null",
        "cfg",
    ),
    (
        "exec and its code",
        "docker run -d --name x alpine sleep 60 >/dev/null; docker exec x sh -c 'exit 5' || echo $?; docker rm -f x >/dev/null",
        "5",
    ),
    ("is it there", "docker inspect nobody >/dev/null 2>&1 && echo yes || echo no", "no"),
    ("an image is there", "[ -n \"$(docker images -q alpine)\" ] && echo yes", "yes"),
    (
        "names in a loop",
        "for n in one two; do docker create --name $n alpine >/dev/null; done; docker ps -a --format '{{.Names}}' | sort | tr '\\n' ' '; docker rm one two >/dev/null",
        "one two",
    ),
    (
        "running or not",
        "docker create --name s alpine >/dev/null; if [ -z \"$(docker ps -q -f name=^s$)\" ]; then echo stopped; fi; docker rm s >/dev/null",
        "stopped",
    ),
    (
        "the published port",
        "docker run -d --name p -p 127.0.0.1::80 alpine sleep 60 >/dev/null; docker port p 80 | cut -d: -f1; docker rm -f p >/dev/null",
        "127.0.0.1",
    ),
    (
        "a port by template",
        "docker run -d --name q -p 127.0.0.1:0:80 alpine sleep 60 >/dev/null; docker inspect -f '{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostIp}}' q; docker rm -f q >/dev/null",
        "127.0.0.1",
    ),
    (
        "tag and untag",
        "docker tag alpine mine:ci; docker images --format '{{.Tag}}' | grep -c ci; docker rmi mine:ci >/dev/null",
        "1",
    ),
    (
        "a cidfile",
        "docker run -d --cidfile id alpine sleep 60 >/dev/null; docker kill $(cat id) >/dev/null; docker rm $(cat id) >/dev/null; [ -e id ] || echo gone",
        "gone",
    ),
];

#[test]
fn thirty_scripts() {
    let env = TestEnv::new();
    if !load_alpine(&env) {
        skip!("there is neither an Alpine root file system nor a busybox");
    }
    fs::create_dir(env.base.join("bin")).unwrap();
    symlink(program(), env.base.join("bin/docker")).unwrap();
    let mut wrong = Vec::new();
    for (number, (about, script, printed)) in SCRIPTS.iter().enumerate() {
        let folder = env.base.join(format!("script{number}"));
        fs::create_dir(&folder).unwrap();
        let line = format!("PATH={}/bin:$PATH; cd {}; {script}", env.base.display(), folder.display());
        let outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
        if outcome.out().trim_end() != *printed {
            wrong.push(format!("{about}: not `{printed}`\n{outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
