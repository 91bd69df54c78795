//! Words to [`CommandLine`]: the grammar of ipvsadm, its checks and their order.

use ipvs_core::{Command, SyncRole, Timeouts};

use super::arguments::{Arguments, Given};
use super::command_line::{Action, Columns, CommandLine, Listing, Subject};
use super::error::UsageError;
use super::number::number;
use super::option::{CommandName, Meaning, OptionName, OptionSet};
use super::resolver::Resolver;
use super::rules;
use super::server_arguments::ServerArguments;
use super::service_arguments::{ServiceArguments, TIMEOUT_MAX};
use super::sync_arguments::SyncArguments;

/// Understands `words`, the program's name not among them. `extensions`: with the options that are ours alone.
pub(super) fn parse(
    words: &[String],
    extensions: bool,
    resolver: &dyn Resolver,
) -> Result<CommandLine, UsageError> {
    let mut parser = Parser::new(resolver);
    let mut arguments = Arguments::new(words, extensions);
    let action = match parser.command(&mut arguments)? {
        None if !words.is_empty() && !parser.extended => return Err(UsageError::NoCommand),
        None => parser.list(),
        Some((CommandName::Help, _)) => Action::Help,
        Some((CommandName::Version, _)) => Action::Version,
        Some((CommandName::HelpIpvsd, _)) => Action::HelpIpvsd,
        Some((command, role)) => {
            let role = role.map(|text| sync_role(command, &text)).transpose()?;
            while let Some(given) = arguments.next_option() {
                parser.option(given?)?;
            }
            parser.action(command, role, arguments.leftover())?
        }
    };
    Ok(CommandLine { action, socket: parser.socket.map(Into::into) })
}

/// What the options so far say.
struct Parser<'a> {
    resolver: &'a dyn Resolver,
    given: OptionSet,
    service: ServiceArguments,
    server: ServerArguments,
    sync: SyncArguments,
    json: bool,
    drops: bool,
    local: bool,
    socket: Option<String>,
    /// An option of ours was given.
    extended: bool,
}

impl<'a> Parser<'a> {
    fn new(resolver: &'a dyn Resolver) -> Self {
        Self {
            resolver,
            given: OptionSet::default(),
            service: ServiceArguments::default(),
            server: ServerArguments::default(),
            sync: SyncArguments::default(),
            json: false,
            drops: false,
            local: false,
            socket: None,
            extended: false,
        }
    }

    /// The command, which must be the first option, with its argument; `None` if there is no option at all. Options of
    /// ours may stand before it.
    fn command(
        &mut self,
        arguments: &mut Arguments<'_>,
    ) -> Result<Option<(CommandName, Option<String>)>, UsageError> {
        while let Some(given) = arguments.next_option() {
            // Whatever is wrong with the first option, the original says the same.
            let given = given.map_err(|_| UsageError::NoCommand)?;
            match given.meaning {
                Meaning::Command(command) => return Ok(Some((command, given.argument))),
                Meaning::Json | Meaning::Drops | Meaning::Socket => self.option(given)?,
                _ => return Err(UsageError::NoCommand),
            }
        }
        if arguments.leftover().is_empty() { Ok(None) } else { Err(UsageError::NoCommand) }
    }

