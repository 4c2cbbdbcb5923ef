//! Events of containers, as the journal has them.

use super::record::Container;
use crate::base::dirs::Dirs;
use crate::events::{self, Event};

/// An event of a container, of now.
pub(super) fn event(container: &Container, action: &str) -> Event {
    let config = &container.config;
    let mut event = Event::new("container", action, config.id.as_str(), config.name.as_str());
    event.image = config.image_name();
    event.attributes = config.labels.clone();
    event
}

/// Record events, by one write.
pub(super) fn tell(dirs: &Dirs, container: &Container, actions: &[&str]) {
    let all: Vec<Event> = actions.iter().map(|action| event(container, action)).collect();
    events::record(dirs, &all);
}

/// The end of a run; and the container's, if it goes with it.
pub(super) fn died(dirs: &Dirs, container: &Container, code: i32, removed: bool) {
    // Its monitor may not know what it is called by now.
    let name = super::record::current_name(dirs, container).name;
    let died = Event { code: Some(code), name: name.clone(), ..event(container, "died") };
    match removed {
        true => events::record(dirs, &[died, Event { name, ..event(container, "remove") }]),
        false => events::record(dirs, &[died]),
    }
}

/// A program beside a running container has died, and is there again.
pub(super) fn helper_restart(dirs: &Dirs, container: &Container, helper: &str) {
    let mut event = event(container, "helper_restart");
    event.name = super::record::current_name(dirs, container).name;
    event.attributes.insert("helper".to_owned(), helper.to_owned());
    events::record(dirs, &[event]);
}

/// The end of a command in a container.
pub(super) fn exec_died(dirs: &Dirs, container: &Container, code: i32) {
    events::record(dirs, &[Event { code: Some(code), ..event(container, "exec_died") }]);
}
