//! Creates and checks the table when a store is opened.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    BillingMode, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::operations::Access;
use session_store_kit::{TIMED_OUT, check_layout};
use tokio::time::{Instant, sleep};

use crate::error::{Failure, incomplete};
use crate::execute::Server;
use crate::items::{self, LAYOUT, TTL};
use crate::schema;

/// Maximum time for the creation of a table. AWS takes about ten seconds.
const MAKING: Duration = Duration::from_secs(120);

/// First pause between two checks whether the table is ready. Each pause is twice as long as the one before.
const SOON: Duration = Duration::from_millis(50);
/// Longest pause between two such checks.
const LATER: Duration = Duration::from_secs(2);

fn config(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// Ensures that the table of `namespace` exists and fits.
pub(crate) async fn prepare(server: &Server, namespace: &Namespace, create: bool) -> Result<()> {
    let opening = Opening { server, namespace, create };
    if let Some(table) = opening.table().await? {
        opening.check(&table)?;
        opening.expiry().await?;
    }
    opening.layout().await
}

struct Opening<'a> {
    server: &'a Server,
    namespace: &'a Namespace,
    create: bool,
}

impl Opening<'_> {
    /// Returns the deadline of the next request.
    fn until(&self) -> Instant {
        Instant::now() + self.server.timeout
    }

    /// Returns the table's description once the table is ready, or `None` if the role may not read the description.
    async fn table(&self) -> Result<Option<TableDescription>> {
        let (end, mut pause) = (Instant::now() + MAKING, SOON);
        loop {
            let request = || self.server.clients.reads.describe_table().table_name(self.namespace.as_str()).send();
            match self.server.ask(self.until(), Access::Read, request).await {
                Ok(answer) => match answer.table {
                    Some(table) if is_usable(&table) => return Ok(Some(table)),
                    _ => {}
                },
                Err(Failure::Denied(error, code)) if code == "AccessDeniedException" => {
                    tracing::debug!(%error, "the role may not look at the table of sessions: its keys are not checked");
                    return Ok(None);
                }
                Err(Failure::Denied(_, code)) if code == "ResourceNotFoundException" => {
                    if !self.create {
                        let name = self.namespace;
                        return Err(config(format!(
                            "there is no table `{name}`; create it with the template of DynamoStore::schema"
                        )));
                    }
                    self.make().await?;
                }
                Err(failure) => return Err(failure.error()),
            }
            if Instant::now() + pause > end {
                return Err(TIMED_OUT);
            }
            // sleep: DynamoDB does not tell when a table is ready.
            sleep(pause).await;
            pause = (2 * pause).min(LATER);
        }
    }

    async fn make(&self) -> Result<()> {
        let mut table = self.server.clients.writes.create_table().table_name(self.namespace.as_str());
        for (name, kind) in &schema::KEYS {
            table = table.attribute_definitions(schema::definition(name)?).key_schema(schema::element(name, kind)?);
        }
        let request = || table.clone().billing_mode(BillingMode::PayPerRequest).send();
        match self.server.ask(self.until(), Access::Write, request).await {
            Ok(_) => Ok(()),
            // Another client is creating or removing the table, so it is checked again.
            Err(Failure::Denied(_, code)) if code == "ResourceInUseException" => Ok(()),
            // Too many tables are being created in this account, so creation is tried again.
            Err(Failure::Denied(_, code)) if code == "LimitExceededException" => Ok(()),
            Err(Failure::Denied(error, code)) if code == "AccessDeniedException" => Err(config(format!(
                "the role may not create the table `{}`; create it with the template of DynamoStore::schema",
                self.namespace
            ))
            .with_source(&error)),
            Err(failure) => Err(failure.error()),
        }
    }

    /// Checks that the table has the keys of this store.
    fn check(&self, table: &TableDescription) -> Result<()> {
        let (keys, types) = (table.key_schema(), table.attribute_definitions());
        let fits = keys.len() == schema::KEYS.len()
            && schema::KEYS.iter().all(|(name, kind)| {
                keys.iter().any(|key| key.attribute_name() == *name && key.key_type() == kind)
                    && types
                        .iter()
                        .any(|it| it.attribute_name() == *name && *it.attribute_type() == ScalarAttributeType::B)
            });
        if fits {
            return Ok(());
        }
        self.is_known(None)
    }

    /// Enables time to live if needed. Only warns if that is not possible, because the table then works but grows.
    async fn expiry(&self) -> Result<()> {
        if self.expires().await? {
            return Ok(());
        }
        if self.create {
            let expiry = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build();
            let expiry = expiry.map_err(incomplete)?;
            let table = self.server.clients.writes.update_time_to_live().table_name(self.namespace.as_str());
            let request = || table.clone().time_to_live_specification(expiry.clone()).send();
            match self.server.ask(self.until(), Access::Write, request).await {
                Ok(_) => return Ok(()),
                // Another client has just enabled it.
                Err(Failure::Denied(..)) if self.expires().await? => return Ok(()),
                Err(Failure::Denied(error, _)) => tracing::warn!(%error, "time to live cannot be enabled"),
                Err(failure) => return Err(failure.error()),
            }
        }
        tracing::warn!(
            namespace = %self.namespace,
            "expired sessions stay in the table: enable its time to live on the attribute `{TTL}`"
        );
        Ok(())
    }

    /// Whether time to live is enabled on the right attribute. Also `true` if the role may not ask.
    async fn expires(&self) -> Result<bool> {
        let request = || self.server.clients.reads.describe_time_to_live().table_name(self.namespace.as_str()).send();
        match self.server.ask(self.until(), Access::Read, request).await {
            Ok(answer) => Ok(answer.time_to_live_description.is_some_and(|expiry| {
                expiry.attribute_name() == Some(TTL)
                    && matches!(
                        expiry.time_to_live_status(),
                        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
                    )
            })),
            Err(Failure::Denied(error, _)) => {
                tracing::debug!(%error, "whether the table of sessions has a time to live is not known");
                Ok(true)
            }
            Err(failure) => Err(failure.error()),
        }
    }

    /// Checks that the table has a layout that this release knows. Writes the layout into a new table.
    async fn layout(&self) -> Result<()> {
        loop {
            if let Some(number) = self.number().await? {
                return self.is_known(Some(number));
            }
            let put = self.server.clients.writes.put_item().table_name(self.namespace.as_str());
            let put = put.set_item(Some(schema::layout())).condition_expression("attribute_not_exists(pk)");
            match self.server.ask(self.until(), Access::Write, || put.clone().send()).await {
                Ok(_) => return Ok(()),
                // Another client has just written the layout.
                Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure.error()),
            }
        }
    }

    fn is_known(&self, layout: Option<i64>) -> Result<()> {
        check_layout(format_args!("the table `{}`", self.namespace), layout, schema::NUMBER)
    }

    async fn number(&self) -> Result<Option<i64>> {
        let get = self.server.clients.reads.get_item().table_name(self.namespace.as_str()).consistent_read(true);
        let request = || get.clone().set_key(Some(schema::layout_key())).send();
        let answer = self.server.read(self.until(), request).await?;
        answer.item.map(|item| items::integer(&item, LAYOUT)).transpose()
    }
}

/// Whether the table takes items. A table that is being changed does; one that is being created or removed does not.
fn is_usable(table: &TableDescription) -> bool {
    !matches!(table.table_status(), Some(TableStatus::Creating | TableStatus::Deleting))
}
