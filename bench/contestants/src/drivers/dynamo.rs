use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use axum::http::Uri;

use super::now;
use crate::cas::{Cas, Key, LIFE};

const TABLE: &str = "bare";

pub(crate) struct Driver(Client);

impl Driver {
    /// Takes `dynamodb://key:secret@host:port/region`.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let url: Uri = url.parse()?;
        let (keys, host) = url.authority().context("no host")?.as_str().split_once('@').context("no keys")?;
        let (key, secret) = keys.split_once(':').context("no secret")?;
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(url.path().trim_start_matches('/').to_owned()))
            .credentials_provider(Credentials::new(key, secret, None, None, "bare"))
            .endpoint_url(format!("http://{host}"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            // Off in the store, too, because it inspects every body.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let client = Client::from_conf(config);
        let name = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::B);
        let hash = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
        let table = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
        let made = table.attribute_definitions(name.build()?).key_schema(hash.build()?).send().await;
        if let Err(error) = made {
            // The table may exist from an earlier measurement.
            let is_there = error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception());
            ensure!(is_there, error);
        }
        Ok(Self(client))
    }

    /// Returns the write of a whole item, still without a condition.
    fn put(&self, key: &Key, version: i64, data: Vec<u8>) -> PutItemFluentBuilder {
        let put = self.0.put_item().table_name(TABLE).item("id", binary(key.to_vec()));
        let put = put.item("version", number(version)).item("expires_at", number(now() + LIFE));
        put.item("data", binary(data))
    }
}

fn binary(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        self.put(key, version, data).condition_expression("attribute_not_exists(id)").send().await?;
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let get = self.0.get_item().table_name(TABLE).key("id", binary(key.to_vec())).consistent_read(true);
        let Some(mut item) = get.send().await?.item else { return Ok(None) };
        let number = |name| -> Result<i64> {
            let value = item.get(name).and_then(|value| value.as_n().ok()).context("no number")?;
            Ok(value.parse()?)
        };
        let (version, expires_at) = (number("version")?, number("expires_at")?);
        let Some(AttributeValue::B(data)) = item.remove("data") else { bail!("no data") };
        Ok((expires_at > now()).then(|| (version, data.into_inner())))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let put = self.put(key, version, data).condition_expression("version = :expected and expires_at > :now");
        let put = put.expression_attribute_values(":expected", number(expected));
        match put.expression_attribute_values(":now", number(now())).send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let refused =
                    error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception());
                if refused { Ok(false) } else { Err(error.into()) }
            }
        }
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let update = self.0.update_item().table_name(TABLE).key("id", binary(key.to_vec()));
        let update = update.update_expression("set expires_at = :later");
        let update = update.condition_expression("version = :expected and expires_at > :now");
        let update = update.expression_attribute_values(":later", number(now() + LIFE));
        let update = update.expression_attribute_values(":expected", number(expected));
        match update.expression_attribute_values(":now", number(now())).send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let refused =
                    error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception());
                if refused { Ok(false) } else { Err(error.into()) }
            }
        }
    }
}