    fn option(&mut self, given: Given) -> Result<(), UsageError> {
        let argument = given.argument.as_deref();
        let text = argument.unwrap_or_default();
        match given.meaning {
            Meaning::Command(_) => return Err(format!("invalid option `{}'", given.word).into()),
            Meaning::Json => {
                self.extended = true;
                self.json = true;
            }
            Meaning::Drops => {
                self.extended = true;
                self.drops = true;
            }
            Meaning::Local => {
                self.extended = true;
                self.local = true;
            }
            Meaning::LocalPool => self.server.set_local_pool(text)?,
            Meaning::Socket => {
                self.extended = true;
                self.socket = given.argument;
            }
            Meaning::Helper => self.service.set_helper(text)?,
            Meaning::Proxy(told) => self.server.set_proxy(told)?,
            Meaning::Sort => {}
            Meaning::Ipv6 => self.service.set_ipv6()?,
            Meaning::Service(kind) => {
                self.insert(OptionName::ServiceAddress)?;
                self.service.set_service(kind, text, self.resolver)?;
            }
            Meaning::Forwarding(method) => {
                self.insert(OptionName::ForwardingMethod)?;
                self.server.set_forwarding(method);
            }
            Meaning::Option(option) => {
                self.insert(option)?;
                match option {
                    OptionName::Scheduler => self.service.set_scheduler(text),
                    OptionName::Persistent => self.service.set_persistent(argument)?,
                    OptionName::Netmask => self.service.set_netmask(text)?,
                    OptionName::Ops => self.service.set_ops(),
                    OptionName::PersistenceEngine => self.service.set_persistence_engine(text),
                    OptionName::SchedFlags => self.service.set_scheduler_flags(text),
                    OptionName::RealServer => {
                        self.server.set_server(text, self.service.id(), self.resolver)?;
                    }
                    OptionName::Weight => self.server.set_weight(text)?,
                    OptionName::UpperThreshold => self.server.set_upper_threshold(text)?,
                    OptionName::LowerThreshold => self.server.set_lower_threshold(text)?,
                    OptionName::TunType => self.server.set_tunnel_type(text)?,
                    OptionName::TunPort => self.server.set_tunnel_port(text)?,
                    OptionName::TunCsum => self.server.set_tunnel_csum(),
                    OptionName::TunRemcsum => self.server.set_tunnel_remcsum(),
                    _ => self.sync.set(option, text)?,
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, option: OptionName) -> Result<(), UsageError> {
        if self.given.insert(option) { Ok(()) } else { Err(UsageError::multiple(option)) }
    }

    /// What `command` with these options asks for.
    fn action(
        &self,
        command: CommandName,
        role: Option<SyncRole>,
        leftover: &[&str],
    ) -> Result<Action, UsageError> {
        let (timeouts, leftover) = match command {
            CommandName::Set => timeouts(leftover).map(|(timeouts, rest)| (Some(timeouts), rest))?,
            _ => (None, leftover),
        };
        if let Some(word) = leftover.first() {
            return Err(format!("unexpected argument {word}").into());
        }
        // Scheduler flags are understood before anything else is checked, whatever the command.
        let service_config = self.service.config()?;
        rules::check(command, self.given)?;
        if self.json && command != CommandName::List {
            return Err(format!("Illegal 'json' option with the '{}' command", command.name()).into());
        }
        if self.drops && (command != CommandName::List || !self.given.is_within(OptionName::Numeric)) {
            return Err("option 'drops' goes with the 'list' command, alone or with --json"
                .to_owned()
                .into());
        }
        if self.service.has_helper() && !matches!(command, CommandName::AddService | CommandName::EditService)
        {
            return Err(format!("Illegal 'helper' option with the '{}' command", command.name()).into());
        }
        if self.server.has_local_pool()
            && !matches!(command, CommandName::AddServer | CommandName::EditServer)
        {
            return Err(format!("Illegal 'local-pool' option with the '{}' command", command.name()).into());
        }
        if self.local
            && (command != CommandName::List
                || !self.given.contains(OptionName::Connection)
                || self.given.contains(OptionName::PersistentConn))
        {
            return Err(
                "option 'local' goes with the 'list' command and --connection, without --persistent-conn"
                    .to_owned()
                    .into(),
            );
        }
        if self.server.names_proxy() && !matches!(command, CommandName::AddServer | CommandName::EditServer) {
            return Err(
                format!("Illegal 'proxy-protocol' option with the '{}' command", command.name()).into()
            );
        }
        // The rules saw to it that it is there where it must be.
        let service = || self.service.id().ok_or(UsageError::missing(OptionName::ServiceAddress, command));
        Ok(match (command, role) {
            (CommandName::AddService, _) => {
                self.service.check()?;
                Action::Execute(Command::AddService(service()?, service_config))
            }
            (CommandName::EditService, _) => {
                self.service.check()?;
                Action::Execute(Command::EditService(service()?, service_config))
            }
            (CommandName::DeleteService, _) => Action::Execute(Command::DeleteService(service()?)),
            (CommandName::Flush, _) => Action::Execute(Command::Flush),
            (CommandName::Zero, _) => Action::Execute(Command::Zero(self.service.id())),
            (CommandName::Set, _) => match timeouts {
                Some(timeouts) => Action::Execute(Command::SetTimeouts(timeouts)),
                None => return Err("--set option requires 3 timeout values".into()),
            },
            (CommandName::AddServer | CommandName::EditServer | CommandName::DeleteServer, _) => {
                self.server_action(command)?
            }
            (CommandName::StartDaemon, Some(role)) => {
                Action::Execute(Command::StartSyncDaemon(role.number(), self.sync.config.clone()))
            }
            (CommandName::StopDaemon, Some(role)) => Action::Execute(Command::StopSyncDaemon(role.number())),
            (CommandName::Save, _) => Action::Save { numeric: self.given.contains(OptionName::Numeric) },
            (CommandName::Restore, _) => Action::Restore,
            (CommandName::List, _) => {
                self.check_list()?;
                self.list()
            }
            _ => return Err(UsageError::NoCommand),
        })
    }

    fn server_action(&self, command: CommandName) -> Result<Action, UsageError> {
        let missing = |option| UsageError::missing(option, command);
        let service = self.service.id().ok_or(missing(OptionName::ServiceAddress))?;
        let named = self.server.named().ok_or(missing(OptionName::RealServer))?;
        if command == CommandName::DeleteServer {
            return Ok(Action::Execute(Command::DeleteDestination(service, named)));
        }
        self.server.check(service, self.given)?;
        let (id, config) = (self.server.with_port_of(service, named), self.server.config());
        Ok(Action::Execute(match command {
            CommandName::EditServer => Command::EditDestination(service, id, config),
            _ => Command::AddDestination(service, id, config),
        }))
    }

    /// At most one subject, and only options that go with it.
    fn check_list(&self) -> Result<(), UsageError> {
        use OptionName as O;
        let given = |options: &[O]| options.iter().any(|option| self.given.contains(*option));
        let subjects = [O::Connection, O::ServiceAddress, O::Timeout, O::Daemon];
        let mut subjects = subjects.into_iter().filter(|option| self.given.contains(*option));
        if let (Some(first), Some(second)) = (subjects.next(), subjects.next()) {
            return Err(UsageError::conflict(second, first, CommandName::List));
        }
        if given(&[O::Connection, O::Timeout, O::Daemon]) && given(&[O::Stats, O::Rate, O::Thresholds])
            || given(&[O::Timeout, O::Daemon]) && given(&[O::PersistentConn])
        {
            return Err("options conflicts in the list command".into());
        }
        Ok(())
    }

    fn list(&self) -> Action {
        use OptionName as O;
        let given = |option| self.given.contains(option);
        let subject = if self.drops {
            Subject::Drops
        } else if given(O::Connection) {
            Subject::Connections
        } else if given(O::Timeout) {
            Subject::Timeouts
        } else if given(O::Daemon) {
            Subject::SyncDaemons
        } else {
            self.service.id().map_or(Subject::Services, Subject::Service)
        };
        let columns = [
            (O::Stats, Columns::Stats),
            (O::Rate, Columns::Rate),
            (O::Thresholds, Columns::Thresholds),
            (O::PersistentConn, Columns::PersistentConn),
            (O::TunInfo, Columns::TunInfo),
        ];
        let columns = columns.into_iter().find(|(option, _)| given(*option));
        let plain = if self.local { Columns::Local } else { Columns::Plain };
        Action::List(Listing {
            subject,
            columns: columns.map_or(plain, |(_, columns)| columns),
            numeric: given(O::Numeric),
            exact: given(O::Exact),
            sorted: !given(O::NoSort),
            json: self.json,
        })
    }
}

fn sync_role(command: CommandName, text: &str) -> Result<SyncRole, UsageError> {
    match (text, command) {
        ("master", _) => Ok(SyncRole::Master),
        ("backup", _) => Ok(SyncRole::Backup),
        (_, CommandName::StartDaemon) => Err("illegal start-daemon parameter specified".into()),
        _ => Err("illegal start_daemon specified".into()),
    }
}

/// The three timeouts among the words of `--set`, and what follows them.
fn timeouts<'a, 'b>(words: &'a [&'b str]) -> Result<(Timeouts, &'a [&'b str]), UsageError> {
    let [tcp, tcp_fin, udp, rest @ ..] = words else {
        return Err("--set option requires 3 timeout values".into());
    };
    let seconds = |text: &str| {
        let value = number(text, 0..=TIMEOUT_MAX).and_then(|value| i32::try_from(value).ok());
        value.ok_or_else(|| format!("invalid timeout value `{text}' specified"))
    };
    Ok((Timeouts { tcp: seconds(tcp)?, tcp_fin: seconds(tcp_fin)?, udp: seconds(udp)? }, rest))
}
