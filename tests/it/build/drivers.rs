//! Builds on every storage driver: what a command has changed is the same layer to whoever looks at the image.

use super::site::Site;

const DOCKERFILE: &str = "FROM base\n\
    RUN mkdir -p /d/sub && echo one > /d/one && echo more >> /etc/new\n\
    RUN rm -r /d/sub && rm /etc/new && ln -s one /d/two && chmod 750 /d && mkdir /d/new && echo two > /d/one\n\
    COPY f /d/f\n\
    RUN --mount=type=bind,target=/src test -f /d/f -a -f /src/f && rm /d/f && mv /d/new /d/moved && mkdir /d/sub\n\
    RUN true\n";

/// All files with what they are, and what some of them hold.
const LIST: &str = "cd /; find . -xdev -path ./proc -prune -o -path ./dev -prune -o -path ./sys -prune -o -path ./run \
    -prune -o -print | grep -v etc/host | sort | while read -r f; do stat -c '%n %F %a %u:%g %s' \"$f\"; done; cat /d/one";

#[test]
fn a_build_is_the_same_on_every_driver() {
    let site = Site::new();
    site.file("f", "f").file("Dockerfile", DOCKERFILE);
    let mut lists = Vec::new();
    for driver in ["overlay", "copy", "fuse-overlayfs"] {
        if driver == "fuse-overlayfs" && !std::path::Path::new("/usr/bin/fuse-overlayfs").exists() {
            skip!("fuse-overlayfs is missing");
        }
        let words = ["--storage-driver", driver, "build", "-q", "--no-cache", "--network", "none", "-t", "t", "ctx"];
        site.env.box_(&words).ok();
        let list = site.sh(LIST);
        assert!(list.contains("./d/moved directory 755") && list.contains("./d/sub directory"), "{driver}: {list}");
        assert!(!list.contains("./d/f ") && !list.contains("./etc/new "), "{driver}: {list}");
        // The last command has changed nothing, and a mount leaves nothing.
        let layers = site.config("{{len .RootFS.Layers}}");
        lists.push((driver, list, layers));
    }
    for (driver, list, layers) in &lists {
        let (_, expected, as_many) = &lists[0];
        let other: Vec<_> = list.lines().zip(expected.lines()).find(|(is, should)| is != should).into_iter().collect();
        assert!(list == expected, "{driver}: {other:?}");
        assert_eq!(layers, as_many, "{driver}");
    }
}
