//! Listings and saving: what is asked of the director, and what is printed.

use std::io::Write;

use ipvs_core::{Command, ConnectionInfo, DestinationInfo, Info, Reply, ServiceInfo};

use crate::errno::Errno;

use super::command_line::{Listing, Subject};
use super::director_client::{ClientFailure, DirectorClient};
use super::names::Names;
use super::order::{destination_difference, merge_sort, service_difference};
use super::output::{self, ServiceJson, ServicesJson, TimeoutsJson};
use super::refusal::Operation;
use super::resolver::Resolver;
use super::run::Failure;

/// Items asked for at a time.
const PAGE: usize = 1024;

/// Questions to the director.
struct Questions<'a>(&'a mut dyn DirectorClient);

impl Questions<'_> {
    fn ask(&mut self, command: Command) -> Result<Reply, Failure> {
        let operation = Operation::of(&command);
        self.0.execute(command).map_err(|failure| Failure::of_listing(operation, failure))
    }

    fn info(&mut self) -> Result<Info, Failure> {
        match self.ask(Command::GetInfo)? {
            Reply::Info(info) => Ok(info),
            _ => Err(Failure::unintelligible()),
        }
    }

    fn services(&mut self, subject: Subject) -> Result<Vec<ServiceInfo>, Failure> {
        if let Subject::Service(id) = subject {
            return match self.ask(Command::GetService(id))? {
                Reply::Service(service) => Ok(vec![*service]),
                _ => Err(Failure::unintelligible()),
            };
        }
        let (mut services, mut cursor) = (Vec::new(), 0);
        loop {
            let Reply::Services { items, next } = self.ask(Command::ListServices { cursor, limit: PAGE })?
            else {
                return Err(Failure::unintelligible());
            };
            services.extend(items);
            match next {
                Some(next) => cursor = next,
                None => return Ok(services),
            }
        }
    }

    /// The destinations of each service, asked for together. A service that is gone by now has none.
    fn destinations(&mut self, services: &[ServiceInfo]) -> Result<Vec<Vec<DestinationInfo>>, Failure> {
        let page = |service, cursor| Command::ListDestinations { service, cursor, limit: PAGE };
        let first = services.iter().map(|service| page(service.id, 0)).collect();
        let pages = self.0.ask_each(first);
        let mut all = Vec::with_capacity(services.len());
        for (service, mut answer) in services.iter().zip(pages) {
            let mut destinations = Vec::new();
            loop {
                let (items, next) = match answer {
                    Ok(Reply::Destinations { items, next }) => (items, next),
                    Ok(_) => return Err(Failure::unintelligible()),
                    Err(ClientFailure::Refused(Errno::ESRCH)) => break,
                    Err(failure) => return Err(Failure::of_listing(Operation::Other, failure)),
                };
                destinations.extend(items);
                let Some(next) = next else { break };
                answer = self.0.execute(page(service.id, next));
            }
            all.push(destinations);
        }
        Ok(all)
    }

    fn each_connection(
        &mut self,
        mut visit: impl FnMut(&ConnectionInfo) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut cursor = 0;
        loop {
            let page = self.ask(Command::ListConnections { cursor, limit: PAGE })?;
            let Reply::Connections { items, next } = page else { return Err(Failure::unintelligible()) };
            items.iter().try_for_each(&mut visit)?;
            match next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }
}

/// Prints a listing.
pub(super) fn list(
    listing: &Listing,
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut director = Questions(client);
    let mut names = Names::new(resolver, listing.numeric);
    match listing.subject {
        Subject::Services | Subject::Service(_) if listing.json => {
            let info = director.info()?;
            let mut all = Vec::new();
            for (service, destinations) in ordered(&mut director, listing.subject, listing.sorted)? {
                let destinations = destinations.iter().map(Into::into).collect();
                all.push(ServiceJson::new(&service, destinations));
            }
            write!(out, "{}", output::to_json(&ServicesJson::new(&info, all)))?;
        }
        Subject::Services | Subject::Service(_) => {
            let info = director.info()?;
            let services = ordered(&mut director, listing.subject, listing.sorted)?;
            if listing.subject == Subject::Services {
                write!(out, "{}", output::version_line(&info))?;
            }
            write!(out, "{}", output::titles(listing.columns))?;
            for (service, destinations) in services {
                write!(out, "{}", output::service_row(&service, listing, &mut names))?;
                for destination in destinations {
                    let row = output::destination_row(&service.id, &destination, listing, &mut names);
                    write!(out, "{row}")?;
                }
            }
        }
        Subject::Connections if listing.json => {
            let mut all = Vec::new();
            director.each_connection(|connection| {
                all.push(connection.into());
                Ok(())
            })?;
            write!(out, "{}", output::to_json(&output::connections_json(all)))?;
        }
        Subject::Connections => {
            write!(out, "{}", output::connection_title(listing.columns))?;
            director.each_connection(|connection| {
                Ok(out.write_all(&output::connection_row(connection, listing.columns, &mut names))?)
            })?;
        }
        Subject::Timeouts => {
            let Reply::Timeouts(timeouts) = director.ask(Command::GetTimeouts)? else {
                return Err(Failure::unintelligible());
            };
            if listing.json {
                write!(out, "{}", output::to_json(&TimeoutsJson::from(timeouts)))?;
            } else {
                let (tcp, tcp_fin, udp) = (timeouts.tcp, timeouts.tcp_fin, timeouts.udp);
                writeln!(out, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}")?;
            }
        }
        Subject::Drops => {
            let Reply::Drops(drops) = director.ask(Command::ListDrops)? else {
                return Err(Failure::unintelligible());
            };
            if listing.json {
                write!(out, "{}", output::to_json(&output::drops_json(&drops)))?;
            } else {
                write!(out, "{}", output::drops(&drops))?;
            }
        }
        Subject::SyncDaemons => {
            let Reply::SyncDaemons(daemons) = director.ask(Command::ListSyncDaemons)? else {
                return Err(Failure::unintelligible());
            };
            if listing.json {
                write!(out, "{}", output::to_json(&output::sync_daemons_json(&daemons)))?;
            } else {
                for (role, daemon) in &daemons {
                    write!(out, "{}", output::sync_daemon_row(*role, daemon))?;
                }
            }
        }
    }
    Ok(())
}

/// Prints the command lines that restore the present state.
pub(super) fn save(
    numeric: bool,
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut names = Names::new(resolver, numeric);
    for (service, destinations) in ordered(&mut Questions(client), Subject::Services, true)? {
        write!(out, "{}", output::service_command(&service, &mut names))?;
        for destination in destinations {
            write!(out, "{}", output::destination_command(&service.id, &destination, &mut names))?;
        }
    }
    Ok(())
}

/// Services with their destinations.
fn ordered(
    director: &mut Questions<'_>,
    subject: Subject,
    sorted: bool,
) -> Result<Vec<(ServiceInfo, Vec<DestinationInfo>)>, Failure> {
    let mut services = director.services(subject)?;
    if sorted {
        services = merge_sort(services, &|first, second| service_difference(&first.id, &second.id));
    }
    let mut all = director.destinations(&services)?;
    if sorted {
        for destinations in &mut all {
            let unsorted = core::mem::take(destinations);
            *destinations =
                merge_sort(unsorted, &|first, second| destination_difference(&first.id, &second.id));
        }
    }
    Ok(services.into_iter().zip(all).collect())
}
