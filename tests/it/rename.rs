//! `box rename`: another name, also for what runs.

use crate::env::TestEnv;

#[test]
fn a_container_that_runs_gets_another_name() {
    let env = TestEnv::with_image();
    let id = env.background("old", &["--rm"], &["pause"]);
    assert_eq!(env.box_(&["rename", "old", "new"]).ok(), "");
    assert_eq!(env.inspect("new", "{{.Id}} {{.Name}}"), format!("{id} new"));
    env.box_(&["inspect", "old"]).ends(125);
    // The old name is free, and the new one taken.
    env.box_(&["create", "--name", "old", "t"]).ok();
    env.box_(&["create", "--name", "new", "t"]).fails(125).says("the name `new` is in use");
    env.box_(&["rename", "old", "new"]).fails(125).says("the name `new` is in use");
    env.box_(&["rename", "new", "a b"]).fails(125).says("cannot be a container's name");
    env.box_(&["rename", "nobody", "x"]).fails(125).says("`nobody`");
    // What its monitor removes at the end is what it is called by then.
    env.box_(&["stop", "-t", "0", "new"]).ok();
    env.box_(&["create", "--name", "new", "t"]).ok();
}
