//! `box buildx bake`.

use crate::env::TestEnv;

const FILE: &str = r#"
variable "TAG" { default = "one" }
group "default" { targets = ["app"] }
target "base" {
  dockerfile-inline = "FROM t\nRUN [\"write\", \"/base\", \"from base\"]\n"
}
target "app" {
  context = "c"
  contexts = { ground = "target:base" }
  args = { WHO = "you" }
  tags = ["app:${TAG}"]
}
"#;

#[test]
fn targets_are_built_each_after_what_it_needs() {
    let env = TestEnv::with_image();
    super::context(&env, "FROM ground\nARG WHO\nENV HELLO=$WHO\nCOPY x /x\n", &[("x", "file")]);
    env.file("docker-bake.hcl", FILE);
    let printed = env.box_(&["buildx", "bake", "--print"]).ok();
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["target"]["app"]["tags"], serde_json::json!(["app:one"]));
    // What a context names is built, too.
    let mut cmd = env.cmd(&["buildx", "bake", "--progress", "plain", "--metadata-file", "meta.json"]);
    let ids = cmd.set("TAG", "two").run().ok();
    assert_eq!(ids.lines().count(), 2);
    assert!(
        std::fs::read_to_string(env.base.join("meta.json")).unwrap().contains("\"image.name\": \"localhost/app:two\"")
    );
    let image = env.box_(&[
        "run",
        "--rm",
        "--network",
        "none",
        "app:two",
        "do",
        "cat",
        "/base",
        ";",
        "cat",
        "/x",
        ";",
        "printenv",
        "HELLO",
    ]);
    assert_eq!(image.ok(), "from basefileyou");
    env.box_(&["buildx", "bake", "nope"]).fails(125).says("nope");
    env.box_(&["buildx", "bake", "-f", "none.hcl"]).fails(125).says("cannot read `none.hcl`");
}
