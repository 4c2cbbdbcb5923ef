//! A disk that refuses: each write fails once, and a disk without a free byte.

use super::deeds::{DEEDS, home, said_why};
use super::inject::{inject, points};
use super::{in_full, the_truth};

/// Every call that needs room on the disk, or the disk.
const CALLS: &str = "write,writev,pwrite64,ftruncate,fallocate,mkdir,mkdirat,mknodat,symlinkat,link,linkat,rename,renameat,\
                     renameat2,fsync,fdatasync,syncfs,fsetxattr,copy_file_range";

#[test]
fn each_write_fails_once() {
    let env = home();
    for (index, deed) in DEEDS.iter().enumerate() {
        (deed.before)(&env);
        let points = points(&env, deed, CALLS, 3);
        (deed.after)(&env, deed.name);
        for (round, point) in points.iter().enumerate() {
            let errors = ["ENOSPC", "EDQUOT", "EIO"];
            let one = [errors[(index + round) % 3]];
            for error in if in_full() { &errors[..] } else { &one[..] } {
                (deed.before)(&env);
                let (outcome, _) = inject(&env, deed, point, &format!("error={error}"));
                let moment = format!("{} with {error} at {point}", deed.name);
                said_why(&outcome, &moment);
                (deed.after)(&env, &moment);
            }
        }
    }
    the_truth(&env, "all of it");
}
