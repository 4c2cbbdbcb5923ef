//! What a Dockerfile, a context or a command of a step could try against the host: `reference/security.md` 1G.

use super::site::Site;
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
