//! What is asked of a sentinel, and what it answers.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind as Driver, Pipeline, RedisError, ServerErrorKind, Value};
use session_core::ErrorKind;

use crate::address::Address;
use crate::error::{Moment, driver_error};
use crate::failure::Failure;
use crate::no_master::{CREDENTIALS, NO_RIGHT, NO_SENTINEL, SILENT, UNKNOWN, UNREACHABLE};
use crate::primary::text;

/// Returns the reason if a master that was named cannot be reached, and otherwise the failure of connecting to it.
pub(crate) fn unreachable(failure: Failure) -> Failure {
    match &failure {
        Failure::NotConnected(error) if error.kind() == Driver::Io => {
            let source = driver_error(error, Moment::Opening);
            // A certificate that is not trusted is a mistake with a remedy of its own.
            if source.kind() == ErrorKind::Config {
                return failure;
            }
            Failure::Sentinel(UNREACHABLE.with_source(source))
        }
        _ => failure,
    }
}

/// A sentinel's answer.
#[derive(Debug)]
pub(super) struct Named {
    /// Grows with each failover.
    epoch: i64,
    master: Address,
}

/// Returns the master of the latest failover. Of two that are equally late, `before` is taken, the one that is in use.
pub(super) fn best(named: Vec<Named>, before: Option<&Address>) -> Option<Address> {
    let rank = |named: &Named| (named.epoch, Some(&named.master) == before);
    named.into_iter().max_by_key(rank).map(|named| named.master)
}

/// Returns the reason that helps more: a mistake helps more than a sentinel that cannot be reached.
pub(super) fn more_helpful(one: Option<Failure>, other: Failure) -> Failure {
    match one {
        Some(one) if !one.clone().error(Moment::Opening).is_transient() => one,
        _ => other,
    }
}

/// Commands that ask for a master.
pub(super) struct Question(Pipeline);

impl Question {
    pub(super) fn about(name: &str) -> Self {
        let mut both = Pipeline::with_capacity(2);
        // The first is the new master as soon as it has been promoted, and only the second has the epoch.
        for what in ["GET-MASTER-ADDR-BY-NAME", "MASTER"] {
            both.cmd("SENTINEL").arg(what).arg(name);
        }
        Self(both)
    }

    /// Asks a sentinel on an open connection.
    pub(super) async fn ask(&self, sentinel: &mut MultiplexedConnection) -> Result<Named, Failure> {
        let answers = sentinel.send_packed_commands(&self.0, 0, 2).await.map_err(refused)?;
        let Ok([address, state]) = <[Value; 2]>::try_from(answers) else { return Err(Failure::Sentinel(NO_SENTINEL)) };
        read(address, state)
    }
}

fn read(address: Value, state: Value) -> Result<Named, Failure> {
    let address = address.extract_error().map_err(refused)?;
    let unexpected = || Failure::Sentinel(NO_SENTINEL);
    let Value::Array(parts) = address else {
        return Err(if address == Value::Nil { Failure::Sentinel(UNKNOWN) } else { unexpected() });
    };
    let [host, port] = &parts[..] else { return Err(unexpected()) };
    let master = text(host).zip(text(port)).and_then(|(host, port)| {
        Some(Address { host: host.to_owned(), port: port.parse().ok().filter(|port| *port != 0)? })
    });
    let Value::Map(fields) = state.extract_error().map_err(refused)? else { return Err(unexpected()) };
    let epoch = fields.iter().find(|(name, _)| text(name) == Some("config-epoch"));
    let epoch = epoch.and_then(|(_, epoch)| text(epoch)?.parse().ok());
    match (master, epoch) {
        (Some(master), Some(epoch)) => Ok(Named { epoch, master }),
        _ => Err(unexpected()),
    }
}

/// Says what is wrong with a sentinel in its own words, because the remedy differs from that of the master.
pub(super) fn refused(error: RedisError) -> Failure {
    let said = |text: &str| error.detail().is_some_and(|detail| detail.starts_with(text));
    Failure::Sentinel(match (error.kind(), error.code()) {
        (Driver::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => CREDENTIALS,
        (_, Some("ERR")) if said("AUTH <password> called without any password") => CREDENTIALS,
        (Driver::Server(ServerErrorKind::NoPerm), _) => NO_RIGHT,
        (_, Some("ERR")) if said("No such master") => UNKNOWN,
        (_, Some("ERR")) if said("unknown command") => NO_SENTINEL,
        (Driver::Io, _) => {
            let source = driver_error(&error, Moment::Opening);
            // A certificate that is not trusted is a mistake with a remedy of its own.
            if source.kind() == ErrorKind::Config {
                return Failure::Server(error);
            }
            SILENT.with_source(source)
        }
        _ => return Failure::Server(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn named(epoch: i64, port: u16) -> Named {
        Named { epoch, master: Address { host: "10.0.0.1".into(), port } }
    }

    #[test]
    fn the_latest_failover_decides_and_then_what_is_in_use() {
        let address = |port| Address { host: "10.0.0.1".into(), port };
        let answers = || vec![named(3, 1), named(4, 2), named(4, 5), named(2, 3)];
        assert_eq!(best(answers(), Some(&address(2))), Some(address(2)));
        assert_eq!(best(answers(), Some(&address(5))), Some(address(5)));
        assert_ne!(best(answers(), Some(&address(1))), Some(address(1)), "an old sentinel is not believed");
        assert_eq!(best(Vec::new(), Some(&address(1))), None);
    }

    #[test]
    fn an_answer_is_read_and_everything_else_has_a_reason() {
        let address = || Value::Array(vec![string("10.0.0.1"), string("6379")]);
        let state =
            |epoch: &str| Value::Map(vec![(string("name"), string("main")), (string("config-epoch"), string(epoch))]);
        let read = |address, state| super::read(address, state).map(|named| (named.epoch, named.master.port));
        assert_eq!(read(address(), state("7")).ok(), Some((7, 6379)));
        let error = |line: &str| redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        for (address, state, word, kind) in [
            (Value::Nil, error("ERR No such master with that name"), "no master of this name", ErrorKind::Config),
            (error("NOPERM no"), error("NOPERM no"), "get-master-addr-by-name", ErrorKind::Config),
            (address(), error("NOPERM no"), "+sentinel|master", ErrorKind::Config),
            (error("ERR unknown command 'SENTINEL'"), Value::Nil, "not that of a sentinel", ErrorKind::Config),
            (error("NOAUTH Authentication required."), Value::Nil, "`sentinel-password`", ErrorKind::Config),
            (
                Value::Array(vec![string("10.0.0.1"), string("x")]),
                state("7"),
                "not that of a sentinel",
                ErrorKind::Config,
            ),
            (address(), state("x"), "not that of a sentinel", ErrorKind::Config),
        ] {
            let Err(failure) = read(address, state) else { panic!("{word}: it is read") };
            let shown = failure.clone().error(Moment::Opening);
            assert_eq!(shown.kind(), kind, "{shown}");
            assert!(shown.to_string().contains(word), "{word}: {shown}");
            assert_eq!(failure.error(Moment::InUse).kind(), ErrorKind::Unavailable);
        }
    }
}
