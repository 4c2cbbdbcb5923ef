//! State files that are cut or have flipped bits: that one container is listed and can be removed, all others work.
//!
//! `BOX_TEST_ROUNDS=500` damages so often.

use crate::env::TestEnv;
use boxlib::base::dirs::Dirs;
use boxlib::container::record;
use std::path::PathBuf;

/// A damaged copy of a file: cut, one bit flipped, a part of zeros, or doubled.
fn damage(bytes: &[u8], round: u64) -> Vec<u8> {
    let random = round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let at = random as usize % bytes.len().max(1);
    let mut bytes = bytes.to_vec();
    match round % 8 {
        0 => bytes.truncate(at),
        1 => bytes[at..].fill(0),
        2 => bytes.extend_from_within(at..),
        _ => bytes[at] ^= 1 << (random % 7),
    }
    bytes
}

#[test]
fn one_that_is_damaged_harms_no_other() {
    let rounds: u64 = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let env = TestEnv::with_image();
    let dirs = Dirs::open(Some(&env.data()), None, None).unwrap();
    let make = |name: &str| {
        env.box_(&["run", "--name", name, "--network", "none", "--health-cmd", "x", "t", "true"]).ok();
        env.inspect(name, "{{.Id}}")
    };
    let (good, mut bad) = (make("good"), make("bad"));
    let path = |id: &str, file: &str| -> PathBuf { env.data().join("containers").join(id).join(file) };
    let files = ["config.json", "config.json", "exit.json", "lock", "limits.json", "health.json"];
    for round in 0..rounds {
        let file = path(&bad, files[round as usize % files.len()]);
        let bytes =
            std::fs::read(&file).unwrap_or_else(|_| b"{\"status\":\"healthy\",\"streak\":0,\"log\":[]}".to_vec());
        // In place: a config is committed by its second name.
        std::fs::write(&file, damage(&bytes, round)).unwrap();
        let said = format!("round {round}, {}", file.display());
        let all = record::all(&dirs);
        let of = |id: &str| all.iter().find(|container| container.config.id.as_str() == id);
        assert!(all.len() == 2 && of(&good).is_some() && of(&bad).is_some(), "{said}: {all:?}");
        assert_eq!(record::find(&dirs, "good").unwrap().config.id.as_str(), good, "{said}");
        all.iter().for_each(|container| drop(container.status()));
        if round % 10 != 9 {
            std::fs::write(&file, bytes).unwrap();
            continue;
        }
        // As a user: listed, looked at, the other one started, and this one gone.
        let listed = env.box_(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Status}}"]).ok();
        assert!(listed.contains(&good) && listed.contains(&bad), "{said}: {listed}");
        env.box_(&["inspect", &bad]).ok();
        env.box_(&["start", "-a", "good"]).ok();
        env.box_(&["rm", "-f", &bad]).ok();
        assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "good", "{said}");
        bad = make("bad");
    }
}
