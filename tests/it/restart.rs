//! `box restart`, and `--restart`: what starts again, when and how often.

use crate::env::TestEnv;

#[test]
fn what_runs_is_stopped_first_and_what_does_not_is_started() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["pause"]);
    env.box_(&["create", "--name", "b", "--network", "none", "t", "pause"]).ok();
    let before = env.inspect("a", "{{.State.Pid}}");
    env.await_log("a", "ready");
    assert_eq!(env.box_(&["restart", "a", "b"]).ok(), "a\nb");
    assert_ne!(env.inspect("a", "{{.State.Pid}}"), before);
    assert_eq!(env.inspect("b", "{{.State.Running}}"), "true");
    env.box_(&["restart", "nobody"]).fails(125).says("`nobody`");
    env.box_(&["restart"]).ends(125);
    // Only what runs.
    env.box_(&["stop", "-t", "0", "b"]).ok();
    assert_eq!(env.box_(&["restart", "-t", "0", "--running", "a", "b"]).ok(), "a");
    assert_eq!(env.inspect("b", "{{.State.Running}}"), "false");
}
