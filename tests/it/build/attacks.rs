//! What a Dockerfile, a context or a command of a step could try against the host: `reference/security.md` 1G.

use super::site::{Site, is_anywhere};
use crate::env::eventually;
use std::fs;
use std::os::unix::fs::symlink;

/// Something of the host that must stay as it is.
fn canary(site: &Site) -> String {
    site.env.file("host/canary", "alive").display().to_string()
}

#[test]
fn links_in_a_stage_lead_nowhere_else() {
    // CVE-2024-1753 and its kin.
    let site = Site::new();
    let canary = canary(&site);
    let outcome = site.build(
        &format!(
            "FROM base AS evil\nRUN ln -s / /root-link && ln -s {canary} /file-link && ln -s ../../../../../.. /up\n\
             FROM base\nRUN --mount=type=bind,from=evil,source=/root-link,target=/mnt,rw ls /mnt/root-link -d && echo x > /mnt/evil; true\n\
             RUN --mount=type=bind,from=evil,source=/up,target=/mnt,rw echo x > /mnt/evil2\n"
        ),
        &[],
    );
    outcome.ok();
    let file = site.build(
        "FROM base AS evil\nRUN ln -s /nowhere/canary /file-link\nFROM base\n\
         RUN --mount=type=bind,from=evil,source=/file-link,target=/mnt cat /mnt\n",
        &[],
    );
    assert_ne!(file.code, 0, "{file}");
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
    assert!(!std::path::Path::new("/evil").exists() && !std::path::Path::new("/evil2").exists());
}

#[test]
fn links_in_the_context_lead_nowhere_else() {
    let site = Site::new();
    let canary = canary(&site);
    symlink(&canary, site.env.base.join("ctx/absolute")).unwrap();
    symlink("../host/canary", site.env.base.join("ctx/relative")).unwrap();
    symlink("../host", site.env.base.join("ctx/folder")).unwrap();
    for source in ["absolute", "relative", "folder/canary", "folder", "../host/canary"] {
        let outcome = site.build(&format!("FROM base\nCOPY {source} /got\n"), &[]);
        assert_ne!(outcome.code, 0, "{source}\n{outcome}");
    }
    // Further down they are copied as the links that they are.
    site.build("FROM base\nCOPY . /all\n", &[]).ok();
    assert_eq!(site.sh("cat /all/relative 2>/dev/null; readlink /all/relative"), "../host/canary");
}

#[test]
fn mount_points_are_removed_without_following_links() {
    // CVE-2024-23652.
    let site = Site::new();
    let canary = canary(&site);
    let folder = std::path::Path::new(&canary).parent().unwrap().display().to_string();
    let outcome = site.build(
        &format!(
            "FROM base\nRUN --mount=type=tmpfs,target=/a/canary true; umount /a/canary 2>/dev/null; rm -rf /a 2>/dev/null; \
             ln -sfn {folder} /a; true\nRUN --mount=type=bind,target=/b/x,source=. mv /b /c 2>/dev/null; ln -sfn {folder} /b; true\n"
        ),
        &[],
    );
    outcome.ok();
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
}

#[test]
fn what_a_command_may_not_without_being_allowed() {
    let site = Site::new();
    for (flag, hint) in [
        ("--network=host", "--allow network.host"),
        ("--security=insecure", "--allow security.insecure"),
        ("--device=vendor.com/x=y", "--allow device="),
    ] {
        let outcome = site.build(&format!("FROM base\nRUN {flag} true\n"), &[]);
        assert_ne!(outcome.code, 0, "{flag}");
        outcome.says(hint);
    }
    site.build(
        "FROM base\nRUN --security=insecure grep CapEff /proc/self/status > /caps\n",
        &["--allow", "security.insecure"],
    )
    .ok();
    assert!(site.sh("cat /caps").contains("1ffffffffff"), "all rights that there are");
    site.build("# syntax=evil/frontend\nFROM base\n", &[]).fails(125).says("syntax");
}

#[test]
fn targets_that_are_not_to_be_mounted_on() {
    let site = Site::new();
    for mount in
        ["type=bind,target=/proc/self", "type=tmpfs,target=/", "type=bind,source=../../..,target=/x/../../../y"]
    {
        let outcome = site.build(&format!("FROM base\nRUN --mount={mount} true\n"), &[]);
        if outcome.code == 0 {
            // Confined: it was mounted in the container, of the context.
            assert!(mount.contains("source="), "{mount}\n{outcome}");
        }
    }
}

