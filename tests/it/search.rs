//! `box search`: docker's old search, the catalog where there is none, and tags.

use crate::env::TestEnv;
use crate::push::small;
use crate::registry::{Answer, Registry};
use serde_json::json;

fn setting() -> (TestEnv, Registry) {
    let registry = Registry::start();
    let env = TestEnv::new();
    let search = format!("unqualified-search-registries = [\"{}\"]\n", registry.host());
    env.file("config/containers/registries.conf", search + &registry.conf());
    (env, registry)
}

#[test]
fn by_docker_s_search() {
    let (env, registry) = setting();
    registry.misbehave(|asked, _| {
        let results = json!({"results": [
            {"name": "alpine", "description": "small\n\u{1b}[31mand red", "star_count": 7, "is_official": true},
            {"name": "me/alpine", "description": "d".repeat(90), "star_count": 0},
        ]});
        asked.path.starts_with("/v1/search?q=alp").then(|| Answer::new(200, results.to_string()))
    });
    let host = registry.host();
    let outcome = env.box_(&["search", "alp"]);
    let text = outcome.ok();
    assert!(text.starts_with("NAME") && text.contains(&format!("{host}/alpine")) && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("ddd...") && !text.contains(&"d".repeat(80)));
    assert!(env.box_(&["search", "--no-trunc", &format!("{host}/alp")]).ok().contains(&"d".repeat(90)));
    let names =
        |flags: &[&str]| env.box_(&[&["search", "--format", "{{.Name}} {{.Stars}}"], flags, &["alp"]].concat()).ok();
    assert_eq!(names(&["--filter", "is-official"]), format!("{host}/alpine 7"));
    assert_eq!(names(&["--filter", "stars=8"]), "");
    assert_eq!(names(&["--limit", "1"]), format!("{host}/alpine 7"));
    env.box_(&["search", "--filter", "x=y", "alp"]).fails(125).says("x=y");
    assert_eq!(env.box_(&["search", "--format", "json", "alp"]).json()[1]["Stars"], 0);
    assert!(env.box_(&["search", "--compatible", "alp"]).ok().contains("STARS"));
}

#[test]
fn by_the_catalog_and_tags() {
    let (env, registry) = setting();
    for tag in ["1", "2", "latest"] {
        registry.push("team/app", tag, &small("x"));
    }
    registry.push("other", "1", &small("x"));
    let name = registry.name("team/app");
    assert_eq!(env.box_(&["search", "--format", "{{.Name}}", "app"]).ok(), name);
    assert_eq!(env.box_(&["search", "--list-tags", "--format", "{{.Tag}}", &name]).ok(), "1\n2\nlatest");
    assert_eq!(
        env.box_(&["search", "--list-tags", "--limit", "2", "--format", "json", &name]).json()[0]["Tags"],
        json!(["1", "2"])
    );
    env.box_(&["search", "--list-tags", &registry.name("app:1")]).fails(125).says("has a tag");
    // Pages that never end, and lead elsewhere.
    registry.misbehave(|asked, _| {
        asked
            .path
            .contains("/tags/list")
            .then(|| Answer::new(200, r#"{"tags":["x"]}"#).header("Link", "<file:///etc/passwd>; rel=\"next\""))
    });
    env.box_(&["search", "--list-tags", &name]).fails(125).says("nowhere");
    registry.misbehave(|asked, _| asked.path.contains("/tags/list").then(|| Answer::new(200, "<html>")));
    env.box_(&["search", "--list-tags", &name]).fails(125).says("no list");
    env.box_(&["search", "127.0.0.1:1/x"]).fails(125).says("127.0.0.1:1");
}
