//! `box port`: where published ports lead.

use crate::env::TestEnv;

#[test]
fn published_ports_are_printed() {
    let env = TestEnv::with_image();
    let words = ["create", "--name", "c", "-p", "127.0.0.1:18080:80", "-p", "18053:53/udp", "t", "pause"];
    env.box_(&words).ok();
    assert_eq!(env.box_(&["port", "c"]).ok(), "80/tcp -> 127.0.0.1:18080\n53/udp -> 0.0.0.0:18053");
    assert_eq!(env.box_(&["port", "c", "80"]).ok(), "127.0.0.1:18080");
    assert_eq!(env.box_(&["port", "-l", "53/udp"]).ok(), "0.0.0.0:18053");
    env.box_(&["port", "c", "53"]).fails(125).says("port 53/tcp of container `c` is not published");
    env.box_(&["port", "c", "x"]).fails(125).says("`x` is not a port");
    env.box_(&["port", "nobody"]).fails(125).says("`nobody`");
    assert_eq!(env.box_(&["port", "-a"]).ok(), "");
}