#[test]
fn words_of_mounts_reach_no_more_than_they_say() {
    // CVE-2024-9407, CVE-2024-9675.
    let site = Site::new();
    let canary = canary(&site);
    for (mount, says) in [
        ("type=bind,target=/x,bind-propagation=rshared", "bind-propagation"),
        ("type=bind,target=/x,bind-propagation=rshared:/etc:rw", "bind-propagation"),
        ("type=cache,target=/x,uid=-1", "uid"),
        ("type=cache,target=/x,mode=77777777777", "mode"),
        ("type=tmpfs,target=/x,size=-1", "size"),
    ] {
        let outcome = site.build(&format!("FROM base\nRUN --mount={mount} true\n"), &[]);
        outcome.fails(125).says(says);
    }
    let up = "../".repeat(12);
    let folder = std::path::Path::new(&canary).parent().unwrap().display().to_string();
    for mount in [
        format!("type=cache,target=/x,id={up}{folder}"),
        format!("type=cache,target=/x,id={folder}"),
        format!("type=cache,target=/x,from=base,source={up}{folder}"),
        format!("type=bind,target=/x,rw,source={up}{folder}"),
    ] {
        // Refused, or inside: the file of the host is not there.
        let outcome =
            site.build(&format!("FROM base\nRUN --mount={mount} cat /x/canary; echo dead > /x/canary\n"), &[]);
        assert!(!outcome.err().contains("alive"), "{mount}\n{outcome}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive", "{mount}");
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere_else() {
    // CVE-2024-11218, CVE-2024-23651: one stage swaps what another mounts below, in the cache that they share.
    let site = Site::new();
    let canary = canary(&site);
    let folder = std::path::Path::new(&canary).parent().unwrap();
    let steps: String = (0..8)
        .map(|number| {
            format!(
                "RUN --mount=type=cache,id=s,target=/c --mount=type=bind,source=.,target=/c/x/y,rw \
                 [ -d /c/x/y ] && echo {number} > /c/x/y/canary; true\n"
            )
        })
        .collect();
    let dockerfile = format!(
        "FROM base AS swapper\nRUN --mount=type=cache,id=s,target=/c mkdir -p /c/real/y && ln -s {} /c/link; \
         n=0; while [ ! -e /c/stop ]; do ln -sfn real /c/t && mv -T /c/t /c/x; ln -sfn {} /c/t && mv -T /c/t /c/x; done; true\n\
         FROM base AS victim\n{steps}RUN --mount=type=cache,id=s,target=/c touch /c/stop\n\
         FROM base\nCOPY --from=victim /etc/passwd /one\nCOPY --from=swapper /etc/passwd /two\n",
        folder.display(),
        folder.display(),
    );
    // It may fail, where a name went just then; that is all.
    let _ = site.build(&dockerfile, &[]);
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    assert!(!site.env.base.join("ctx/canary").exists());
    // A build that failed leaves commands that were ended with it to whichever command comes next.
    let containers = site.env.data().join("containers");
    eventually("all containers to be gone", || {
        site.env.box_(&["ps"]).ok();
        fs::read_dir(&containers).is_ok_and(|mut left| left.next().is_none())
    });
}

#[test]
fn archives_as_contexts_stay_where_they_are_unpacked() {
    // CVE-2026-33748 and its kin, as archives.
    let site = Site::new();
    let canary = canary(&site);
    let folder = std::path::Path::new(&canary).parent().unwrap().display().to_string();
    let copy = "FROM base\nCOPY . /all\n";
    let tar = crate::tarball::Tar::new;
    for (what, archive) in [
        ("a Dockerfile that is a link", tar().link("Dockerfile", &canary).finish()),
        (
            "a link that is written through",
            tar().file("Dockerfile", 0o644, copy).link("l", &folder).file("l/canary", 0o644, "dead").finish(),
        ),
        (
            "a name that leads up",
            tar().file("Dockerfile", 0o644, copy).file("../../../../host/canary", 0o644, "dead").finish(),
        ),
        ("a name from the root", tar().file("Dockerfile", 0o644, copy).file(&canary, 0o644, "dead").finish()),
    ] {
        let outcome =
            site.env.cmd(&["build", "--progress", "plain", "--network", "none", "-t", "t", "-"]).stdin(archive).run();
        assert!(!outcome.err().contains("alive"), "{what}\n{outcome}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive", "{what}");
        if outcome.code == 0 {
            assert_eq!(site.sh("grep -rl alive /all; true"), "", "{what}");
        }
    }
}

#[test]
fn hooks_of_repositories_are_not_run() {
    // CVE-2026-33747: a submodule that brings hooks, or a name that lies where they are.
    let mut site = Site::new();
    let mark = site.env.base.join("mark");
    site.env.set("GIT_ALLOW_PROTOCOL", "file");
    let script = format!(
        "set -e; git init -q sub; git init -q repo; \
         for r in sub repo; do git -C $r config user.name x; git -C $r config user.email x@x; done; \
         mkdir sub/hooks; printf '#!/bin/sh\\ntouch {mark}\\n' > sub/hooks/post-checkout; chmod +x sub/hooks/post-checkout; \
         git -C sub add -A; git -C sub commit -qm x; \
         printf 'FROM base\\nCOPY . /all\\n' > repo/Dockerfile; \
         git -C repo -c protocol.file.allow=always submodule --quiet add file://$PWD/sub m; \
         printf '[core]\\n\\thooksPath = m/hooks\\n' > repo/.gitconfig; git -C repo config -f .gitmodules submodule.m.update '!touch {mark}'; \
         git -C repo add -A; git -C repo commit -qm x",
        mark = mark.display()
    );
    site.env.other("sh".as_ref()).args(&["-c", &script]).run().ok();
    let url = format!("file://{}/repo", site.env.base.display());
    let outcome = site.env.box_(&["build", "--progress", "plain", "--network", "none", "-t", "t", &url]);
    assert!(!mark.exists(), "{outcome}");
    if outcome.code == 0 {
        assert_eq!(site.sh("ls /all/m/hooks"), "post-checkout", "{outcome}");
    }
}

#[test]
fn secrets_are_nowhere_afterwards() {
    // G8: by file, by variable, by a socket; in a step that works, one that fails, and an image that is pushed.
    let mut site = Site::new();
    let (one, two) = ("marker-of-a-file-71c2", "marker-of-a-variable-93d4");
    site.env.file("host/secret", format!("{one}\n"));
    site.env.set("SECRET", two);
    let options = ["--secret", "id=one,src=host/secret", "--secret", "id=two,env=SECRET"];
    let mounts = "--mount=type=secret,id=one,required=true --mount=type=secret,id=two,env=TWO --mount=type=secret,id=two,target=/deep/two";
    let dockerfile = format!(
        "FROM base\nRUN {mounts} test -n \"$TWO\" && grep -q mark[e]r /run/secrets/one /deep/two && cp /bin/busybox /copied \
         && ! cat /proc/*/cmdline | grep mark[e]r\nRUN ! grep -rs mark[e]r /run /deep /etc\n"
    );
    let outcome = site.build(&dockerfile, &options);
    outcome.ok();
    let failing = format!("FROM base\nRUN {mounts} grep -q mark[e]r /run/secrets/one && exit 3\n");
    let failed = site.build(&failing, &options);
    failed.fails(3);
    let shown = [&outcome, &failed].map(|outcome| outcome.out() + &outcome.err()).concat();
    let told = [
        site.env.box_(&["history", "--no-trunc", "t"]).ok(),
        site.env.box_(&["image", "inspect", "t"]).ok(),
        site.env.box_(&["builder", "du", "--verbose"]).ok(),
    ]
    .concat();
    site.env.box_(&["save", "-q", "-o", "saved.tar", "t"]).ok();
    let saved = fs::read(site.env.base.join("saved.tar")).unwrap();
    for secret in [one, two] {
        assert_eq!(is_anywhere(&site.env.data(), secret), None);
        assert_eq!(is_anywhere(&site.env.run_dir(), secret), None);
        assert!(!shown.contains(secret) && !told.contains(secret));
        assert!(!saved.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    // What a secret holds is no part of what a step is known by: another one is not asked for again.
    site.env.file("host/secret", "marker of another\n");
    assert_eq!(super::site::cached(&site.build(&dockerfile, &options)), 2);
    // One that is not given is an error only where it is required.
    let outcome = site.build("FROM base\nRUN --mount=type=secret,id=none,required true\n", &options);
    outcome.fails(125).says("none");
    site.build("FROM base\nRUN --mount=type=secret,id=none true\n", &options).ok();
}
