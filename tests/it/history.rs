//! `box history`, `image tree`, `untag`, and how `images` sorts and filters.

use crate::env::TestEnv;
use crate::image::Image;
use crate::tarball::Tar;
use serde_json::json;

/// Two layers, and three steps of which one made none.
fn made_in_steps() -> Image {
    let mut image = Image::empty()
        .layer(Tar::new().file("a", 0o644, [b'a'; 2000]).finish())
        .layer(Tar::new().file("b", 0o644, [b'b'; 300]).finish());
    image.config["history"] = json!([
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD a /"},
        {"created": "2024-01-02T00:00:00Z", "created_by": "CMD a long command that does not fit into the table at all", "empty_layer": true},
        {"created": "2024-01-03T00:00:00Z", "created_by": "COPY b /", "comment": "why"},
    ]);
    image
}

fn load(env: &TestEnv, image: &Image, names: &[&str]) {
    let file = env.base.join("image.tar");
    image.build().docker_archive(&file, names);
    env.load(&file);
}

#[test]
fn steps_come_last_first() {
    let env = TestEnv::new();
    load(&env, &made_in_steps(), &["localhost/h:1"]);
    let id = env.box_(&["images", "-q", "--no-trunc"]).ok().replace("sha256:", "");
    let shown = env.box_(&["history", "h:1"]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].contains("CREATED BY") && lines[0].ends_with("COMMENT"), "{shown}");
    assert!(lines[1].starts_with(&id[..12]) && lines[1].contains("COPY b /") && lines[1].ends_with("why"), "{shown}");
    assert!(lines[1].contains(" 300B ") && lines[2].contains(" 0B ") && lines[3].contains(" 2kB "), "{shown}");
    assert!(lines[2].starts_with("<missing>") && lines[2].contains("does not fit into ..."), "{shown}");
    assert_eq!(env.box_(&["history", "-q", "h:1"]).ok(), format!("{}\n<missing>\n<missing>", &id[..12]));
    let full = env.box_(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "h:1"]).ok();
    assert!(full.contains("into the table at all"), "{full}");
    let plain = env.box_(&["history", "--human=false", "--format", "{{.Created}} {{.Size}}", "h:1"]).ok();
    assert_eq!(plain.lines().next(), Some("2024-01-03T00:00:00Z 300"));
    let all = env.box_(&["image", "history", "--format", "json", "h:1"]).json();
    assert_eq!(
        (&all[0]["id"], &all[0]["tags"][0], &all[2]["size"]),
        (&json!(id), &json!("localhost/h:1"), &json!(2000))
    );
    assert_eq!((&all[1]["id"], &all[2]["CreatedBy"]), (&json!("<missing>"), &json!("ADD a /")));
    env.box_(&["history", "nonesuch"]).fails(125).says("nonesuch");
}

#[test]
fn trees() {
    let env = TestEnv::new();
    load(&env, &made_in_steps(), &["localhost/h:1"]);
    let more = made_in_steps().layer(Tar::new().file("c", 0o644, "c").finish());
    load(&env, &more, &["localhost/more:1"]);
    let tree = env.box_(&["image", "tree", "more:1"]).ok();
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("Image ID: ") && lines[1] == "Tags:     [localhost/more:1]", "{tree}");
    assert!(lines[4].starts_with("├── ID: ") && !lines[4].contains("Top Layer"), "{tree}");
    assert!(lines[5].ends_with("Top Layer of: [localhost/h:1]"), "{tree}");
    assert!(lines[6].starts_with("└── ID: ") && lines[6].ends_with("Top Layer of: [localhost/more:1]"), "{tree}");
    let above = env.box_(&["image", "tree", "--whatrequires", "h:1"]).ok();
    assert!(above.lines().last().unwrap().starts_with("    └── ID: "), "{above}");
}

#[test]
fn names_are_taken_away_and_remembered() {
    let env = TestEnv::new();
    load(&env, &made_in_steps(), &["localhost/h:1", "localhost/h:2", "localhost/h:3"]);
    env.box_(&["untag", "h:1", "h:2"]).ok();
    let names = || env.box_(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    assert_eq!(names(), "localhost/h:1\nlocalhost/h:3");
    env.box_(&["untag", "h:1", "h:2"]).fails(125).says("h:2");
    env.box_(&["untag", "h:1", "nonesuch"]).fails(125);
    assert_eq!(names(), "localhost/h:1\nlocalhost/h:3", "all or nothing");
    env.box_(&["image", "untag", "h:3"]).ok();
    assert_eq!(names(), "<none>:<none>");
    let shown = env.box_(&["images", "--history", "--noheading"]).ok();
    assert!(["localhost/h:1", "localhost/h:2", "localhost/h:3"].iter().all(|name| shown.contains(name)), "{shown}");
}

#[test]
fn sorted_and_filtered() {
    let env = TestEnv::new();
    for (name, day, size) in [("b:2", 1, 10), ("a:1", 2, 3000), ("c:1", 3, 200)] {
        let mut image = Image::empty().layer(Tar::new().file("f", 0o644, vec![b'x'; size]).finish());
        image.config["created"] = json!(format!("2024-01-0{day}T00:00:00Z"));
        image.run = json!({"Labels": {"of": name}});
        load(&env, &image, &[&format!("localhost/{name}")]);
    }
    let names = |args: &[&str]| {
        let words = [&["images", "--format", "{{.Repository}}:{{.Tag}}"], args].concat();
        env.box_(&words).ok().replace("localhost/", "").replace('\n', " ")
    };
    for (key, expected) in
        [("created", "c:1 a:1 b:2"), ("repository", "a:1 b:2 c:1"), ("size", "b:2 c:1 a:1"), ("tag", "c:1 a:1 b:2")]
    {
        assert_eq!(names(&["--sort", key]), expected, "{key}");
    }
    env.box_(&["create", "--name", "k", "a:1", "x"]).ok();
    for (filter, expected) in [
        ("until=2024-01-02T12:00:00Z", "a:1 b:2"),
        ("label!=of=a:1", "c:1 b:2"),
        ("reference!=c", "a:1 b:2"),
        ("containers=true", "a:1"),
        ("containers=false", "c:1 b:2"),
        ("intermediate=true", ""),
        ("readonly=false", "c:1 a:1 b:2"),
        ("before=c:1", "a:1 b:2"),
    ] {
        assert_eq!(names(&["--filter", filter]), expected, "{filter}");
    }
    let digest = env.box_(&["image", "inspect", "--format", "{{.Digest}}", "b:2"]).ok();
    assert_eq!(names(&["--filter", &format!("digest={}", &digest[..20])]), "b:2");
    env.box_(&["images", "--filter", "x=y"]).fails(125).hints("reference");
    env.box_(&["images", "--sort", "x"]).ends(125);
}
