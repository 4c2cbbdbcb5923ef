//! `update`: changes limits, published ports, restart policies, health checks and variables.

use super::args::Globals;
use super::args::limits::Update;
use super::{life, limits, session};
use crate::base::error::{Fault, Kind};
use crate::container::life::{HealthWords, RestartPolicy};
use crate::container::limits::parse_ulimit;
use crate::container::{self, Changes};
use crate::network::{PortMapping, parse_ports};
use anyhow::Result;

/// `box update`.
pub fn update(args: Update, globals: &Globals) -> Result<u8> {
    let health = life::health(args.health);
    let changes = Changes {
        resources: limits::resources(args.resources)?,
        restart: args.restart.as_deref().map(RestartPolicy::parse).transpose()?,
        health: (health != HealthWords::default()).then_some(health),
        env: args.env,
        unset_env: args.unsetenv,
        publish: ports(&args.publish_add)?,
        unpublish: ports(&args.publish_rm)?,
        ulimits: args.ulimit.iter().map(|text| parse_ulimit(text)).collect::<Result<_>>()?,
    };
    if changes == Changes::default() {
        let fault = Fault::new(Kind::Usage, "there is nothing to change: no limit and nothing else is given");
        return Err(fault.hint("box update --memory 256m CONTAINER").into());
    }
    let engine = session::open(globals)?;
    let named = session::named(&engine, &args.names, args.latest);
    let failures = session::each(named, |container| container::update(&engine, container, changes.clone()));
    Ok(session::code(&failures?))
}

fn ports(texts: &[String]) -> Result<Vec<PortMapping>> {
    let parsed: Result<Vec<Vec<PortMapping>>> = texts.iter().map(|text| parse_ports(text)).collect();
    Ok(parsed?.concat())
}
